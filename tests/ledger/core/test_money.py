"""Numbers as others write them."""

import time

import pytest

from ledger.core.money import Amount, parse_amount, parse_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000", Amount(1000, 0)),
        ("1.0E+3", Amount(1000, 0)),
        ("1E3", Amount(1000, 0)),
        ("001000.00", Amount(1000, 0)),
        ("100000E-2", Amount(1000, 0)),
        ("10.65", Amount(1065, 2)),
        ("1.065e1", Amount(1065, 2)),
        (".5", Amount(5, 1)),
        ("5.", Amount(5, 0)),
        ("1E-18", Amount(1, 18)),
        ("0", Amount(0, 0)),
        ("-0.0", Amount(0, 0)),
        ("0." + "0" * 60_000, Amount(0, 0)),
        ("0E9999", Amount(0, 0)),
        ("1" + "0" * 60 + "E-60", Amount(1, 0)),
    ],
)
def test_a_number_counts_by_its_value(text: str, value: Amount) -> None:
    """One value, one amount."""
    assert parse_number(text) == (False, value)
    negative = bool(value.unscaled)
    assert parse_number(f"-{text.removeprefix('-')}") == (negative, value)


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "e5", "1e", "1e+", "1 ", " 1", "1_0", "0x1", "NaN", "Infinity", "1,0", "\u0661", "1e1.5", "1E18", "1E-19"],
)  # fmt: skip
def test_what_is_no_number_is_none(text: str) -> None:
    """Nor is what has more digits than any amount."""
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "text", ["9" * 65_000, "9" * 65_000 + "x", "1E" + "9" * 65_000, "1E" + "0" * 65_000 + "x", "0." + "0" * 65_000 + "x", "1E9999", "1E-9999"]
)  # fmt: skip
def test_a_bomb_costs_nothing(text: str) -> None:
    """However large the number would be, only its text is read, once."""
    started = time.process_time()
    assert parse_number(text) is None
    assert time.process_time() - started < 0.5


def test_people_write_plain_decimals() -> None:
    """At a command line 1e3 is more likely a slip than an amount."""
    assert parse_amount("14.60") == Amount(146, 1)
    for text in ("1e3", "-1", "-0", "01", "1.", ".5", "+1", "1" * 19):
        assert parse_amount(text) is None
