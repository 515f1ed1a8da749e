"""An Avro decoder for one schema, generated as straight-line Python: the twin of `schemas/encoder.py`. Auditor and
projector decode every event there is, and walking the schema for each took twice the time.

It gives what fastavro gives and is stricter: exactly one record, lengths and branches in their bounds, nothing after
it. Nothing is allocated that the bytes do not hold. Types that our schemas do not use raise TypeError when a decoder is
made; reading those stays with fastavro.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

Schema = dict[str, Any]

LONGEST_VARINT = 10

# By the first byte of a length: how far the string reaches, with that byte; 0 where more must be looked at.
_REACH = tuple((byte >> 1) + 1 if byte < 128 and not byte & 1 else 0 for byte in range(256))
# By the first byte of a long: its value; None where more bytes belong to it.
_SMALL = tuple((byte >> 1 ^ -(byte & 1)) if byte < 128 else None for byte in range(256))


def _long(data: bytes, at: int) -> tuple[int, int]:
    """The long of several bytes at `at`, and where its last byte is."""
    number, shift = data[at] & 0x7F, 7
    while (byte := data[at := at + 1]) > 0x7F:
        number |= (byte & 0x7F) << shift
        shift += 7
    number |= byte << shift
    if shift > 7 * (LONGEST_VARINT - 1) or number >> 64:
        raise ValueError(f"the number that ends at byte {at} does not fit into 64 bits")
    return number >> 1 ^ -(number & 1), at


def _reach(data: bytes, at: int) -> tuple[int, int]:
    """Of a string with a longer length: where that ends, and where the text does."""
    length, last = _long(data, at)
    if length < 0:
        raise ValueError(f"the length at byte {at} is {length}")
    return last, last + 1 + length


def decoder(writer: Schema, reader: Schema | None = None) -> Callable[[bytes], dict[str, Any]]:
    """A function that takes the bytes of a record of `writer` and gives that record; where `reader` is given, as that
    schema has it: fields that it lacks are left out, and those that it adds have their defaults.

    That function raises ValueError for bytes that are not exactly one record. Raises TypeError, at once, where the
    schemas use types that it cannot read.
    """
    source = _Source(dict)
    made: Callable[[bytes], dict[str, Any]] = source.function(source.read(writer, reader or writer))
    return made


def picker(schema: Schema, fields: Sequence[str]) -> Callable[[bytes], tuple[Any, ...]]:
    """Like `decoder`, but gives only the `fields` (`payload.currency`: a field of a record inside), as a tuple, and
    records within them as tuples; texts are the bytes that they are in UTF-8. A field that the schema lacks is None. Of
    what is skipped only the lengths are looked at.
    """
    source = _Source(tuple, text="")
    found = source.pick(schema, fields)
    parts = {name: found.get(name, "None") for name in fields}
    made: Callable[[bytes], tuple[Any, ...]] = source.function(_display(tuple, parts))
    return made


def block_decoder(schema: Schema) -> Callable[[bytes, int], list[tuple[Any, ...]]]:
    """Like `decoder`, but for a block of records one after the other, each as a tuple. The function takes the bytes and
    how many records they are.
    """
    source = _Source(tuple)
    records = source.items("range(many)", schema, schema)
    made: Callable[[bytes, int], list[tuple[Any, ...]]] = source.function(records, "many")
    return made


def _display(made: type, parts: dict[str, str]) -> str:
    if made is tuple:
        return f"({', '.join(parts.values())},)" if parts else "()"
    return "{" + ", ".join(f"{name!r}: {part}" for name, part in parts.items()) + "}"


class _Source:
    """Python source of a decoder. `at` is the position in the bytes `data`; `read` and `skip` write statements that
    move it, and `read` gives the expression of what was read. Bounds need no checks: a slice past the end is shorter,
    and then the next byte, or the end, is not where it should be.
    """

    def __init__(self, made: type, text: str = ".decode()") -> None:
        self._made = made
        self._text = text
        self._lines: list[str] = []
        self._depth = 2
        self._fresh = map("v{}".format, count())
        self._written: dict[str, Schema] = {}
        self._wanted: dict[str, Schema] = {}
        self._open: set[int] = set()

    def function(self, result: str, *parameters: str) -> Any:
        lines = [
            f"def decode({', '.join(('data', *parameters))}):",
            " try:",
            "  at = 0",
            *self._lines,
            " except IndexError:",
            "  raise ValueError(f'the bytes end within a field, or byte {at} cannot be there') from None",
            " if at != len(data):",
            "  raise ValueError(f'{len(data)} bytes, and the record has {at}')",
            f" return {result}",
        ]
        names: dict[str, Any] = {"REACH": _REACH, "SMALL": _SMALL, "reach": _reach, "long": _long}
        # The source is ours, made from schemas; what these name is quoted.
        exec("\n".join(lines), names)  # noqa: S102
        return names["decode"]

    def read(self, schema: Any, reader: Any) -> str:
        schema, reader = _named(schema, self._written), _named(reader, self._wanted)
        if isinstance(schema, list):
            return self._optional(schema, reader)
        kind = _kind(schema)
        if kind != _kind(reader):
            raise TypeError(f"no decoder from the Avro type {schema} to {reader}")
        value = next(self._fresh)
        match kind:
            case "null":
                return "None"
            case "string" | "bytes":
                decoded = self._text if kind == "string" else ""
                self._line("to = at + REACH[data[at]]")
                self._line("if to == at: at, to = reach(data, at)")
                self._line(f"{value} = data[at + 1:to]{decoded}; at = to")
            case "long" | "int":
                self._line(f"{value} = SMALL[data[at]]")
                self._line(f"if {value} is None: {value}, at = long(data, at)")
                self._line("at += 1")
            case "boolean":
                self._line(f"{value} = (False, True)[data[at]]; at += 1")
            case "fixed" if schema["size"] == reader["size"] > 0:
                self._line(f"to = at + {int(schema['size'])}; {value} = data[at:to]; at = to")
            case "enum" if schema["symbols"] == reader["symbols"] and len(schema["symbols"]) <= 64:
                # A long, whose first byte is enough for so many.
                self._line(
                    f"{value} = {tuple(schema['symbols'])!r}[data[at] >> 1 if not data[at] & 1 else 64]; at += 1"
                )
            case "array":
                return self._array(schema["items"], reader["items"])
            case "record":
                return self._record(schema, reader)
            case _:
                raise TypeError(f"no decoder from the Avro type {schema} to {reader}")
        return value

    def skip(self, schema: Any) -> None:
        schema = _named(schema, self._written)
        if isinstance(schema, list):
            for _, branch in self._branches(schema):
                self.skip(branch)
        elif _kind(schema) in {"string", "bytes"}:
            self._line("at += REACH[data[at]] or reach(data, at)[1] - at")
        elif _kind(schema) in {"long", "int"}:
            self._line("while data[at] > 0x7F: at += 1")
            self._line("at += 1")
        elif _kind(schema) == "record":
            self.pick(schema, ())
        else:
            self.read(schema, schema)

    def pick(self, schema: Any, wanted: Collection[str], path: str = "") -> dict[str, str]:
        """The expressions of the wanted fields; the others are skipped."""
        schema, found = _named(schema, self._written), {}
        with self._inside(schema):
            for field in schema["fields"]:
                name = path + field["name"]
                if name in wanted:
                    found[name] = self.read(field["type"], field["type"])
                elif any(each.startswith(f"{name}.") for each in wanted):
                    found |= self.pick(field["type"], wanted, f"{name}.")
                else:
                    self.skip(field["type"])
        return found

    def items(self, each: str, schema: Any, reader: Any, value: str | None = None) -> str:
        """A list of as many items as the loop over `each` has turns."""
        if value is None:
            self._line(f"{(value := next(self._fresh))} = []")
        self._line(f"for _ in {each}:")
        self._depth += 1
        before = len(self._lines)
        item = self.read(schema, reader)
        if len(self._lines) == before:
            raise TypeError(f"no decoder for an array of {schema}: its items have no bytes")
        self._line(f"{value}.append({item})")
        self._depth -= 1
        return value

    def _array(self, schema: Any, reader: Any) -> str:
        value, many = next(self._fresh), next(self._fresh)
        self._line(f"{value} = []")
        self._line("while True:")
        self._depth += 1
        self._line(f"{many} = SMALL[data[at]]")
        self._line(f"if {many} is None: {many}, at = long(data, at)")
        self._line("at += 1")
        self._line(f"if {many} == 0: break")
        # A negative number of items is followed by their size, for those who skip them.
        self._line(f"if {many} < 0:")
        self._depth += 1
        self._line(f"{many} = -{many}")
        self.skip("long")
        self._depth -= 1
        self.items(f"range({many})", schema, reader, value)
        self._depth -= 1
        return value

    def _optional(self, schema: list[Any], reader: Any) -> str:
        if not isinstance(reader, list) or len(schema) != len(reader):
            raise TypeError(f"no decoder from the Avro union {schema} to {reader}")
        value = next(self._fresh)
        for index, branch in self._branches(schema):
            self._line(f"{value} = {self.read(branch, reader[index])}")
        return value

    def _branches(self, schema: list[Any]) -> Iterator[tuple[int, Any]]:
        """Each branch of a union in turn; what is written meanwhile is done where the bytes say so."""
        self._line(f"{(number := next(self._fresh))} = data[at]; at += 1")
        for index, branch in enumerate(schema[:64]):
            self._line(f"{'el' if index else ''}if {number} == {2 * index}:")
            self._depth += 1
            yield index, branch
            if self._lines[-1].endswith(":"):
                self._line("pass")
            self._depth -= 1
        self._line(f"else: raise ValueError(f'byte {{at - 1}} is {{{number}}}, which is no branch of the union there')")

    def _record(self, schema: Schema, reader: Schema) -> str:
        wanted, parts = {field["name"]: field for field in reader["fields"]}, {}
        with self._inside(schema):
            for field in schema["fields"]:
                name = field["name"]
                if name in wanted:
                    parts[name] = self.read(field["type"], wanted[name]["type"])
                else:
                    self.skip(field["type"])
        return _display(self._made, {name: parts.get(name) or _default(wanted[name]) for name in wanted})

    @contextmanager
    def _inside(self, schema: Schema) -> Iterator[None]:
        if id(schema) in self._open:
            raise TypeError(f"no decoder for the Avro type {schema['name']}: it is inside itself")
        self._open.add(id(schema))
        yield
        self._open.remove(id(schema))

    def _line(self, text: str) -> None:
        self._lines.append(" " * self._depth + text)


def _named(schema: Any, types: dict[str, Schema]) -> Any:
    """The schema of a name; its first mention defines it."""
    if isinstance(schema, str):
        return types.get(schema, schema)
    if isinstance(schema, dict) and "name" in schema:
        types[schema["name"]] = schema
    return schema


def _kind(schema: Any) -> Any:
    return schema["type"] if isinstance(schema, dict) else schema


def _default(field: dict[str, Any]) -> str:
    """The expression of a field's default, a new value each time."""
    if "default" not in field:
        raise TypeError(f"the Avro field {field['name']} is not written and has no default")
    type_ = field["type"]
    match _kind(type_[0] if isinstance(type_, list) else type_), field["default"]:
        case ("null", None) | ("boolean", bool()) | ("long" | "int", int()) | ("string", str()) | ("array", []):
            return repr(field["default"])
    raise TypeError(f"no decoder for the default of the Avro field {field}")
