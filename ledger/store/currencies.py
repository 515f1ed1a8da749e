"""Table `currencies`: the decimals of each currency of a tenant."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Currency, Key
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key

COLUMNS = ColumnList("tenant_id text, currency text, exponent bigint")
"""The fields of an entity, in their order."""
KEY = COLUMNS.only("tenant_id", "currency")

LOAD = f"""
select {COLUMNS.of("c")}
from {KEY.rows("k")}
{by_key("currencies", *KEY)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.currencies ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, KEY.packed(key[1:] for key in keys))


def entity(row: Sequence[Any]) -> Currency:
    return Currency(*row)


def insert(currencies: Sequence[Currency]) -> Statement:
    return Statement(INSERT, COLUMNS.packed(map(COLUMNS.row, currencies)), len(currencies))
