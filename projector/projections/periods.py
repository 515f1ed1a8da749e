"""Hours, days and months in UTC, of times in microseconds since the epoch."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

HOUR_US = 3600 * 10**6
DAY_US = 24 * HOUR_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(time_us: int) -> int:
    """The beginning of a time's hour, in microseconds since the epoch."""
    return time_us - time_us % HOUR_US


def day_of(time_us: int) -> int:
    """The beginning of a time's day, in microseconds since the epoch."""
    return time_us - time_us % DAY_US


def month_of(time_us: int) -> int:
    """The month of a time as one number: 12 * year + month - 1."""
    return _month_of_day(time_us // DAY_US)


@lru_cache(maxsize=1000)
def _month_of_day(day: int) -> int:
    date = EPOCH + timedelta(days=day)
    return 12 * date.year + date.month - 1
