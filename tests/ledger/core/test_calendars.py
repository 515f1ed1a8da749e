"""Days, weeks and months by the clocks of a place, days of 23 and 25 hours too."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import pytest

from ledger.core.calendars import CALENDARS, DAY, FIRST_YEAR, LAST_YEAR, MONTH, WEEK, period
from tests.support.seeds import seeded_random

BERLIN, LONDON, SAO_PAULO = "Europe/Berlin@1", "Europe/London@1", "America/Sao_Paulo@1"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EXAMPLES = {
    "C1 a day of 23 hours": ("2026-03-29 12:00", BERLIN, DAY, "2026-03-28 23:00", "2026-03-29 22:00"),
    "C2 a day of 25 hours": ("2026-10-25 12:00", BERLIN, DAY, "2026-10-24 22:00", "2026-10-25 23:00"),
    "C3 the last moment": ("2026-03-28 22:59:59.999999", BERLIN, DAY, "2026-03-27 23:00", "2026-03-28 23:00"),
    "C4 a week of 167 hours": ("2026-03-29 12:00", BERLIN, WEEK, "2026-03-22 23:00", "2026-03-29 22:00"),
    "C5 a month of 743 hours": ("2026-03-29 12:00", BERLIN, MONTH, "2026-02-28 23:00", "2026-03-31 22:00"),
    "C6 a month's first moment": ("2026-03-31 22:00", BERLIN, MONTH, "2026-03-31 22:00", "2026-04-30 22:00"),
    "C7 already July there": ("2026-06-30 23:30", LONDON, MONTH, "2026-06-30 23:00", "2026-07-31 23:00"),
    "C8 still yesterday there": ("2026-01-15 02:59:59", SAO_PAULO, DAY, "2026-01-14 03:00", "2026-01-15 03:00"),
}

WRITTEN = {
    "UTC@1": "5a86e376cdc22fce",
    "America/New_York@1": "dd7b0210d9201b38",
    "America/Sao_Paulo@1": "138c458de4e3262e",
    "America/Toronto@1": "dd7b0210d9201b38",
    "Europe/Amsterdam@1": "68b6968312e9b353",
    "Europe/Berlin@1": "68b6968312e9b353",
    "Europe/London@1": "0df2aa241eb0fcc4",
    "Europe/Madrid@1": "68b6968312e9b353",
    "Europe/Malta@1": "68b6968312e9b353",
    "Europe/Stockholm@1": "68b6968312e9b353",
}
"""Digests of the tables, as they were first written."""


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def utc(text: str) -> int:
    return micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_moment_lies_in_its_period(example):
    """From its first moment until the one before the next begins."""
    at, calendar, kind, from_, until = EXAMPLES[example]
    assert period(utc(at), calendar, kind) == (utc(from_), utc(until))


@pytest.mark.parametrize("name", CALENDARS)
def test_a_calendar_is_that_of_its_place(name):
    """At random moments of all the years that its table knows, it says what the time zone database says."""
    zone, rng = ZoneInfo(name.partition("@")[0]), seeded_random()
    for _ in range(1000):
        moment = datetime(rng.randint(FIRST_YEAR, LAST_YEAR - 1), 1, 1, tzinfo=UTC)
        moment += timedelta(seconds=rng.randrange(366 * 86_400))
        date = moment.astimezone(zone).date()
        monday, first = date - timedelta(days=date.weekday()), date.replace(day=1)
        next_first = (first + timedelta(days=31)).replace(day=1)
        days = {DAY: (date, date + timedelta(days=1)), WEEK: (monday, monday + timedelta(days=7))}
        for kind, (begins, ends) in {**days, MONTH: (first, next_first)}.items():
            midnights = [datetime(one.year, one.month, one.day, tzinfo=zone) for one in (begins, ends)]
            expected = tuple(micros(midnight.astimezone(UTC)) for midnight in midnights)
            assert period(micros(moment), name, kind) == expected, (moment, kind)


def test_periods_of_a_kind_follow_each_other():
    """Where one ends, the next begins: no moment is in none or in two."""
    rng = seeded_random()
    for name in CALENDARS:
        for kind in (DAY, WEEK, MONTH):
            at = period(rng.randrange(utc("2020-01-01"), utc("2090-01-01")), name, kind)
            for _ in range(60):
                following = period(at.until_us, name, kind)
                assert following.from_us == at.until_us > period(at.until_us - 1, name, kind).from_us == at.from_us
                at = following


def test_no_calendar_ever_changes():
    """What a version says stands in players' histories: a new law is a new version, and a line here."""
    found = {name: sha256(repr(CALENDARS[name].changes).encode()).hexdigest()[:16] for name in CALENDARS}
    assert found == WRITTEN
