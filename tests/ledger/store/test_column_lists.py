"""One list of columns per table: it is the table's, and its entity's, and SQL is made of it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import psycopg
import pytest

from ledger.core.tallies import Tallies
from ledger.store import (
    acts,
    bets,
    brands,
    commands,
    currencies,
    event_log,
    games,
    integration_keys,
    integrations,
    log_generation,
    players,
    proofs,
    rates,
    refusals,
    rounds,
    sessions,
    settlements,
    streams,
    wallets,
)
from ledger.store.column_list import ColumnList
from ledger.store.entities import TABLES
from runtime.arrays import Bool, Bytea, Int8, Text

ROOT = Path(__file__).parents[3]

LISTS = {
    "acts": acts.COLUMNS,
    "bets": bets.COLUMNS,
    "brands": brands.RECORDED,
    "commands": commands.COLUMNS,
    "currencies": currencies.COLUMNS,
    "event_log": event_log.WITH_FORMS,
    "games": games.COLUMNS,
    "integration_keys": integration_keys.RECORDED,
    "integrations": integrations.RECORDED,
    "log_generation": log_generation.COLUMNS,
    "players": players.COLUMNS,
    "proofs": proofs.COLUMNS,
    "rates": rates.RECORDED,
    "refusals": refusals.COLUMNS,
    "rounds": rounds.COLUMNS,
    "sessions": sessions.COLUMNS,
    "settlements": settlements.COLUMNS,
    "streams": streams.COLUMNS,
    "wallets": wallets.COLUMNS,
}

GIVEN_BY_THE_DATABASE = {
    "acts": {"xid", "position"},
    "commands": {"xid"},
    "event_log": {"xid", "position"},
    "refusals": {"xid", "refusal_id"},
}

COLUMNS_OF_TABLE = """
select column_name, case data_type when 'timestamp with time zone' then 'timestamptz' else data_type end
from information_schema.columns where table_schema = 'wagerledger' and table_name = %s
"""


def test_each_list_is_its_table_s(ledger_database: str) -> None:
    """A migration that adds a column without its line in the list, or a list with another type, is found."""
    with psycopg.connect(ledger_database) as connection:
        for table, columns in LISTS.items():
            found = dict(connection.execute(COLUMNS_OF_TABLE, [table]).fetchall())
            assert set(columns) == found.keys() - GIVEN_BY_THE_DATABASE.get(table, set()), table
            connection.execute(f"select {columns.read} from wagerledger.{table} limit 0")
            casts = dict(zip(columns, columns.stored.split(", "), strict=True))
            for name, cast in casts.items():
                assert cast in (name, f"{name}::{found[name]}"), table


@pytest.mark.parametrize(("entity", "table"), TABLES.items())
def test_each_list_is_its_entity_s(entity: type, table: ModuleType) -> None:
    """A row is its entity's fields, in their order and of their types: both are made from each other by position."""
    assert table.COLUMNS.names == tuple(field.name for field in fields(entity))
    for name, kind in get_type_hints(entity).items():
        (array,) = table.COLUMNS.only(name).packed([])
        wanted = {bool: Bool, int: Int8, Tallies: Bytea}.get(next(iter(get_args(kind) or [kind])), Text)
        assert type(array) is wanted, f"{name} of {entity.__name__}"


def test_a_list_as_sql() -> None:
    """Each piece of a statement is what one would have written by hand."""
    columns = ColumnList("bet_id text, final boolean, conversion text::json")
    assert str(columns) == "bet_id, final, conversion"
    assert columns.read == "bet_id, final, conversion::text"
    assert columns.of("b") == "b.bet_id, b.final, b.conversion::text"
    assert columns.stored == "bet_id, final, conversion::json"
    assert columns.rows("n") == "unnest(%b::text[], %b::boolean[], %b::text[]) n(bet_id, final, conversion)"
    assert columns.assigned("n") == "bet_id = n.bet_id, final = n.final, conversion = n.conversion"
    assert (columns.values, columns.named_values) == ("%s, %s, %s", "%(bet_id)s, %(final)s, %(conversion)s")
    assert columns.packed([("b1", True, "{}"), ("b2", False, None)]) == [["b1", "b2"], [True, False], ["{}", None]]
    assert columns.only("final", "bet_id").names == ("final", "bet_id")
    assert columns.but("final").names == ("bet_id", "conversion")
    assert (columns + ColumnList("mode text")).arrays.count("text[]") == 3


NAMES_IN_A_ROW = 6
"""So many columns of one table, one after the other, are a second list of them."""
RUN = re.compile(r"(?:\w+\.)?\w+(?:::\w+)?(?:,\s+(?:\w+\.)?\w+(?:::\w+)?)+")


def statements(code: str) -> Iterator[str]:
    """All SQL on the ledger's tables in a file; what an f-string fills in is left out."""
    tree = ast.parse(code)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else [] if id(node) in inner else [node]
        text = "{}".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
        if "wagerledger." in text:
            yield text


def second_lists(code: str) -> Iterator[str]:
    """The tables whose columns a file lists by hand."""
    for text in statements(code):
        for run in RUN.findall(text):
            names = [re.sub(r"^\w+\.|::\w+$", "", name) for name in re.split(r",\s+", run)]
            for table, columns in LISTS.items():
                known = "".join("x" if name in columns else " " for name in names)
                if "x" * NAMES_IN_A_ROW in known:
                    yield table


@pytest.mark.parametrize("room", ["ledger", "evidence", "audit"])
def test_columns_are_listed_once(room: str) -> None:
    """No statement of these rooms lists a table's columns by hand: a new one would have to be added there too."""
    by_hand = [
        f"{path.relative_to(ROOT)}: {table}"
        for path in sorted((ROOT / room).rglob("*.py"))
        if "migrations" not in path.parts
        for table in second_lists(path.read_text())
    ]
    assert by_hand == []


def test_a_second_list_is_found() -> None:
    """Written by hand, with an alias and a cast, it is one all the same."""
    listed = "select b.bet_id, b.tenant_id, b.player_id, b.status, b.final, b.conversion::text from wagerledger.bets b"
    assert "bets" in set(second_lists(f"SQL = {listed!r}"))
    assert "bets" in set(second_lists(f'SQL = f"{listed} where {{condition}}"'))
    assert not set(second_lists("SQL = 'select bet_id, tenant_id, status from wagerledger.bets'"))
