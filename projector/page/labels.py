"""Numbers and times as people read them. Amounts are minor units with the decimals of their currency."""

from datetime import datetime, timedelta
from decimal import Decimal

NONE = "–"


def money(minor: int, exponent: int) -> str:
    return decimal(Decimal(minor).scaleb(-exponent))


def decimal(amount: Decimal) -> str:
    """With all its decimals, and a real minus."""
    return f"{amount:,f}".replace("-", "−")


def count(number: int | None) -> str:
    return NONE if number is None else f"{number:,}"


def counted(number: int, one: str) -> str:
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def compact(amount: Decimal) -> str:
    """A round number for an axis: 2.5k, 40M."""
    for limit, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(amount) >= limit:
            return f"{(amount / limit).normalize():f}{letter}".replace("-", "−")
    return f"{amount.normalize():f}".replace("-", "−")


def percent(part: int, whole: int) -> str:
    return f"{Decimal(100 * part) / whole:.1f} %".replace("-", "−") if whole else NONE


def moment(at: datetime | None) -> str:
    """To the second; the page says that it is UTC."""
    return NONE if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def lasting(time: timedelta | None) -> str:
    """In the two units that matter most, or one."""
    if time is None:
        return NONE
    seconds = max(0.0, time.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
