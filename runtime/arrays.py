"""Columns of values as PostgreSQL's binary arrays, for `unnest`.

A batch of the journal sends some seventy values per bet so, and the projector all that it folds. psycopg's own list
dumper looks at every element in Python to find its type; here the column says its type once, and an element costs about
a tenth.
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from struct import Struct, pack
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_HEADER = Struct(">iiIii")  # dimensions, has nulls, element type, length, lower bound
_NULL = b"\xff\xff\xff\xff"
_LONG = Struct(">iq").pack
_LENGTHS = [f"\0\0\0{chr(length)}" for length in range(128)]
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
        connection.adapters.register_dumper(dumper.kind_of_array, dumper)


_KINDS: dict[type, type[Array]] = {str: Text, int: Int8, bool: Bool, bytes: Bytea}


def _fit(values: Sequence[int | None]) -> bool:
    try:
        array("q", [value for value in values if value is not None] if None in values else values)  # type: ignore[type-var]
    except OverflowError:
        return False
    return True


# Each makes the elements of a whole array in one turn: a call per element would cost as much again as the element.


def _texts(values: Sequence[str | None]) -> bytes:
    """Short ASCII texts, as ids are, are their own bytes, with a length that is one ASCII character: joined first, they
    are encoded in one go.
    """
    with suppress(TypeError, IndexError):  # a null, a long one
        texts = "".join([_LENGTHS[len(value)] + value for value in values])  # type: ignore[arg-type, operator]
        if texts.isascii():
            return texts.encode()
    return _byteas([None if value is None else value.encode() for value in values])


def _byteas(values: Iterable[bytes | None]) -> bytes:
    return b"".join([_NULL if value is None else len(value).to_bytes(4) + value for value in values])


def _int8s(values: Sequence[int | None]) -> bytes:
    try:
        numbers = array("q", values)  # type: ignore[type-var]
    except TypeError:  # a null
        return b"".join([_NULL if value is None else _LONG(8, value) for value in values])
    if sys.byteorder == "little":
        numbers.byteswap()
    whole, elements = numbers.tobytes(), bytearray(_LONG(8, 0) * len(numbers))
    for at in range(8):
        elements[4 + at :: 12] = whole[at::8]
    return bytes(elements)


def _timestamps(values: Sequence[int | None]) -> bytes:
    return _int8s([None if value is None else value - POSTGRES_EPOCH_US for value in values])


def _bools(values: Iterable[bool | None]) -> bytes:
    return b"".join([_BOOLS[value] for value in values])


def _dumper(kind: type[Array], encode: Callable[[Sequence[Any]], bytes]) -> type[Dumper]:
    element = types[kind.element]

    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = element.array_oid
        kind_of_array = kind

        def dump(self, obj: Array) -> bytes:
            if not obj:
                return pack(">iiI", 0, 0, element.oid)
            # That there may be nulls: the server looks for itself.
            header = _HEADER.pack(1, True, element.oid, len(obj), 1)
            # Most columns of a batch hold one value over and over (tenant, kind, a zero): that is made once.
            if obj[0] == obj[-1] and obj.count(obj[0]) == len(obj):
                return header + encode(obj[:1]) * len(obj)
            return header + encode(obj)

    return ArrayDumper


_DUMPERS: list[Any] = [
    _dumper(Text, _texts),
    _dumper(Bytea, _byteas),
    _dumper(Int8, _int8s),
    _dumper(Bool, _bools),
    _dumper(Timestamptz, _timestamps),
]
