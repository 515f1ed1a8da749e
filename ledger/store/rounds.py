"""Table `rounds`: those that are over, per player."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Key, Round
from ledger.store.statement import Statement, by_key
from runtime.arrays import Text, columns

LOAD = f"""
select r.integration_id, r.player_id, r.round_id, r.tenant_id
from unnest(%b::text[], %b::text[], %b::text[]) k(integration_id, player_id, round_id)
{by_key("rounds", "integration_id", "player_id", "round_id")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.rounds (integration_id, player_id, round_id, tenant_id)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::text[])
"""

_inserted = attrgetter("integration_id", "player_id", "round_id", "tenant_id")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, columns((Text, Text, Text), (key[1:] for key in keys)))


def entity(row: Sequence[Any]) -> Round:
    return Round(*row)


def insert(rounds: Sequence[Round]) -> Statement:
    """Nothing ever changes in them."""
    return Statement(INSERT, columns((Text, Text, Text, Text), map(_inserted, rounds)), len(rounds))
