"""Amounts: exact decimals at the edge, integer minor units inside. Nothing here rounds."""

import re
from typing import NamedTuple

MAX_EXPONENT = 9
MAX_AMOUNT_MINOR = 10**15
"""Cap of one amount. Far below 2^63, so that no sum of a wallet's history can overflow a column."""
MAX_BALANCE_MINOR = 10**17
"""Cap of one account of a wallet."""

_PLAIN = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?")

MAX_DIGITS = 18
"""On either side of the point, zeros at the ends not counted. Looked at before anything is computed."""

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)0*([0-9]{1,4}))?")


class Amount(NamedTuple):
    """A non-negative decimal, exactly: `unscaled` / 10^`scale`."""

    unscaled: int
    scale: int

    def to_minor(self, exponent: int) -> int | None:
        """Minor units at `exponent` decimals, or None when that is not a whole number of them."""
        if self.scale <= exponent:
            return int(self.unscaled * 10 ** (exponent - self.scale))
        whole, rest = divmod(self.unscaled, 10 ** (self.scale - exponent))
        return None if rest else whole

    def times_ten_to(self, power: int) -> "Amount":
        """The same in another unit, exactly."""
        scale = self.scale - power
        unscaled = self.unscaled * 10 ** max(-scale, 0)
        scale = max(scale, 0)
        while scale and unscaled % 10 == 0:
            unscaled, scale = unscaled // 10, scale - 1
        return Amount(unscaled, scale)

    def __str__(self) -> str:
        return format_minor(self.unscaled, self.scale)


def parse_amount(text: str) -> Amount | None:
    """Read a plain decimal, as people and reports write one: digits, optionally a point and more digits. No sign,
    exponent, blank or leading zero: those give None. What other programs send is read by `parse_number`.
    """
    signed = parse_number(text) if _PLAIN.fullmatch(text) else None
    return signed[1] if signed else None


def parse_number(text: str, max_digits: int = MAX_DIGITS) -> tuple[bool, Amount] | None:
    """Read a decimal by its value: `2`, `2.00`, `02.0` and `0.2E+1` are one number, and minus zero is zero. Whether it
    is below zero, and how much. None for what is no number or has more than `max_digits` on a side.

    Trailing zeros carry no meaning and are dropped, so that equal amounts compare equal. The work is bounded by the
    length of the text, whatever exponent it names.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent_sign, exponent = match.groups(default="")
    if not whole and not fraction:
        return None
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return False, Amount(0, 0)
    dropped = len(digits) - len(significant)
    scale = len(fraction) - dropped - (int(f"{exponent_sign}{exponent}") if exponent else 0)
    if scale > max_digits or len(significant) - scale > max_digits:
        return None
    if scale < 0:
        significant, scale = significant + "0" * -scale, 0
    return sign == "-", Amount(int(significant), scale)


def format_minor(amount_minor: int, exponent: int) -> str:
    """Minor units as a plain decimal with exactly `exponent` places: (1150, 2) is "11.50"."""
    if exponent == 0:
        return str(amount_minor)
    if amount_minor < 0:
        return f"-{format_minor(-amount_minor, exponent)}"
    digits = str(amount_minor).zfill(exponent + 1)
    return f"{digits[:-exponent]}.{digits[-exponent:]}"
