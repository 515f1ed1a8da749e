"""Columns of values as PostgreSQL's binary arrays. psycopg makes them element by element, which took most of the
projector's time; this does it a column at a time.

The arrays have few types, whatever their values: text[], bigint[], boolean[] and bytea[]. The statement casts them
(`%b::smallint[]`), so it is prepared once.
"""

import struct
from collections.abc import Callable, Collection, Sequence
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

HEADER = struct.Struct(">iiIii").pack
"""Dimensions, whether there are nulls, type of the elements, length, first index."""
LENGTH = struct.Struct(">i").pack
BIGINT = struct.Struct(">iq").pack
NULL = LENGTH(-1)


class TextArray(bytes):
    """A text[], ready to be sent."""


class BigintArray(bytes):
    """A bigint[], ready to be sent."""


class BooleanArray(bytes):
    """A boolean[], ready to be sent."""


class ByteaArray(bytes):
    """A bytea[], ready to be sent."""


def packed(column: Collection[Any]) -> bytes | Sequence[Any]:
    """The column as an array to send; as a list for psycopg where it has values of other types, or beyond 64 bits."""
    of = type(next((value for value in column if value is not None), ""))
    if of not in PACKED:
        return list(column)
    array, element_type, pack = PACKED[of]
    try:
        body = pack(column)
    except struct.error:
        return list(column)
    return array(HEADER(1, None in column, element_type, len(column), 1) + body)


def _texts(column: Collection[str | None]) -> bytes:
    """Many columns name few things, again and again: each is encoded once."""
    encoded = {value: NULL if value is None else _bytea(value.encode()) for value in set(column)}
    return b"".join(map(encoded.__getitem__, column))


def _bigints(column: Collection[int | None]) -> bytes:
    return b"".join([NULL if value is None else BIGINT(8, value) for value in column])


def _booleans(column: Collection[bool | None]) -> bytes:
    encoded = {None: NULL, True: b"\0\0\0\1\1", False: b"\0\0\0\1\0"}
    return b"".join(map(encoded.__getitem__, column))


def _byteas(column: Collection[bytes | None]) -> bytes:
    return b"".join([NULL if value is None else _bytea(value) for value in column])


def _bytea(value: bytes) -> bytes:
    return LENGTH(len(value)) + value


PACKED: dict[type, tuple[type[bytes], int, Callable[[Collection[Any]], bytes]]] = {
    str: (TextArray, 25, _texts),
    int: (BigintArray, 20, _bigints),
    bool: (BooleanArray, 16, _booleans),
    bytes: (ByteaArray, 17, _byteas),
}


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


for _array, _oid in ((TextArray, 1009), (BigintArray, 1016), (BooleanArray, 1000), (ByteaArray, 1001)):
    psycopg.adapters.register_dumper(_array, type(f"{_array.__name__}Dumper", (_PackedDumper,), {"oid": _oid}))
