"""Amounts both ways: a provider's own units, and ours."""

from functools import cache

from gateway.dialect.errors import Unreadable
from ledger.core.currencies import decimals
from ledger.core.money import Amount, format_minor, parse_amount


def scaled(units: int, exponent: int) -> Amount:
    """A provider's whole units at its own `exponent` as an amount: (1150, 2) is 11.5. Raises Unreadable FIELD_INVALID
    for a negative one, or one of too many digits.
    """
    amount = parse_amount(format_minor(units, exponent))
    if amount is None:
        raise Unreadable("FIELD_INVALID", field="amount", reason="must not be negative, and at most 18 digits a side")
    return amount


_EXPONENT = r"[A-Z][A-Z0-9_]{2,15}:(?:[0-9]|1[0-8])"
MINOR_EXPONENTS = rf"(?:{_EXPONENT}(?:,{_EXPONENT})*)?"
"""The pattern of an option that lists the decimals of currencies, such as JPY:0,BTC:8; see `minor_exponent`."""


@cache
def minor_exponent(currency: str, listed: str = "") -> int:
    """Decimals of a provider's own minor units: as `listed` for our currencies ("JPY:0,BTC:8"), else those of the
    currency itself. The wallet's own may be others. Raises Unreadable CURRENCY_NOT_SUPPORTED where nobody says them.
    """
    for entry in filter(None, listed.split(",")):
        code, _, said = entry.partition(":")
        if code.strip() == currency:
            return int(said)
    places = decimals(currency)
    if places is None:
        raise Unreadable("CURRENCY_NOT_SUPPORTED", currency=currency, field="currency", reason="has no known decimals")
    return places


def rescaled(amount_minor: int, exponent: int, to_exponent: int) -> int:
    """Minor units at another exponent, rounded down: a balance for a provider that counts with other decimals."""
    if to_exponent >= exponent:
        return int(amount_minor * 10 ** (to_exponent - exponent))
    return int(amount_minor // 10 ** (exponent - to_exponent))


def decimal(amount_minor: int, exponent: int, places: int | None = None) -> str:
    """Minor units at `exponent` as a plain decimal, such as 11.50; with `places` decimals, rounded down, where the
    provider fixes them.
    """
    if places is None:
        return format_minor(amount_minor, exponent)
    return format_minor(rescaled(amount_minor, exponent, places), places)
