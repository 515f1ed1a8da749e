"""Table `players`: who has a wallet, in which region, who is restricted, and which limits protect whom."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Limit, Player
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key
from runtime.arrays import Array, Text

COLUMNS = ColumnList("""
    tenant_id text, player_id text, region text, restriction text, calendar text, limits text::json
""")
"""The fields of an entity, in their order."""
KEY = COLUMNS.only("tenant_id", "player_id")
CHANGING = COLUMNS.only("restriction", "calendar", "limits")
CHANGED = KEY + CHANGING
_PLAIN, _CHANGED_PLAIN = COLUMNS.but("limits"), CHANGED.but("limits")

LOAD = f"""
select {COLUMNS.of("p")}
from {KEY.rows("k")}
{by_key("players", *KEY)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.players ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants

UPDATE = f"""
update wagerledger.players p
set restriction = n.restriction, calendar = n.calendar, limits = n.limits::json
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
    fields = [*row[:-1], limits_from(row[-1])]
    return Player(*fields)


def limits_from(text: str | None) -> tuple[Limit, ...]:
    """The limits as the row has them."""
    return tuple(Limit(*one) for one in json.loads(text)) if text else ()


def limits_to(limits: Sequence[Limit]) -> str | None:
    """For the row: each limit as the list of its fields; None where there are none."""
    return json.dumps(limits, separators=(",", ":")) if limits else None


def insert(players: Sequence[Player]) -> Statement:
    return Statement(INSERT, _packed(_PLAIN, players), len(players))


def update(players: Sequence[Player]) -> Statement:
    return Statement(UPDATE, _packed(_CHANGED_PLAIN, players), len(players))


def _packed(plain: ColumnList, players: Sequence[Player]) -> list[Array]:
    return [*plain.packed(map(plain.row, players)), Text(limits_to(player.limits) for player in players)]
