"""Matching two books item by item. They are sorted in a temporary file, so memory stays flat however long they are."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from ledger.core.money import format_minor

HERE, THERE = 0, 1
KEPT = 1000
"""Differences kept one by one; the rest is counted. A wrong report must not fill the memory."""
WRITTEN_AT_ONCE = 10_000

MATCHED, MISSING_HERE, MISSING_THERE, DIFFERENT = "matched", "missing_here", "missing_there", "different"
DUPLICATE, UNREADABLE = "duplicate", "unreadable"
MEANINGS = {
    MISSING_HERE: "Only the other book has it.",
    MISSING_THERE: "Only the ledger has it.",
    DIFFERENT: "Both have it, with another amount, currency or state.",
    DUPLICATE: "The other book has it more than once; the first one was compared.",
    UNREADABLE: "A line of the other book that says nothing we could compare.",
}
"""The ways in which two books can differ, with what each means."""

TABLE = """
create table items (
    side integer, kind text, key text, entry text, currency text, amount_minor integer, state text, at_us integer,
    place text
)
"""
INSERT = "insert into items values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SORTED = "select * from items order by kind, key, side, entry, rowid"

Window = tuple[int | None, int | None]
"""From (included) and until (not included), microseconds since the epoch; None: no bound."""


class Item(NamedTuple):
    """One line of a book. Items of one kind and key are compared by their sum."""

    kind: str
    """Such as bet, win or cash."""
    key: str
    """What both books call it."""
    currency: str
    amount_minor: int
    entry: str = ""
    """Tells lines of one key apart; a second one with the same entry is a duplicate."""
    state: str = ""
    """Compared as it stands, such as a bet's status."""
    at_us: int | None = None
    """When, in microseconds since the epoch."""
    place: str = ""
    """Where to look, such as a line of a file."""


class ItemDifference(NamedTuple):
    """An item that the books do not agree on. Amounts are minor units; None where a book has none."""

    outcome: str
    kind: str
    key: str
    currency: str
    here_minor: int | None = None
    there_minor: int | None = None
    text: str = ""


@dataclass
class Total:
    """Counts and sums (minor units) of one kind in one currency."""

    matched: int = 0
    missing_here: int = 0
    missing_there: int = 0
    different: int = 0
    duplicate: int = 0
    matched_minor: int = 0
    missing_here_minor: int = 0
    missing_there_minor: int = 0
    different_here_minor: int = 0
    different_there_minor: int = 0
    duplicate_minor: int = 0

    @property
    def here_minor(self) -> int:
        return self.matched_minor + self.missing_there_minor + self.different_here_minor

    @property
    def there_minor(self) -> int:
        """The other book's sum, without duplicates."""
        return self.matched_minor + self.missing_here_minor + self.different_there_minor

    @property
    def difference_minor(self) -> int:
        return self.here_minor - self.there_minor


@dataclass
class Reconciliation:
    """What a comparison came to. `ok` is the verdict."""

    here: str
    """What the two books are called."""
    there: str
    totals: dict[tuple[str, str], Total] = field(default_factory=dict)
    """The totals by (kind, currency)."""
    differences: list[ItemDifference] = field(default_factory=list)
    hidden: int = 0
    """Differences that were counted and not kept."""
    unreadable: int = 0
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures must know."""
    exponents: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.differences and not self.hidden

    def total(self, kind: str, currency: str) -> Total:
        return self.totals.setdefault((kind, currency), Total())

    def add(self, difference: ItemDifference) -> None:
        if len(self.differences) < KEPT:
            self.differences.append(difference)
        else:
            self.hidden += 1

    def reject(self, place: str, reason: str) -> None:
        """A line of the other book that cannot be read."""
        self.unreadable += 1
        self.add(ItemDifference(UNREADABLE, "", place, "", text=reason))

    def amount(self, minor: int | None, currency: str) -> str:
        """For people: in the currency, where its decimals are known."""
        if minor is None:
            return ""
        exponent = self.exponents.get(currency)
        return f"{minor} minor" if exponent is None else format_minor(minor, exponent)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; amounts in minor units."""
        return {
            "ok": self.ok,
            "here": self.here,
            "there": self.there,
            "totals": [
                {"kind": kind, "currency": currency, "exponent": self.exponents.get(currency)}
                | vars(total)
                | {name: getattr(total, name) for name in ("here_minor", "there_minor", "difference_minor")}
                for (kind, currency), total in sorted(self.totals.items())
            ],
            "unreadable": self.unreadable,
            "differences": [difference._asdict() for difference in self.differences],
            "differences_not_listed": self.hidden,
            "notes": self.notes,
        }


