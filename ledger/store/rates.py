"""Table `rates`: exchange rates as they came in. The newest one counts; a bet keeps the one that it locked."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Key, Rate
from ledger.store.statement import Statement, by_key
from runtime.arrays import Text, columns

LOAD = """
select r.tenant_id, r.base, r.quote, r.numerator, r.denominator, r.base_exponent::bigint, r.source, r.as_of
from unnest(%b::text[], %b::text[], %b::text[]) k(tenant_id, base, quote)
cross join lateral (
    select * from wagerledger.rates r
    where r.tenant_id = k.tenant_id and r.base = k.base and r.quote = k.quote
    order by r.as_of desc limit 1
) r
"""

LOAD_FROM = f"""
select distinct on (r.tenant_id, r.base, r.quote)
    r.tenant_id, r.base, r.quote, r.numerator, r.denominator, r.base_exponent::bigint, r.source, r.as_of
from unnest(%b::text[], %b::text[]) k(tenant_id, base)
{by_key("rates", "tenant_id", "base")}
order by r.tenant_id, r.base, r.quote, r.as_of desc
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.rates (tenant_id, base, quote, numerator, denominator, base_exponent, source, as_of)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
"""One unit of `base` is `numerator` / `denominator` units of `quote`. `as_of` is microseconds since the epoch.

A check violation where the tenant's wallets in `base`, or its other rates from there, have other decimals: its accounts
would be in two units.
"""

WRITTEN = """
select json_agg(r order by r.base, r.quote, r.as_of)
from wagerledger.rates r
join json_populate_recordset(null::wagerledger.rates, %s::json) given using (tenant_id, base, quote, as_of)
"""

LIST = """
select tenant_id, base, quote, numerator, denominator, base_exponent::bigint, source, as_of
from wagerledger.rates where tenant_id = %s order by base, quote, as_of desc
"""

LIST_NEWEST = """
select distinct on (base, quote)
    tenant_id, base, quote, numerator, denominator, base_exponent::bigint, source, as_of
from wagerledger.rates where tenant_id = %s order by base, quote, as_of desc
"""


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, columns((Text, Text, Text), (key[1:] for key in keys)))


def load_from(keys: Iterable[Key]) -> Statement:
    """For keys (RatesFrom, tenant, base)."""
    return Statement(LOAD_FROM, columns((Text, Text), (key[1:] for key in keys)))


def entity(row: Sequence[Any]) -> Rate:
    return Rate(*row)
