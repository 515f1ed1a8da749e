"""Table `players`: who has a wallet, in which region, and who is restricted."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Player
from ledger.store.statement import Statement, by_key
from runtime.arrays import Text, columns

LOAD = f"""
select p.tenant_id, p.player_id, p.region, p.restriction
from unnest(%b::text[], %b::text[]) k(tenant_id, player_id)
{by_key("players", "tenant_id", "player_id")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.players (tenant_id, player_id, region, restriction)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::text[])
"""

UPDATE = """
update wagerledger.players p set restriction = n.restriction
from unnest(%b::text[], %b::text[], %b::text[]) n(tenant_id, player_id, restriction)
where p.tenant_id = any(array[n.tenant_id]) and p.player_id = any(array[n.player_id])
"""

AROUND = """
(select player_id from wagerledger.players
    where tenant_id = %(tenant_id)s and player_id >= %(player_id)s order by player_id limit 50)
union all
(select player_id from wagerledger.players
    where tenant_id = %(tenant_id)s and player_id < %(player_id)s order by player_id desc limit 50)
"""
"""The ids that stand beside one that is not known: among them is what was meant."""

_inserted = attrgetter("tenant_id", "player_id", "region", "restriction")
_updated = attrgetter("tenant_id", "player_id", "restriction")


def load(players: Iterable[tuple[str, str]]) -> Statement:
    """The (tenant, player) pairs, as far as they have a row."""
    return Statement(LOAD, columns((Text, Text), players))


def entity(row: Sequence[Any]) -> Player:
    return Player(*row)


def insert(players: Sequence[Player]) -> Statement:
    return Statement(INSERT, columns((Text, Text, Text, Text), map(_inserted, players)), len(players))


def update(players: Sequence[Player]) -> Statement:
    return Statement(UPDATE, columns((Text, Text, Text), map(_updated, players)), len(players))
