"""Tallies: what a wallet's money did in the day, the week and the month that are running, which limits are judged on.

Stakes and wins are summed apart and never clamped: a sum is then the same whatever came first, and what is undone is
undone exactly.
"""

from typing import NamedTuple

from ledger.core.calendars import Windows


class Tally(NamedTuple):
    """Sums of one wallet in one period, minor units; or what is added to them, below zero where something is undone."""

    deposit_minor: int = 0
    withdrawal_minor: int = 0
    stake_minor: int = 0
    """Of cash and bonus together."""
    cash_stake_minor: int = 0
    cash_win_minor: int = 0

    @property
    def loss_minor(self) -> int:
        """What the player lost of their own money; below zero where they won."""
        return self.cash_stake_minor - self.cash_win_minor


NOTHING = Tally()


class Tallies(NamedTuple):
    """A wallet's sums as they were at `at`, microseconds since the epoch."""

    at: int = 0
    day: Tally = NOTHING
    week: Tally = NOTHING
    month: Tally = NOTHING

    def in_windows(self, windows: Windows) -> "Tallies":
        """The sums of the running `windows`: those of a window that is over count no more."""
        at, day, week, month = self
        return Tallies(
            at,
            day if at >= windows.day.from_us else NOTHING,
            week if at >= windows.week.from_us else NOTHING,
            month if at >= windows.month.from_us else NOTHING,
        )

    def after(self, moved: Tally, at: int, counted_at: int, windows: Windows) -> "Tallies":
        """The sums once `moved` has happened at `at`, whose windows are given. It counts in the windows of
        `counted_at`, such as when its bet was placed: where those are over, nowhere.
        """
        last, day, week, month = self
        return Tallies(
            at,
            _after(day, last, windows.day.from_us, moved, counted_at),
            _after(week, last, windows.week.from_us, moved, counted_at),
            _after(month, last, windows.month.from_us, moved, counted_at),
        )


def _after(tally: Tally, last: int, from_us: int, moved: Tally, counted_at: int) -> Tally:
    if last < from_us:
        tally = NOTHING
    if counted_at < from_us:
        return tally
    return Tally(
        tally[0] + moved[0], tally[1] + moved[1], tally[2] + moved[2], tally[3] + moved[3], tally[4] + moved[4]
    )
