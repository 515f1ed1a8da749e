"""What fields take: flags, times, what only informs, and forms."""

from typing import Any

import pytest

from gateway import metrics
from gateway.dialect.bodies import Body, form_fields, validated
from gateway.dialect.errors import Unreadable
from gateway.dialect.fields import Flag, Moment, Natural, Noted, ProviderId
from gateway.dialect.incoming import head_of
from gateway.dialect.strict_json import Number

AT_US = 1_758_326_400_000_000


class Note(Body):
    at: Noted[Moment] = None
    flag: Noted[Flag] = None
    code: Noted[ProviderId] = None
    about: Noted[dict[str, Any]] = None
    amount: Natural = 0


@pytest.mark.parametrize(
    ("sent", "at_us"),
    [
        (Number("1758326400"), AT_US),
        (Number("1.7583264005E9"), AT_US + 500_000),
        ("1758326400000", AT_US),
        ("1758326400000123", AT_US + 123),
        ("1758326400000.0", AT_US),
        ("2025-09-20T00:00:00Z", AT_US),
        ("2025-09-20 02:00:00+02:00", AT_US),
        ("2025-09-20 00:00:00", AT_US),
    ],
)
def test_a_time_tells_its_unit(sent: object, at_us: int) -> None:
    """Seconds, milliseconds and microseconds of two centuries have different lengths."""
    assert validated(Note, {"at": sent}).at == at_us


@pytest.mark.parametrize(
    "sent",
    [Number("0"), Number("-1758326400"), Number("99999999999999999"), Number("1E30"), "soon", "0001-01-01T00:00:00+14:00", "9999-12-31",
     "2025-13-01", True, [1], {"a": 1}],
)  # fmt: skip
def test_what_only_informs_is_left_out_and_counted(sent: object) -> None:
    """No reader of events would be sure to show it, and no money waits for it."""
    counter = metrics.LEFT_OUT.labels("canonical", "at")
    before = counter._value.get()
    assert validated(Note, {"at": sent, "amount": Number("1E2")}).amount == 100
    assert validated(Note, {"at": sent}).at is None
    assert counter._value.get() == before + 2


def test_nothing_has_many_spellings() -> None:
    """An empty list for an object says nothing, and is not counted as a fault."""
    counter = metrics.LEFT_OUT.labels("canonical", "about")
    before = counter._value.get()
    for nothing in (None, "", [], {}):
        assert validated(Note, {"about": nothing}).about is None
    assert counter._value.get() == before


def test_truth_and_codes_as_numbers() -> None:
    """1 is true, and a code that is a whole number is its digits."""
    for sent, flag in (("1", True), ("TRUE", True), (Number("1.0"), True), (Number("0"), False), (False, False)):
        assert validated(Note, {"flag": sent}).flag is flag
    assert validated(Note, {"flag": Number("2")}).flag is None
    assert validated(Note, {"code": Number("5.02E2")}).code == "502"
    assert validated(Note, {"code": True}).code is None


@pytest.mark.parametrize("sent", [b"a=1&b=2&", b"&a=1&&b=2", b"a=1&&&b=2&&"])
def test_an_empty_pair_is_none(sent: bytes) -> None:
    """As the URL standard reads forms."""
    assert form_fields(sent) == {"a": "1", "b": "2"}


def test_a_form_is_strict_otherwise() -> None:
    """A name without a value, a broken escape and a repeated name are refused; a long list is not."""
    for broken in (b"a", b"a=1&a=2", b"a=\xff"):
        with pytest.raises(Unreadable):
            form_fields(broken)
    assert len(form_fields(b"&".join(b"a%d=1" % number for number in range(2_000)))) == 2_000


def test_blanks_around_a_header_are_no_part_of_it() -> None:
    """RFC 9110, 5.5."""
    head = head_of(
        {"method": "GET", "headers": [(b"x-sign", b" \tab c\t ")], "query_string": b"", "raw_path": b"/"}
    )  # fmt: skip
    assert head.headers == {b"x-sign": b"ab c"}
