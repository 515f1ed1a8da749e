"""What a read model is made of, and how it writes."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import Cursor

Rows = Cursor[tuple[Any, ...]]


class Admitted(NamedTuple):
    """An event that is next in its stream."""

    record: dict[str, Any]
    """The decoded envelope."""
    partition: int
    """Of the topic; no two projectors work on one at the same time."""


@dataclass(frozen=True)
class Projection:
    """A read model: its tables (schema `projections`), its view (schema `bi`) and its fold.

    `apply` gets each event exactly once, each stream in its order, different streams in any order; its result may not
    depend on how events are split into batches. Whoever changes the DDL or the fold raises `version`.
    """

    name: str
    version: int
    ddl: str
    apply: Callable[[Sequence[Admitted], Rows], None]


def incoming(columns: str) -> str:
    """The from-item of a statement for `write`: the rows as `e`, from columns such as `bet_id text, win_minor bigint`.

    A column of type `moment` arrives as microseconds since the epoch and is a timestamptz in `e`.
    """
    names, types = zip(*(column.split() for column in columns.split(",")), strict=True)
    arrays = ", ".join(f"%b::{'bigint' if kind == 'moment' else kind}[]" for kind in types)
    rows = f"unnest({arrays}) as e ({', '.join(names)})"
    moments = {name for name, kind in zip(names, types, strict=True) if kind == "moment"}
    if not moments:
        return rows
    converted = ", ".join(f"projections.moment({name})" if name in moments else name for name in names)
    return f"(select {converted} from {rows}) as e ({', '.join(names)})"  # noqa: S608  # our own constants


def write(cursor: Rows, statement: str, rows: Collection[Sequence[Any]]) -> int:
    """Run a statement over many rows at once, one array per column. Returns how many rows of the table it touched."""
    if not rows:
        return 0
    # Binary, because psycopg escapes the elements of text arrays one by one, in Python.
    cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
    return cursor.rowcount
