"""Table `rounds`: those that are over, per player."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Key, Round
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key

COLUMNS = ColumnList("integration_id text, player_id text, round_id text, tenant_id text")
"""The fields of an entity, in their order."""
KEY = COLUMNS.only("integration_id", "player_id", "round_id")

LOAD = f"""
select {COLUMNS.of("r")}
from {KEY.rows("k")}
{by_key("rounds", *KEY, hash_of=("player_id", "integration_id", "round_id"))}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.rounds ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, KEY.packed(key[1:] for key in keys))


def entity(row: Sequence[Any]) -> Round:
    return Round(*row)


def insert(rounds: Sequence[Round]) -> Statement:
    """Nothing ever changes in them."""
    return Statement(INSERT, COLUMNS.packed(map(COLUMNS.row, rounds)), len(rounds))
