"""Columns as PostgreSQL binary arrays.

A batch sends some seventy values per bet, each as an element of an array for `unnest`. psycopg's own list dumper looks at every element in Python
to find its type; here the column says its type once, and an element costs about a tenth.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from struct import Struct, pack
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_HEADER = Struct(">iiIii")  # dimensions, has nulls, element type, length, lower bound
_NULL = b"\xff\xff\xff\xff"
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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
    element = "timestamptz"


def columns(kinds: Sequence[type[Column]], rows: Iterable[Sequence[Any]]) -> list[Column]:
    """Rows as the columns that `unnest` wants."""
    return [kind(column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)]


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let `connection` send columns."""
    for dumper in _DUMPERS:
        connection.adapters.register_dumper(dumper.column, dumper)


def _variable(encode: Callable[[Any], bytes]) -> Callable[[Column], bytes]:
    def body(column: Column) -> bytes:
        parts: list[bytes] = []
        for value in column:
            if value is None:
                parts.append(_NULL)
            else:
                data = encode(value)
                parts.append(len(data).to_bytes(4))
                parts.append(data)
        return b"".join(parts)

    return body


def _fixed(size: int, code: str, number: Callable[[Any], int] | None = None) -> Callable[[Column], bytes]:
    def body(column: Column) -> bytes:
        if None in column:
            return b"".join(_NULL if value is None else pack(f">i{code}", size, number(value) if number else value) for value in column)
        numbers = map(number, column) if number else column
        return pack(">" + f"i{code}" * len(column), *chain.from_iterable(zip(repeat(size), numbers)))  # noqa: B905  # `repeat` has no end

    return body


def _dumper(kind: type[Column], body_of: Callable[[Column], bytes]) -> type[Dumper]:
    element = types[kind.element]

    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = element.array_oid
        column = kind

        def dump(self, obj: Column) -> bytes:
            return _HEADER.pack(1, None in obj, element.oid, len(obj), 1) + body_of(obj) if obj else pack(">iiI", 0, 0, element.oid)

    return ColumnDumper


_DUMPERS: list[Any] = [
    _dumper(Text, _variable(str.encode)),
    _dumper(Bytea, _variable(bytes)),
    _dumper(Int8, _fixed(8, "q")),
    _dumper(Bool, _fixed(1, "?")),
    _dumper(Timestamptz, _fixed(8, "q", lambda time: (time - _POSTGRES_EPOCH) // _MICROSECOND)),
]
