"""Table `players`: who is, or once was, restricted."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Player
from ledger.store.arrays import Text, columns
from ledger.store.statement import Statement

LOAD = """
select p.tenant_id, p.player_id, p.restriction
from unnest(%b::text[], %b::text[]) k(tenant_id, player_id)
join wagerledger.players p using (tenant_id, player_id)
"""

INSERT = """
insert into wagerledger.players (tenant_id, player_id, restriction)
select * from unnest(%b::text[], %b::text[], %b::text[])
"""

UPDATE = """
update wagerledger.players p set restriction = n.restriction
from unnest(%b::text[], %b::text[], %b::text[]) n(tenant_id, player_id, restriction)
where p.tenant_id = n.tenant_id and p.player_id = n.player_id
"""

_fields = attrgetter("tenant_id", "player_id", "restriction")


def load(players: Iterable[tuple[str, str]]) -> Statement:
    """The (tenant, player) pairs, as far as they have a row."""
    return Statement(LOAD, columns((Text, Text), players))


def entity(row: Sequence[Any]) -> Player:
    return Player(*row)


def insert(players: Sequence[Player]) -> Statement:
    return Statement(INSERT, columns((Text, Text, Text), map(_fields, players)), len(players))


def update(players: Sequence[Player]) -> Statement:
    return Statement(UPDATE, columns((Text, Text, Text), map(_fields, players)), len(players))
