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
_LONG = Struct(">iq").pack
_BOOLS = {None: _NULL, True: b"\0\0\0\1\1", False: b"\0\0\0\1\0"}
POSTGRES_EPOCH_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""PostgreSQL counts microseconds from 2000; add this for those since 1970."""


class Array(list[Any]):
    """A column of values of one type, with nulls where they are None."""

    element: str


class Text(Array):
    element = "text"


class Int8(Array):
    element = "int8"


class Bytea(Array):
    element = "bytea"


class Bool(Array):
    element = "bool"


class Timestamptz(Array):
    """Microseconds since the epoch."""

    element = "timestamptz"


def arrays_of(kinds: Sequence[type[Array]], rows: Iterable[Sequence[Any]]) -> list[Array]:
    """Rows as one array for each column, of these kinds: what `unnest` wants."""
    found = list(zip(*rows, strict=True)) or [()] * len(kinds)
    return [kind(column) for kind, column in zip(kinds, found, strict=True)]


def array_of(values: Sequence[Any]) -> Sequence[Any]:
    """An array of the kind that its values have; the values as they are, for psycopg, where none fits: other types, or
    integers beyond 64 bits.
    """
    kind = _KINDS.get(type(next((value for value in values if value is not None), "")))
    if kind is None or (kind is Int8 and not _fit(values)):
        return list(values)
    return kind(values)


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let `connection` send arrays."""
    for dumper in _DUMPERS:
        connection.adapters.register_dumper(dumper.array, dumper)


_KINDS: dict[type, type[Array]] = {str: Text, int: Int8, bool: Bool, bytes: Bytea}


def _fit(values: Sequence[int | None]) -> bool:
    numbers = [value for value in values if value is not None]
    try:
        pack(f"{len(numbers)}q", *numbers)
    except error:
        return False
    return True


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    data = value.encode()
    return len(data).to_bytes(4) + data


def _bytea(value: bytes | None) -> bytes:
    return _NULL if value is None else len(value).to_bytes(4) + value


def _int8(value: int | None) -> bytes:
    return _NULL if value is None else _LONG(8, value)


def _timestamp(value: int | None) -> bytes:
    return _NULL if value is None else _LONG(8, value - POSTGRES_EPOCH_US)


def _dumper(kind: type[Array], encode: Callable[[Any], bytes]) -> type[Dumper]:
    element = types[kind.element]

    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = element.array_oid
        array = kind

        def dump(self, obj: Array) -> bytes:
            if not obj:
                return pack(">iiI", 0, 0, element.oid)
            header = _HEADER.pack(1, None in obj, element.oid, len(obj), 1)
            # Most columns of a batch hold one value over and over (tenant, kind, a zero): that is made once.
            if obj.count(obj[0]) == len(obj):
                return header + encode(obj[0]) * len(obj)
            return header + b"".join(map(encode, obj))

    return ArrayDumper


_DUMPERS: list[Any] = [
    _dumper(Text, _text),
    _dumper(Bytea, _bytea),
    _dumper(Int8, _int8),
    _dumper(Bool, _BOOLS.__getitem__),
    _dumper(Timestamptz, _timestamp),
]
