"""Table `players`: who has a wallet, in which region, and who is restricted."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Player
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key

COLUMNS = ColumnList("tenant_id text, player_id text, region text, restriction text")
"""The fields of an entity, in their order."""
KEY = COLUMNS.only("tenant_id", "player_id")
CHANGED = COLUMNS.only(*KEY, "restriction")

LOAD = f"""
select {COLUMNS.of("p")}
from {KEY.rows("k")}
{by_key("players", *KEY)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.players ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants

UPDATE = f"""
update wagerledger.players p set restriction = n.restriction
from {CHANGED.rows("n")}
where p.tenant_id = any(array[n.tenant_id]) and p.player_id = any(array[n.player_id])
"""  # noqa: S608  # our own constants

AROUND = """
(select player_id from wagerledger.players
    where tenant_id = %(tenant_id)s and player_id >= %(player_id)s order by player_id limit 50)
union all
(select player_id from wagerledger.players
    where tenant_id = %(tenant_id)s and player_id < %(player_id)s order by player_id desc limit 50)
"""
"""The ids that stand beside one that is not known: among them is what was meant."""


def load(players: Iterable[tuple[str, str]]) -> Statement:
    """The (tenant, player) pairs, as far as they have a row."""
    return Statement(LOAD, KEY.packed(players))


def entity(row: Sequence[Any]) -> Player:
    return Player(*row)


def insert(players: Sequence[Player]) -> Statement:
    return Statement(INSERT, COLUMNS.packed(map(COLUMNS.row, players)), len(players))


def update(players: Sequence[Player]) -> Statement:
    return Statement(UPDATE, CHANGED.packed(map(CHANGED.row, players)), len(players))
