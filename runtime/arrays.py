"""Columns as PostgreSQL binary arrays.

A batch sends some seventy values per bet, each as an element of an array for `unnest`. psycopg's own list dumper looks
at every element in Python to find its type; here the column says its type once, and an element costs about a tenth.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from struct import Struct, calcsize, pack
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_HEADER = Struct(">iiIii")  # dimensions, has nulls, element type, length, lower bound
_NULL = b"\xff\xff\xff\xff"
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


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let `connection` send columns."""
    for dumper in _DUMPERS:
        connection.adapters.register_dumper(dumper.column, dumper)


# Most columns of a batch hold one value over and over (tenant, kind, a zero): that is found and made once.


def _variable(encode: Callable[[Any], bytes]) -> Callable[[Column], bytes]:
    def element(value: Any) -> bytes:
        if value is None:
            return _NULL
        data = encode(value)
        return len(data).to_bytes(4) + data

    def body(column: Column) -> bytes:
        if column.count(column[0]) == len(column):
            return element(column[0]) * len(column)
        return b"".join([element(value) for value in column])

    return body


def _fixed(code: str, offset: int = 0) -> Callable[[Column], bytes]:
    pack_element = Struct(f">i{code}").pack
    size = calcsize(f">{code}")

    def element(value: Any) -> bytes:
        return _NULL if value is None else pack_element(size, value - offset)

    def body(column: Column) -> bytes:
        if column.count(column[0]) == len(column):
            return element(column[0]) * len(column)
        return b"".join([element(value) for value in column])

    return body


def _dumper(kind: type[Column], body_of: Callable[[Column], bytes]) -> type[Dumper]:
    element = types[kind.element]

    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = element.array_oid
        column = kind

        def dump(self, obj: Column) -> bytes:
            return (
                _HEADER.pack(1, None in obj, element.oid, len(obj), 1) + body_of(obj)
                if obj
                else pack(">iiI", 0, 0, element.oid)
            )

    return ColumnDumper


_DUMPERS: list[Any] = [
    _dumper(Text, _variable(str.encode)),
    _dumper(Bytea, _variable(bytes)),
    _dumper(Int8, _fixed("q")),
    _dumper(Bool, _fixed("?")),
    _dumper(Timestamptz, _fixed("q", POSTGRES_EPOCH_US)),
]
