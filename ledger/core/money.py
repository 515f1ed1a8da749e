"""Amounts: exact decimals at the edge, integer minor units inside. Nothing here rounds."""

import re
from typing import NamedTuple

MAX_EXPONENT = 9
MAX_AMOUNT_MINOR = 10**15
"""Cap of one amount. Far below 2^63, so that no sum of a wallet's history can overflow a column."""
MAX_BALANCE_MINOR = 10**17
"""Cap of one account of a wallet."""

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?")


class Amount(NamedTuple):
    """A non-negative decimal as it was written: `unscaled` / 10^`scale`."""

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
    """Read a plain decimal: digits, optionally a point and more digits. No sign, exponent, blank or leading zero: those
    give None.

    Trailing zeros carry no meaning (2.00 and 2 are one amount) and are dropped, so that equal amounts compare equal.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    fraction = (match[2] or "").rstrip("0")
    return Amount(int(match[1] + fraction), len(fraction))


def format_minor(amount_minor: int, exponent: int) -> str:
    """Minor units as a plain decimal with exactly `exponent` places: (1150, 2) is "11.50"."""
    if exponent == 0:
        return str(amount_minor)
    sign = "-" if amount_minor < 0 else ""
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"
