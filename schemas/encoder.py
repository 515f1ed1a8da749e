"""An Avro encoder for one schema, generated as straight-line Python: every bet writes an event, and walking the schema
for each took a tenth of a bet's time.

It knows the types that our schemas use and gives the bytes that fastavro gives (a test compares them); reading stays
with fastavro.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

Schema = dict[str, Any]


class _Varints(dict[int, bytes]):
    """Avro's longs: zigzag, then seven bits a byte, the lowest first. The common ones are kept."""

    def __missing__(self, number: int) -> bytes:
        if not -(1 << 63) <= number < 1 << 63:
            raise OverflowError(f"{number} does not fit into an Avro long")
        rest = number << 1 ^ number >> 63
        data = bytearray()
        while rest > 0x7F:
            data.append(rest & 0x7F | 0x80)
            rest >>= 7
        data.append(rest)
        return bytes(data)


_VARINTS = _Varints()
_VARINTS.update({number: _VARINTS[number] for number in range(-1024, 8192)})


def _fixed(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes instead of {size}")
    return data


def _array(items: list[Any], encode: Callable[[Any], bytes]) -> bytes:
    blocks = [_VARINTS[len(items)], *map(encode, items)] if items else []
    return b"".join([*blocks, b"\0"])


def encoder(schema: Schema) -> Callable[[dict[str, Any]], bytes]:
    """A function that takes a record of `schema` and gives its Avro bytes.

    That function raises TypeError, AttributeError, KeyError, ValueError or OverflowError for a value
    that does not fit.
    """
    return _Source().encoder(schema)


class _Source:
    """Python source for a schema: for each value an expression whose comma-separated parts are its bytes."""

    def __init__(self) -> None:
        booleans = b"\0", b"\1"
        self._names: dict[str, Any] = {"varints": _VARINTS, "fixed": _fixed, "array": _array, "booleans": booleans}
        self._types: dict[str, Schema] = {}
        self._fresh = map("v{}".format, count())

    def encoder(self, schema: Schema) -> Callable[[Any], bytes]:
        value = next(self._fresh)
        source = f"lambda {value}: b''.join(({self._parts(schema, value)},))"
        # The source is ours, made from our own schema files.
        made: Callable[[Any], bytes] = eval(source, self._names)  # noqa: S307
        return made

    def _parts(self, schema: Any, value: str) -> str:
        if isinstance(schema, list):
            return self._optional(schema, value)
        if isinstance(schema, str) and schema in self._types:
            return self._parts(self._types[schema], value)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(schema, dict) and "name" in schema:
            self._types[schema["name"]] = schema
        match kind:
            case "string":
                text = next(self._fresh)
                return f"varints[len({text} := {value}.encode())], {text}"
            case "long" | "int":
                return f"varints[{value}]"
            case "boolean":
                return f"booleans[{value}]"
            case "fixed":
                return f"fixed({value}, {schema['size']})"
            case "array":
                return f"array({value}, {self._named(self.encoder(schema['items']))})"
            case "record":
                return self._record(schema, value)
        raise TypeError(f"no encoder for the Avro type {kind!r}")

    def _optional(self, schema: list[Any], value: str) -> str:
        absent, present = schema
        if absent != "null":
            raise TypeError(f"no encoder for the Avro union {schema}")
        inner = next(self._fresh)
        return f"*((b'\\0',) if ({inner} := {value}) is None else (b'\\2', {self._parts(present, inner)}))"

    def _record(self, schema: Schema, value: str) -> str:
        record = next(self._fresh)
        parts: list[str] = []
        for field in schema["fields"]:
            # The first field names the record for the others.
            source = record if parts else f"({record} := {value})"
            name = repr(field["name"])
            found = f".get({name}, {self._named(field['default'])})" if "default" in field else f"[{name}]"
            parts.append(self._parts(field["type"], source + found))
        return ", ".join(parts)

    def _named(self, thing: Any) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = thing
        return name
