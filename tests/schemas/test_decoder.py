"""The generated decoder against fastavro: on what was written, and on what no encoder wrote."""

from contextlib import suppress
from io import BytesIO

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decoder import block_decoder, decoder, picker
from schemas.events import EVENTS, _without_logical_types
from tests.schemas.test_encoder import values_of

HASH = {"type": "fixed", "name": "Hash", "size": 2}
POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "long"}, {"name": "y", "type": "string"}]}
KINDS = {"type": "enum", "name": "Kind", "symbols": ["event", "command"]}


def record(*types, defaults=()):
    fields = [{"name": f"f{n}", "type": type_} for n, type_ in enumerate(types)]
    for name, default in defaults:
        fields[name]["default"] = default
    return {"type": "record", "name": "Record", "fields": fields}


def written(schema, value):
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), value)
    return out.getvalue()


def by_fastavro(schema, data):
    source = BytesIO(data)
    value = schemaless_reader(source, schema)
    assert source.tell() == len(data)
    return value


def mutations(size):
    """What may happen to bytes: cut, longer, one bit flipped, one byte another."""
    places = st.integers(0, size - 1)
    return st.one_of(
        places.map(lambda at: lambda data: data[:at]),
        st.binary(min_size=1, max_size=3).map(lambda more: lambda data: data + more),
        st.tuples(places, st.integers(0, 7)).map(
            lambda flip: lambda data: data[: flip[0]] + bytes([data[flip[0]] ^ 1 << flip[1]]) + data[flip[0] + 1 :]
        ),
        st.tuples(places, st.binary(max_size=12)).map(
            lambda put: lambda data: data[: put[0]] + put[1] + data[put[0] + 1 :]
        ),
    )


@pytest.mark.parametrize("event_type", EVENTS)
@given(data=st.data())
@settings(max_examples=20)
def test_as_fastavro_reads_and_stricter(event_type, data):
    """Every event reads as fastavro reads it; of changed bytes it never makes anything else, and refuses with nothing
    but ValueError.
    """
    schema = _without_logical_types(EVENTS[event_type].schema)
    value = data.draw(values_of(schema, {}))
    body = written(schema, value)
    assert EVENTS[event_type].decode(body) == value
    wrong = data.draw(mutations(len(body)))(body)
    with suppress(ValueError):
        read = EVENTS[event_type].decode(wrong)
        assert read == by_fastavro(parse_schema(schema), wrong)


@pytest.mark.parametrize("event_type", EVENTS)
@given(data=st.data())
@settings(max_examples=6)
def test_picked_fields_are_those_of_the_whole(event_type, data):
    """Skipping over the other fields ends at the same place and gives the same values; it refuses what the structure
    of the bytes shows.
    """
    schema = _without_logical_types(EVENTS[event_type].schema)
    value = data.draw(values_of(schema, {}))
    body = written(schema, value)
    pick = EVENTS[event_type].picker("stream_version", "payload.currency", "postings", "payload.nothing")
    currency = value["payload"].get("currency")
    postings = [
        (each["account"].encode(), each["amount_minor"], each["currency"].encode()) for each in value["postings"]
    ]
    assert pick(body) == (value["stream_version"], None if currency is None else currency.encode(), postings, None)
    for wrong in (body[:-1], body + b"\0"):
        with pytest.raises(ValueError, match="bytes"):
            pick(wrong)
    with suppress(ValueError):
        pick(data.draw(mutations(len(body)))(body))


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (record("string"), b"\x01"),  # a length of -1
        (record("string"), b"\x02\xff"),  # no UTF-8
        (record("string"), b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01abc"),  # a length of 2^63 - 1
        (record("bytes"), b"\x04a"),
        (record("long"), b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),  # 65 bits
        (record("long"), b"\x80" * 11 + b"\0"),
        (record("long"), b"\x80"),
        (record("boolean"), b"\x02"),
        (record(["null", "long"]), b"\x04\0"),  # no such branch
        (record(["null", "long"]), b"\x01\0"),  # nor one before the first
        (record(HASH), b"a"),
        (record({"type": "array", "items": "long"}), b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"),
        (record(KINDS), b"\x04"),
        (record(KINDS), b"\x01"),
        (record("null"), b"\0"),  # more than the record
        (record("long"), b""),
    ],
)
def test_what_no_encoder_wrote_is_refused(schema, data):
    """Numbers beyond 64 bits, lengths beyond the bytes, branches that are not there, anything after the record: each a
    ValueError, at once.
    """
    with pytest.raises(ValueError):
        decoder(schema)(data)


def test_arrays_in_blocks():
    """An array may come in several blocks, with their sizes or without: the Avro specification says so."""
    decode = decoder(record({"type": "array", "items": "string"}))
    assert decode(b"\x02\x02a\x03\x08\x02b\x02c\0") == {"f0": ["a", "b", "c"]}


def test_a_block_of_records():
    """Records one after the other, as in a container file, exactly as many as were promised."""
    schema = record(KINDS, "bytes", ["null", POINT])
    values = [{"f0": "event", "f1": b"\0" * n, "f2": {"x": n, "y": "z" * n}} for n in range(0, 300, 50)]
    data = b"".join(written(schema, value) for value in values)
    decode = block_decoder(schema)
    assert decode(data, len(values)) == [(v["f0"], v["f1"], (v["f2"]["x"], v["f2"]["y"])) for v in values]
    for many in (len(values) - 1, len(values) + 1):
        with pytest.raises(ValueError, match="bytes"):
            decode(data, many)


def test_another_version_is_resolved():
    """Fields that the reader lacks are left out, also inside a record; those that it adds have their defaults."""
    old = record("string", {**POINT, "name": "Inner"}, "boolean")
    inner = {**POINT, "name": "Inner", "fields": [POINT["fields"][0], {"name": "z", "type": "long", "default": 7}]}
    new = record("string", inner, defaults=[])
    new["fields"] += [
        {"name": "more", "type": ["null", HASH], "default": None},
        {"name": "list", "type": {"type": "array", "items": "long"}, "default": []},
    ]
    body = written(old, {"f0": "a", "f1": {"x": 1, "y": "b"}, "f2": True})
    read = decoder(old, new)(body)
    assert read == {"f0": "a", "f1": {"x": 1, "z": 7}, "more": None, "list": []}
    read["list"].append(1)
    assert decoder(old, new)(body)["list"] == []


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        (record("double"), record("double")),
        (record({"type": "map", "values": "long"}), record({"type": "map", "values": "long"})),
        (record("int"), record("string")),
        (record("string"), record("string", "string")),
        (record(["null", "string"]), record("string")),
        (record({"type": "array", "items": "null"}), record({"type": "array", "items": "null"})),
        (record(["null", "Record"]), record(["null", "Record"])),
    ],
)
def test_what_it_cannot_read_it_says(writer, reader):
    """A schema or a difference that no decoder is made for is a TypeError when it is made, never a wrong value later."""
    with pytest.raises(TypeError, match=r"no decoder|no default"):
        decoder(writer, reader)


def test_nothing_of_a_schema_is_run():
    """Names come from a registry too: they are values in what is generated, never code."""
    name = "x'}; import os; {'"
    schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": "long"}]}
    assert decoder(schema)(b"\x02") == {name: 1}
    assert picker(schema, [name])(b"\x02") == (1,)
