"""How the journal's statements find their rows: by a whole key, whatever the tables' statistics say."""

import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from ledger import store
from ledger.journal.writing_session import PLANS
from ledger.store import commands
from ledger.store.statement import Statement
from sandbox.servers.postgres import binary

PLAIN_JOIN = """
select b.bet_id from unnest(%b::text[], %b::text[]) k(integration_id, bet_id)
join wagerledger.bets b using (integration_id, bet_id)
"""
COMPARE_AND_SET = "((n.expected_version = version) AND (n.expected_hash = head_hash))"
"""Of a stream's version: it is no part of the key."""


HASHED = "sha256("
"""In the condition of an index on a hashed key: the texts behind it are compared besides."""
FILLED = """
insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, stake_minor, stake_cash_minor,
    stake_bonus_minor, held_minor, win_minor)
select 'acme/eu/spin', 'b' || n, 'acme', 'ann', 'settled', case when n % 2 = 0 then 'r' || n % 5 end, 1, 1, 0, 0, 0
from generate_series(1, 2000) n;
insert into wagerledger.settlements (integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id, round_id, kind,
    win_minor, account, mode)
select 'acme/eu/spin', 'w' || n, 'st_' || n, 'acme', 'ann', 'EUR', 'b' || n, case when n % 2 = 0 then 'r' || n % 5 end, 'win', 1, 'house', 'real'
from generate_series(1, 2000) n;
insert into wagerledger.rounds (integration_id, player_id, round_id, tenant_id)
select 'acme/eu/spin', 'ann', 'r' || n, 'acme' from generate_series(1, 2000) n;
insert into wagerledger.commands (scope, operation, idempotency_key, command_id, kind, tenant_id, stream_type, stream_id, outcome,
    answer, trace_id, decided_at)
select 'acme/eu/spin', 'api', 'k' || n, gen_random_uuid(), 'AuthorizeBet', 'acme', 'player', 'ann', '{}', 'told', 't', now()
from generate_series(1, 2000) n;
insert into wagerledger.sessions (session_id, integration_id, tenant_id, player_id, currency, mode, game_id, expires_at, ended)
select 's' || n, 'acme/eu/spin', 'acme', 'ann', 'EUR', 'real', 'dice', 1, true from generate_series(1, 2000) n;
insert into wagerledger.wallets (tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor, receivable_minor)
select 'acme', 'p' || n, 'EUR', 2, 1, 0, 0, 0 from generate_series(1, 2000) n;
insert into wagerledger.streams (tenant_id, stream_type, stream_id, version, head_hash, recorded_at)
select 'acme', 'player', 'p' || n, 1, 'h', now() from generate_series(1, 2000) n;
insert into wagerledger.players (tenant_id, player_id, region) select 'acme', 'p' || n, 'eu' from generate_series(1, 2000) n;
"""
"""Rows of one player, many of them in few rounds: statistics that speak for reading all."""


def look_ups() -> dict[str, str]:
    """All SQL of the store that finds rows by arrays of keys, by the name that it has there; also in the forms that are
    sent together with their COMMIT."""
    found = {
        f"{module}.{name}": sql
        for _, module, _ in pkgutil.iter_modules(store.__path__)
        for name, sql in vars(importlib.import_module(f"ledger.store.{module}")).items()
        if isinstance(sql, str) and "(%b::" in sql and "insert into" not in sql and module != "statement"
    }
    changes = {name for name, sql in found.items() if sql.strip().startswith("update")}
    raising = {f"{name}, raising": Statement(found[name], [], 1).raising.sql for name in changes}
    absent = {
        f"{name}, finding nothing": Statement(found[name], []).finds_nothing.sql for name in found.keys() - changes
    }
    return found | raising | absent


def reads(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps that read a table."""
    if "Relation Name" in plan and plan["Node Type"].endswith("Scan"):
        yield plan
    for step in plan.get("Plans", ()):
        yield from reads(step)


def read_too_much(connection: psycopg.Connection, sql: str) -> list[str]:
    """Tables of which `sql` would read rows that it does not want."""
    numbers = count(1)
    ask = "explain (generic_plan, format json) " + re.sub("%b", lambda _: f"${next(numbers)}", sql)
    (((explained,),),) = connection.execute(ask.encode()).fetchall()
    found = list(reads(explained["Plan"]))
    assert found, f"this reads no table: {sql}"
    return [
        f"{step['Relation Name']}, filtered by {step.get('Filter')}"
        for step in found
        if not step.keys() & {"Index Cond", "Recheck Cond"}
        or (
            step.get("Filter") not in (None, COMPARE_AND_SET)
            and HASHED not in step.get("Index Cond", step.get("Recheck Cond"))
        )
    ]


def wrong_plans(connection: psycopg.Connection) -> dict[str, list[str]]:
    return {name: told for name, sql in look_ups().items() if (told := read_too_much(connection, sql))}


@contextmanager
def session(database_url: str) -> Iterator[psycopg.Connection]:
    """One that plans as the journal's do."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, value in PLANS.items():
            connection.execute("select set_config(%s, %s, false)", [name, value])
        yield connection


def test_each_row_is_found_by_its_key(ledger_database: str) -> None:
    """A plan is made once for each session. It must be as good where the tables were empty then, analyzed (as after a
    deployment) or not: else each batch reads all that was ever written, until the session ends or statistics come.
    """
    with session(ledger_database) as connection:
        assert len(look_ups()) > 15
        for statistics in ("", "vacuum analyze", FILLED, "vacuum analyze"):
            connection.execute(statistics.encode())
            assert wrong_plans(connection) == {}, statistics
        assert read_too_much(connection, PLAIN_JOIN), "a statement that leaves it to the planner must be found"


def test_each_row_is_found_by_its_key_after_a_restore(
    ledger_database: str, empty_database: str, tmp_path: Path
) -> None:
    """From a dump: its rows are found in the restored indexes, analyzed or not."""
    with psycopg.connect(ledger_database) as connection:
        connection.execute(FILLED.encode())
    dump = tmp_path / "dump.sql"
    subprocess.run([binary("pg_dump"), ledger_database, "-f", dump], check=True)
    subprocess.run(
        [binary("psql"), empty_database, "-qX", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", dump], check=True
    )
    with session(empty_database) as connection:
        for statistics in ("", "vacuum analyze"):
            connection.execute(statistics.encode())
            assert wrong_plans(connection) == {}, statistics
        found = connection.execute(commands.ANSWER, ("acme/eu/spin", "api", "k7")).fetchall()
        assert found == [(b"told", None)]
