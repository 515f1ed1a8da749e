"""Reading bodies: exactly what RFC 8259 allows, numbers untouched, everything else refused with a reason."""

import contextlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialect.strict_json import MAX_DEPTH, MalformedJsonError, Number, dump, parse_object

ACCEPTED = [
    b"{}",
    b' {"a" : [1, {"b": null}]}\r\n',
    '{"ä":"\U0001f3b0"}'.encode(),
    b'{"a":"\\ud83c\\udfb0"}',
    b'{"a":1e400,"b":-0}',
]
REFUSED = {
    "empty": b"",
    "blank": b" ",
    "no object": b"[]",
    "a string": b'"x"',
    "cut": b'{"a":1',
    "trailing": b"{} {}",
    "comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "comment": b"{/**/}",
    "bare name": b"{a:1}",
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "leading zero": b'{"a":01}',
    "plus": b'{"a":+1}',
    "dot": b'{"a":1.}',
    "hex": b'{"a":0x1}',
    "repeated name": b'{"a":1,"a":1}',
    "repeated name inside": b'{"a":{"b":1,"b":2}}',
    "repeated by escape": b'{"a":1,"\\u0061":2}',
    "control character": b'{"a":"\x00"}',
    "newline in a string": b'{"a":"\n"}',
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-8 of a surrogate": b'{"a":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"a":"\xc0\x80"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "lone surrogate": b'{"a":"\\ud800"}',
    "lone surrogate in a name": b'{"x":[{"\\udfff":1}]}',
    "swapped surrogates": b'{"a":"\\udfb0\\ud83c"}',
    "one level too deep": b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "very deep": b'{"a":' + b"[" * 30_000,
    "very deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}


@pytest.mark.parametrize("body", ACCEPTED)
def test_json_is_read(body: bytes) -> None:
    """What the RFC calls an object is one."""
    assert isinstance(parse_object(body), dict)


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(body: bytes) -> None:
    """One error with a reason, never a crash."""
    with pytest.raises(MalformedJsonError, match=r"\w+"):
        parse_object(body)


def test_the_deepest_allowed_body_is_read() -> None:
    """The limit itself is still fine, and many flat brackets are not depth."""
    assert parse_object(b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}")
    assert parse_object(b'{"a":[' + b",".join([b"[]"] * 100) + b"]}")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_numbers_keep_their_digits(value: object) -> None:
    """A number is handed on as its token."""
    number = parse_object(f'{{"a":{value:f}}}'.encode())["a"]
    assert isinstance(number, Number)
    assert number.token == f"{value:f}"


@given(st.binary(max_size=200), st.integers(0, 2**32))
def test_no_bytes_crash_the_reader(noise: bytes, seed: int) -> None:
    """Random bytes, and valid bodies with a few bytes changed, are read or refused."""
    body = bytearray(
        json.dumps(
            {"bet_id": "b", "amount": {"amount": 1.5, "currency": "EUR"}, "x": [None, True, "\U0001f3b0"]}
        ).encode()
    )
    source = random.Random(seed)
    for _ in range(3):
        body[source.randrange(len(body))] = source.randrange(256)
    for candidate in (noise, bytes(body)):
        with contextlib.suppress(MalformedJsonError):
            parse_object(candidate)


def test_what_is_written_is_compact_and_exact() -> None:
    """Decimals as their tokens, text in UTF-8, nothing between; a float is a bug."""
    content = {"é": 'a"\n', "n": [1, -2, True, False, None, Number("1.50")], "d": {"x": ()}}
    assert dump(content) == '{"é":"a\\"\\n","n":[1,-2,true,false,null,1.50],"d":{"x":[]}}'.encode()
    with pytest.raises(AssertionError, match="float"):
        dump({"amount": 1.5})
