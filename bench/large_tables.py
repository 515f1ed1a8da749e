"""A ledger with millions of bets beside one with few, measured in turns: what large tables cost a bet."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from rich.console import Console

from bench.bets import SPREAD, TABLE_WIDTH, Say
from bench.contestant import CHECKOUT, Contestant
from bench.report import table
from bench.turns import TURNS, Duel
from ledger.store import bets, commands, event_log
from ledger.store.column_list import ColumnList

FILLED, EMPTY = "filled", "empty"
AT_ONCE = 50_000
"""Bets that are copied in one transaction, about."""

KEPT = """
create temp table kept_bets as select * from wagerledger.bets;
create temp table kept_commands as select * from wagerledger.commands where kind = 'AuthorizeBet';
create temp table kept_event_log as select * from wagerledger.event_log where event_type = 'bet.authorized';
"""
COUNT = "select count(*) from kept_bets"


def _copies(table: str, columns: ColumnList, **new: str) -> str:
    """Inserts the kept rows of a table once for each n from one number to another, with `new` in place of columns."""
    values = ", ".join(new.get(name, name) for name in columns)
    return f"""
insert into wagerledger.{table} ({columns})
select {values} from generate_series(%s::int, %s) n, kept_{table}
"""  # noqa: S608  # our own constants


def _numbered(column: str) -> str:
    """Ids of the load end in random digits: the last eight become the copy's number, so that they are as long."""
    return f"overlay({column} placing lpad(to_hex(n), 8, '0') from length({column}) - 7)"


COPIES = {
    "bets": _copies("bets", bets.COLUMNS, bet_id=_numbered("bet_id"), round_id=_numbered("round_id")),
    "commands": _copies("commands", commands.COLUMNS, idempotency_key=_numbered("idempotency_key")),
    # In a stream of its own, whose versions are those of the player's.
    "event_log": _copies("event_log", event_log.COLUMNS, stream_id="stream_id || '~' || n"),
}
SIZES = """
select table_name, sum(pg_table_size(part))::bigint, sum(pg_indexes_size(part))::bigint
from unnest(%s::text[]) table_name, to_regclass('wagerledger.' || table_name) whole,
    lateral (select whole::oid union all select inhrelid from pg_inherits where inhparent = whole) parts(part)
group by table_name
"""


def run(*, filled: int, seconds: float, concurrency: Sequence[int], wallets: int, gateways: int, as_json: bool) -> None:
    """Fill, measure and print: the filled ledger's figures by those of the empty one, and what a bet takes on disk."""
    say = Console(stderr=True, style="dim", highlight=False).print
    with TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        with (
            Contestant(FILLED, CHECKOUT, wallets, gateways, root) as full,
            Contestant(EMPTY, CHECKOUT, wallets, gateways, root) as empty,
        ):
            duel = Duel(full, empty, root, say)
            duel.warm_up(wallets)
            on_disk = fill(full.database_url, filled, say)
            found = {"bets": list(duel.rows([SPREAD], concurrency, seconds)), "disk": on_disk}
    if as_json:
        print(json.dumps(found))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    title = f"{filled:,} bets by none: medians of the ratios of {TURNS} turns (CPU in microseconds, all per bet)"
    console.print(table(title, found["bets"]))
    console.print(table("On disk (bytes per bet)", on_disk))


def fill(database_url: str, wanted: int, say: Say) -> list[dict[str, Any]]:
    """Copy the ledger's bets, with their commands and events, until there are so many more; what each took on disk."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(KEPT)
        ((kept,),) = connection.execute(COUNT).fetchall()
        before, done = _sizes(connection), 0
        copies, at_once = -(-wanted // kept), max(AT_ONCE // kept, 1)
        for first in range(0, copies, at_once):
            upto = min(first + at_once, copies) - 1
            with connection.transaction():
                for copy in COPIES.values():
                    connection.execute(copy.encode(), [first, upto])
            done = (upto + 1) * kept
            if done * 10 // wanted > first * kept * 10 // wanted:  # each tenth
                say(f"filled {done:,} of {wanted:,} bets")
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
        after = _sizes(connection)
    return _per_bet(before, after, done)


def _sizes(connection: psycopg.Connection) -> dict[str, tuple[int, int]]:
    """Bytes of each table's rows and of its indexes."""
    return {name: (rows, indexes) for name, rows, indexes in connection.execute(SIZES, [list(COPIES)])}


def _per_bet(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], many: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in COPIES:
        rows, indexes = (round((now - then) / many) for now, then in zip(after[name], before[name], strict=True))
        found.append({"table": name, "rows": rows, "indexes": indexes, "both": rows + indexes})
    return [*found, {"table": "all"} | {name: sum(row[name] for row in found) for name in ("rows", "indexes", "both")}]
