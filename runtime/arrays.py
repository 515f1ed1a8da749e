"""Columns of values as PostgreSQL's binary arrays, for `unnest`.

A batch of the journal sends some seventy values per bet so, and the projector all that it folds. psycopg's own list
dumper looks at every element in Python to find its type; here the column says its type once, and an element costs about
a tenth.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from struct import Struct, error, pack
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_HEADER = Struct(">iiIii")  # dimensions, has nulls, element type, length, lower bound
_NULL = b"\xff\xff\xff\xff"
_INT8 = Struct(">iq").pack
_BOOLS = {None: _NULL, True: b"\0\0\0\1\1", False: b"\0\0\0\1\0"}
POSTGRES_EPOCH_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""PostgreSQL counts microseconds from 2000; add this for those since 1970."""


class Column(list[Any]):
    """A column of values of one type, with nulls where they are None."""

    element: str


class Text(Column):
    element = "text"


class Int8(Column):
    element = "int8"


class Bytea(Column):
    element = "bytea"


class Bool(Column):
    element = "bool"


class Timestamptz(Column):
    """Microseconds since the epoch."""

    element = "timestamptz"


def columns(kinds: Sequence[type[Column]], rows: Iterable[Sequence[Any]]) -> list[Column]:
    """Rows as the columns that `unnest` wants."""
    found = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return [kind(column) for kind, column in zip(kinds, found, strict=True)]


def column_of(values: Sequence[Any]) -> Sequence[Any]:
    """A column of the type that its values have; the values as they are, for psycopg, where none fits: other types, or
    integers beyond 64 bits.
    """
    kind = _KINDS.get(type(next((value for value in values if value is not None), "")))
    if kind is None or (kind is Int8 and not _fit(values)):
        return list(values)
    return kind(values)


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let `connection` send columns."""
    for dumper in _DUMPERS:
        connection.adapters.register_dumper(dumper.column, dumper)


_KINDS: dict[type, type[Column]] = {str: Text, int: Int8, bool: Bool, bytes: Bytea}


def _fit(values: Sequence[int | None]) -> bool:
    numbers = [value for value in values if value is not None]
    try:
        pack(f"{len(numbers)}q", *numbers)
    except error:
        return False
    return True


def _texts(column: Sequence[str | None]) -> bytes:
    return b"".join([_NULL if value is None else len(data := value.encode()).to_bytes(4) + data for value in column])


def _byteas(column: Sequence[bytes | None]) -> bytes:
    return b"".join([_NULL if value is None else len(value).to_bytes(4) + value for value in column])


def _int8s(column: Sequence[int | None]) -> bytes:
    return b"".join([_NULL if value is None else _INT8(8, value) for value in column])


def _timestamps(column: Sequence[int | None]) -> bytes:
    return b"".join([_NULL if value is None else _INT8(8, value - POSTGRES_EPOCH_US) for value in column])


def _bools(column: Sequence[bool | None]) -> bytes:
    return b"".join(map(_BOOLS.__getitem__, column))


def _dumper(kind: type[Column], body_of: Callable[[Sequence[Any]], bytes]) -> type[Dumper]:
    element = types[kind.element]

    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = element.array_oid
        column = kind

        def dump(self, obj: Column) -> bytes:
            if not obj:
                return pack(">iiI", 0, 0, element.oid)
            header = _HEADER.pack(1, None in obj, element.oid, len(obj), 1)
            # Most columns of a batch hold one value over and over (tenant, kind, a zero): that is made once.
            if obj.count(obj[0]) == len(obj):
                return header + body_of(obj[:1]) * len(obj)
            return header + body_of(obj)

    return ColumnDumper


_DUMPERS: list[Any] = [
    _dumper(Text, _texts),
    _dumper(Bytea, _byteas),
    _dumper(Int8, _int8s),
    _dumper(Bool, _bools),
    _dumper(Timestamptz, _timestamps),
]
