"""Table `settlements`: what was paid for which bet, and what undid it."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Key, Settlement
from ledger.store.arrays import Int8, Text, columns
from ledger.store.statement import Statement

LOAD = """
select settlement_id, integration_id, bet_id, win_minor, undone_by
from wagerledger.settlements where settlement_id = any(%b::text[])
"""

SAVE = """
insert into wagerledger.settlements (settlement_id, integration_id, bet_id, win_minor, undone_by)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[])
on conflict (settlement_id) do update set undone_by = excluded.undone_by
"""

_inserted = attrgetter("settlement_id", "integration_id", "bet_id", "win_minor", "undone_by")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, [Text(key[1] for key in keys)])


def entity(row: Sequence[Any]) -> Settlement:
    return Settlement(*row)


def insert(settlements: Sequence[Settlement]) -> Statement:
    """Add them; a known one can only have been undone."""
    return Statement(SAVE, columns((Text, Text, Text, Int8, Text), map(_inserted, settlements)), len(settlements))


update = insert
