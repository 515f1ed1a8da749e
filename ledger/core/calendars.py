"""Calendars: which day, week or month a moment lies in, where a limit is counted.

A calendar is a table of the instants at which its offset from UTC changes, made of the rule that is law there. It
stands in the code with its version and never changes: a new law is the next version, so that a fold in ten years finds
the same days, whatever the machine of then knows of time zones.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

DAY: Final = "day"
WEEK: Final = "week"
MONTH: Final = "month"
UTC: Final = "UTC@1"
"""The calendar of who has chosen none."""

FIRST_YEAR, LAST_YEAR = 2020, 2099
"""The years whose changes of clocks the tables know. Before and after, the offset of their ends stays."""

_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US
_DAY_US = 24 * _HOUR_US
_QUARTER_US = _HOUR_US // 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC_ZONE)
_MONDAY = 4
"""The first Monday, in days since the epoch, which was a Thursday."""


class Period(NamedTuple):
    """A span of time, microseconds since the epoch: `from_us` belongs to it, `until_us` does not."""

    from_us: int
    until_us: int


class Windows(NamedTuple):
    """The day, the week and the month in which one moment lies."""

    day: Period
    week: Period
    month: Period


class Calendar:
    """The days, weeks and months of one place. A day is from midnight to midnight there, so that it has 23 or 25 hours
    where the clocks change; weeks begin on Monday.
    """

    def __init__(self, changes: Sequence[tuple[int, int]]) -> None:
        self.changes = tuple(changes)
        """When the clocks are set, and how far they are ahead of UTC then: microseconds both."""
        self._instants = [instant for instant, _ in changes]
        self._offsets = [offset for _, offset in changes]
        # All midnights lie on quarters of an hour, so that all moments of a quarter have the same windows.
        assert all(offset % _QUARTER_US == 0 for offset in self._offsets), "an offset that is no quarter of an hour"
        self._of_quarter: Callable[[int], Windows] = lru_cache(maxsize=4096)(self._made)

    def windows(self, at: int) -> Windows:
        """The day, week and month in which `at` lies, microseconds since the epoch."""
        return self._of_quarter(at // _QUARTER_US)

    def _made(self, quarter: int) -> Windows:
        at = quarter * _QUARTER_US
        day = (at + self._offset(at)) // _DAY_US
        monday = day - (day - _MONDAY) % 7
        first, next_first = _month_of(day)
        return Windows(self._days(day, day + 1), self._days(monday, monday + 7), self._days(first, next_first))

    def _days(self, first: int, after: int) -> Period:
        return Period(self._midnight(first), self._midnight(after))

    def _midnight(self, day: int) -> int:
        """When the local `day` begins, which is said in days since the epoch. No change of clocks is near midnight."""
        local = day * _DAY_US
        return local - self._offset(local - self._offset(local))

    def _offset(self, at: int) -> int:
        """How far the clocks are ahead of UTC."""
        return self._offsets[max(bisect_right(self._instants, at) - 1, 0)]


def period(at: int, calendar: str, kind: str) -> Period:
    """The day, week or month (`kind`) in which `at` lies, microseconds since the epoch, by the named calendar."""
    period: Period = getattr(CALENDARS[calendar].windows(at), kind)
    return period


def _month_of(day: int) -> tuple[int, int]:
    """The first day of the month of `day`, and that of the next one, in days since the epoch."""
    date = _EPOCH + timedelta(days=day)
    first = day - date.day + 1
    later = _EPOCH + timedelta(days=first + 31)
    return first, first + 31 - later.day + 1


def _fixed(hours: int) -> Calendar:
    return Calendar([(0, hours * _HOUR_US)])


def _european(hours: int) -> Calendar:
    """Summer time of the European Union and the United Kingdom: from the last Sunday of March to that of October, at
    01:00 UTC everywhere.
    """
    changes = [(0, hours)]
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        changes += (_sunday(year, 3, 25) + 1, hours + 1), (_sunday(year, 10, 25) + 1, hours)
    return _of_hours(changes)


def _north_american(hours: int) -> Calendar:
    """Daylight saving time of the United States and of Ontario: from the second Sunday of March to the first one of
    November, at 02:00 by the clocks that are in force.
    """
    changes = [(0, hours)]
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        changes += (_sunday(year, 3, 8) + 2 - hours, hours + 1), (_sunday(year, 11, 1) + 1 - hours, hours)
    return _of_hours(changes)


def _sunday(year: int, month: int, earliest: int) -> int:
    """The midnight of the first Sunday from that day of the month on, in hours since the epoch."""
    date = datetime(year, month, earliest, tzinfo=UTC_ZONE)
    return ((date - _EPOCH).days + 6 - date.weekday()) * 24


def _of_hours(changes: Sequence[tuple[int, int]]) -> Calendar:
    return Calendar([(instant * _HOUR_US, offset * _HOUR_US) for instant, offset in changes])


CALENDARS: Final = {
    UTC: _fixed(0),
    "America/New_York@1": _north_american(-5),
    "America/Sao_Paulo@1": _fixed(-3),
    "America/Toronto@1": _north_american(-5),
    "Europe/Amsterdam@1": _european(1),
    "Europe/Berlin@1": _european(1),
    "Europe/London@1": _european(0),
    "Europe/Madrid@1": _european(1),
    "Europe/Malta@1": _european(1),
    "Europe/Stockholm@1": _european(1),
}
"""All there are, by name and version. What stands here is in players' histories: add the next version, change none."""
