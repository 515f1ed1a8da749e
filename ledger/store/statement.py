"""The shape that every table's file gives its SQL.

What looks rows up by their keys says so in a way that leaves the planner no choice: by `by_key` where it loads, with `=
any(array[…])` where it changes. Told by a plain join it would read a whole index for each batch, and go on with that,
where it was asked while the tables were analyzed and empty.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """SQL with its parameters, ready to run. `rows`: how many rows it must touch; None where any number is right."""

    sql: str
    params: Sequence[Any]
    rows: int | None = None

    @property
    def raising(self) -> "Statement":
        """The same, but the server itself raises where it changed another number of rows: for what is sent together
        with its COMMIT. Each row of an insert is there or raises anyway.
        """
        if self.rows is None or not self.sql.lstrip().startswith("update"):
            return self
        return Statement(
            f"with changed as ({self.sql} returning 1) {_COUNTED.format('changed')}", [*self.params, str(self.rows)]
        )

    @property
    def finds_nothing(self) -> "Statement":
        """The same query, but the server raises where it finds a row."""
        return Statement(f"with found as ({self.sql}) {_COUNTED.format('found')}", [*self.params, "0"])


_COUNTED = """
select case when n = wanted then 0 else (n || ' rows {0}, instead of ' || wanted)::integer end
from (select count(*) from {0}) c(n), (values (%b::text::bigint)) w(wanted)
"""
"""What raises is the cast of that text, which is then read in the error."""


def hashed(*parts: str) -> str:
    """The key of 16 bytes that the database makes of three texts, and has an index on."""
    return f"wagerledger.key_of({', '.join(parts)})"


def by_key(table: str, *columns: str, of: str = "k", hash_of: Sequence[str] = (), only: str = "") -> str:
    """Joins the rows of a table, under its initial, whose columns are those of `of`: each found by its key, or by the
    hashed one of the columns and texts `hash_of`. Their texts are compared in either case. `only`: the condition of an
    index that has not all rows.
    """
    alias = table[0]
    key = _same(alias, of, columns)
    if hash_of:
        key = f"{_hash(alias, columns, hash_of)} = {_hash(of, columns, hash_of)} and {key}"
    if only:
        key = f"{key} and {alias}.{only}"
    return f"cross join lateral (select * from wagerledger.{table} {alias} where {key} offset 0) {alias}"  # noqa: S608  # our own constants


def is_found(alias: str, of: str, *columns: str, hash_of: Sequence[str]) -> str:
    """The condition under which an update changes a row of `alias`: its hashed key is that of `of`, and so are its
    texts in `columns`. As an array of one the key is looked up, whatever the planner thinks of the number of rows.
    """
    wanted = _hash(of, columns, hash_of)
    return f"{_hash(alias, columns, hash_of)} = any(array[{wanted}]) and {_same(alias, of, columns)}"


def _same(alias: str, of: str, columns: Iterable[str]) -> str:
    return " and ".join(f"{alias}.{column} = {of}.{column}" for column in columns)


def _hash(alias: str, columns: Collection[str], hash_of: Iterable[str]) -> str:
    return hashed(*(f"{alias}.{part}" if part in columns else part for part in hash_of))