class Comparison:
    """Use it in a `with` block: `put` both books in any order, then `compare`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="wagerledger-reconcile-")
        self._database = sqlite3.connect(Path(self._folder.name) / "items.sqlite", isolation_level=None)
        for pragma in ("journal_mode = off", "synchronous = off", "temp_store = file", "cache_size = -16384"):
            self._database.execute(f"pragma {pragma}")
        self._database.execute(TABLE)
        self._database.execute("begin")
        self._waiting: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._folder.cleanup()

    def put(self, side: int, item: Item) -> None:
        kind, key, currency, amount_minor, entry, state, at_us, place = item
        self._waiting.append((side, kind, key, entry, currency, amount_minor, state, at_us, place))
        if len(self._waiting) >= WRITTEN_AT_ONCE:
            self._flush()

    def put_all(self, side: int, items: Iterable[Item]) -> None:
        for item in items:
            self.put(side, item)

    def compare(self, result: Reconciliation, window: Window = (None, None)) -> None:
        """Fill `result`. An item that only the ledger has counts as missing there when its time lies in the window."""
        self._flush()
        for (kind, key), rows in groupby(self._database.execute(SORTED), itemgetter(1, 2)):
            here, there = _Group(), _Group()
            for row in rows:
                (there if row[0] else here).take(row)
            for row in there.duplicates:
                total = result.total(kind, row[4])
                total.duplicate += 1
                total.duplicate_minor += row[5]
                text = f"{row[3] or key} again: {row[8]}"
                result.add(ItemDifference(DUPLICATE, kind, key, row[4], there_minor=row[5], text=text))
            if not there.rows and not within(here.at_us, window):
                continue
            _judge(result, kind, key, here, there)

    def moments(self, side: int) -> tuple[int, int] | None:
        """The first and the last time in a book; None where it has none."""
        self._flush()
        query = "select min(at_us), max(at_us) from items where side = ?"
        first, last = self._database.execute(query, [side]).fetchone()
        return None if first is None else (first, last)

    def _flush(self) -> None:
        self._database.executemany(INSERT, self._waiting)
        self._waiting.clear()


class _Group:
    """One book's items of one kind and key."""

    def __init__(self) -> None:
        self.rows = 0
        self.amount_minor = 0
        self.currencies: set[str] = set()
        self.state = ""
        self.at_us: int | None = None
        self.place = ""
        self.duplicates: list[Any] = []
        self._last_entry: str | None = None

    def take(self, row: Any) -> None:
        _, _, _, entry, currency, amount_minor, state, at_us, place = row
        if self.rows and entry == self._last_entry:
            self.duplicates.append(row)
            return
        self.rows += 1
        self._last_entry = entry
        self.amount_minor += amount_minor
        self.currencies.add(currency)
        self.state, self.at_us, self.place = state, at_us, place

    @property
    def currency(self) -> str:
        return "+".join(sorted(self.currencies))


def _judge(result: Reconciliation, kind: str, key: str, here: _Group, there: _Group) -> None:
    total = result.total(kind, here.currency if here.rows else there.currency)
    if not here.rows:
        total.missing_here += 1
        total.missing_here_minor += there.amount_minor
        found = ItemDifference(MISSING_HERE, kind, key, there.currency, None, there.amount_minor, there.place)
    elif not there.rows:
        total.missing_there += 1
        total.missing_there_minor += here.amount_minor
        found = ItemDifference(MISSING_THERE, kind, key, here.currency, here.amount_minor, None, here.place)
    elif text := _differing(here, there):
        total.different += 1
        total.different_here_minor += here.amount_minor
        if here.currency == there.currency:
            total.different_there_minor += there.amount_minor
        else:  # each book in its own currency
            result.total(kind, there.currency).different_there_minor += there.amount_minor
        found = ItemDifference(DIFFERENT, kind, key, here.currency, here.amount_minor, there.amount_minor, text)
    else:
        total.matched += 1
        total.matched_minor += here.amount_minor
        return
    result.add(found)


def _differing(here: _Group, there: _Group) -> str:
    texts = []
    if here.currency != there.currency:
        texts.append(f"{here.currency or 'no currency'} here, {there.currency or 'no currency'} there")
    elif here.amount_minor != there.amount_minor:
        texts.append("another amount")
    if here.state != there.state:
        texts.append(f"{here.state or 'nothing'} here, {there.state or 'nothing'} there")
    return ", ".join([*texts, there.place]).removesuffix(", ") if texts else ""


def within(at_us: int | None, window: Window) -> bool:
    """What has no time is never outside."""
    since_us, until_us = window
    return at_us is None or ((since_us is None or at_us >= since_us) and (until_us is None or at_us < until_us))
