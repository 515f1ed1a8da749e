"""The generated encoder against fastavro."""

from io import BytesIO

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.encoder import encoder
from schemas.events import EVENTS, VARIANTS, _without_logical_types


def values_of(schema, types):
    """Any value of a schema, with the names that were defined on the way."""
    if isinstance(schema, list):
        return st.one_of([values_of(part, types) for part in schema])
    if isinstance(schema, str) and schema in types:
        return values_of(types[schema], types)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and "name" in schema:
        types[schema["name"]] = schema
    match kind:
        case "null":
            return st.none()
        case "string":
            return st.text(st.characters(codec="utf-8"))
        case "long":
            return st.integers(-(2**63), 2**63 - 1)
        case "int":
            return st.integers(-(2**31), 2**31 - 1)
        case "boolean":
            return st.booleans()
        case "fixed":
            return st.binary(min_size=schema["size"], max_size=schema["size"])
        case "array":
            return st.lists(values_of(schema["items"], types), max_size=3)
    return st.fixed_dictionaries({field["name"]: values_of(field["type"], types) for field in schema["fields"]})


TYPES = EVENTS | VARIANTS


@pytest.mark.parametrize("event_type", TYPES)
@given(data=st.data())
@settings(max_examples=30)
def test_same_bytes_as_fastavro(event_type, data):
    """Whatever an event holds, its bytes are those of the Avro specification as fastavro writes them."""
    schema = _without_logical_types(TYPES[event_type].schema)
    record = data.draw(values_of(schema, {}))
    expected = BytesIO()
    schemaless_writer(expected, parse_schema(schema), record)
    assert TYPES[event_type].encode(record) == expected.getvalue()


@pytest.mark.parametrize(
    ("schema", "value", "error"),
    [
        ("long", 2**63, OverflowError),
        ("long", None, TypeError),
        ("string", None, AttributeError),
        ("string", 1, AttributeError),
        ({"type": "fixed", "name": "Hash", "size": 32}, bytes(31), ValueError),
    ],
)
def test_a_wrong_value_is_no_event(schema, value, error):
    """A value that does not fit its field raises; nothing wrong is written."""
    record = {"type": "record", "name": "One", "fields": [{"name": "field", "type": schema}]}
    with pytest.raises(error):
        encoder(record)({"field": value})


def test_a_field_that_is_missing_is_no_event():
    """A field without a default must be there; one with a default need not."""
    fields = [{"name": "needed", "type": "long"}, {"name": "more", "type": "long", "default": 3}]
    encode = encoder({"type": "record", "name": "Two", "fields": fields})
    assert encode({"needed": 1}) == b"\x02\x06"
    with pytest.raises(KeyError):
        encode({"more": 1})
