"""Table `rates`: exchange rates as they came in. The newest one counts; a bet keeps the one that it locked."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Key, Rate
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key

COLUMNS = ColumnList("""
    tenant_id text, base text, quote text, numerator bigint, denominator bigint, base_exponent bigint::smallint,
    source text, as_of bigint
""")
"""The fields of an entity, in their order. One unit of `base` is `numerator` / `denominator` units of `quote`. `as_of`
is microseconds since the epoch.
"""
RECORDED = COLUMNS + ColumnList("recorded_at timestamptz")
"""With the time that the database gave it: what an administrative action keeps."""
KEY = COLUMNS.only("tenant_id", "base", "quote")
OF_BASE = COLUMNS.only("tenant_id", "base")

LOAD = f"""
select {COLUMNS.of("r")}
from {KEY.rows("k")}
cross join lateral (
    select * from wagerledger.rates r
    where r.tenant_id = k.tenant_id and r.base = k.base and r.quote = k.quote
    order by r.as_of desc limit 1
) r
"""  # noqa: S608  # our own constants

LOAD_FROM = f"""
select distinct on (r.tenant_id, r.base, r.quote)
    {COLUMNS.of("r")}
from {OF_BASE.rows("k")}
{by_key("rates", *OF_BASE)}
order by r.tenant_id, r.base, r.quote, r.as_of desc
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.rates ({COLUMNS})
values ({COLUMNS.values})
"""  # noqa: S608  # our own constants
"""A check violation where the tenant's wallets in `base`, or its other rates from there, have other decimals: its
accounts would be in two units.
"""

WRITTEN = """
select json_agg(r order by r.base, r.quote, r.as_of)
from wagerledger.rates r
join json_populate_recordset(null::wagerledger.rates, %s::json) given using (tenant_id, base, quote, as_of)
"""

LIST = f"""
select {COLUMNS.read}
from wagerledger.rates where tenant_id = %s order by base, quote, as_of desc
"""  # noqa: S608  # our own constants

LIST_NEWEST = f"""
select distinct on (base, quote)
    {COLUMNS.read}
from wagerledger.rates where tenant_id = %s order by base, quote, as_of desc
"""  # noqa: S608  # our own constants


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, KEY.packed(key[1:] for key in keys))


def load_from(keys: Iterable[Key]) -> Statement:
    """For keys (RatesFrom, tenant, base)."""
    return Statement(LOAD_FROM, OF_BASE.packed(key[1:] for key in keys))


def entity(row: Sequence[Any]) -> Rate:
    return Rate(*row)
