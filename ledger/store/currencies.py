"""Table `currencies`: the decimals of each currency of a tenant."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Currency, Key
from ledger.store.statement import Statement, by_key
from runtime.arrays import Int8, Text, columns

LOAD = f"""
select c.tenant_id, c.currency, c.exponent
from unnest(%b::text[], %b::text[]) k(tenant_id, currency)
{by_key("currencies", "tenant_id", "currency")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.currencies (tenant_id, currency, exponent)
select * from unnest(%b::text[], %b::text[], %b::bigint[])
"""

_inserted = attrgetter("tenant_id", "currency", "exponent")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, columns((Text, Text), (key[1:] for key in keys)))


def entity(row: Sequence[Any]) -> Currency:
    return Currency(*row)


def insert(currencies: Sequence[Currency]) -> Statement:
    return Statement(INSERT, columns((Text, Text, Int8), map(_inserted, currencies)), len(currencies))
