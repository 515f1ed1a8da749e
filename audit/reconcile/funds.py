"""Player funds (liability): what is owed to the players at the end of each UTC day, computed from the log alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from audit import tables
from audit.detached_months import check_has_all, detached_events
from audit.reconcile.comparison import Item
from audit.snapshot import Snapshot
from audit.sources import Sources
from evidence.archive.reader import Archive
from ledger.core.money import format_minor
from ledger.store.event_log import BY_STREAM
from runtime import html
from runtime.clock import to_datetime
from runtime.progress import Progress, silent
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT

ACCOUNTS = "cash", "bonus", "held", "receivable"
COLUMNS = "tenant_id", "region", "currency", "day", *ACCOUNTS, "funds"

EVENTS = "select schema_fingerprint, body from wagerledger.event_log"
_encoded = BY_STREAM.picker("schema_fingerprint", "body")

READ_MODEL = """
select tenant_id, region, currency, exponent::bigint, day::text, cash_minor::text, bonus_minor::text, held_minor::text,
    receivable_minor::text
from bi.liability
"""

FundsKey = tuple[str, str, str]
"""The tenant, region and currency of a sum of funds."""


@dataclass(frozen=True)
class DayEnd:
    """The players' money of a tenant in a region and a currency at the end of a UTC day, minor units."""

    tenant_id: str
    region: str
    currency: str
    exponent: int
    day: date
    balances_minor: tuple[int, ...]
    """In the order of ACCOUNTS."""
    unchanged_since: date | None = None
    """The last day on which something moved, where nothing did on `day`."""

    @property
    def funds_minor(self) -> int:
        """What is owed to the players, less what they owe."""
        return sum(self.balances_minor)

    def to_dict(self) -> dict[str, Any]:
        amounts = {f"{name}_minor": n for name, n in zip(ACCOUNTS, self.balances_minor, strict=True)}
        key = {"tenant_id": self.tenant_id, "region": self.region, "currency": self.currency}
        since = self.unchanged_since and str(self.unchanged_since)
        days = {"exponent": self.exponent, "day": str(self.day), "unchanged_since": since}
        return key | days | amounts | {"funds_minor": self.funds_minor}

    def cells(self) -> list[str]:
        amounts = [format_minor(n, self.exponent) for n in (*self.balances_minor, self.funds_minor)]
        day = f"{self.day} (unchanged since {self.unchanged_since})" if self.unchanged_since else str(self.day)
        return [self.tenant_id, self.region, self.currency, day, *amounts]


class Funds:
    """Takes events in any order."""

    def __init__(self) -> None:
        self._moved: dict[FundsKey, dict[date, list[int]]] = {}
        self._exponents: dict[FundsKey, int] = {}

    def take(self, record: dict[str, Any]) -> None:
        if not record["postings"]:
            return
        key = record["tenant_id"], record["region"], record["payload"]["currency"]
        self._exponents[key] = record["payload"]["exponent"]
        day = to_datetime(record["occurred_at"]).date()
        balances = self._moved.setdefault(key, {}).setdefault(day, [0] * len(ACCOUNTS))
        for posting in record["postings"]:
            if posting["account"] in ACCOUNTS:
                balances[ACCOUNTS.index(posting["account"])] += posting["amount_minor"]

    def rows(self) -> Iterator[DayEnd]:
        """One row per day on which something moved."""
        for key, days in sorted(self._moved.items()):
            balances = [0] * len(ACCOUNTS)
            for day, moved in sorted(days.items()):
                balances = [one + other for one, other in zip(balances, moved, strict=True)]
                yield DayEnd(*key, self._exponents[key], day, tuple(balances))

    def items(self) -> Iterator[Item]:
        for row in self.rows():
            key = f"{row.tenant_id} {row.region} {row.currency} {row.day}"
            for account, amount_minor in zip(ACCOUNTS, row.balances_minor, strict=True):
                yield Item(account, key, row.currency, amount_minor)


def of_read_model(bi: Snapshot, exponents: dict[str, int]) -> Iterator[Item]:
    """The rows of bi.liability."""
    for tenant_id, region, currency, exponent, day, *balances in bi.rows(READ_MODEL):
        exponents[currency] = exponent
        for account, amount_minor in zip(ACCOUNTS, balances, strict=True):
            yield Item(account, f"{tenant_id} {region} {currency} {day}", currency, int(amount_minor))


def read(settings: Settings, *, archive: Archive | None = None, progress: Progress = silent) -> list[DayEnd]:
    """Fold the whole log; the events of detached months are read from the archive.

    Raises CannotCheckError where something of it cannot be read; ArchiveError, OSError.
    """
    funds, done = Funds(), 0
    with Sources(settings).ledger() as ledger, _events(ledger, archive) as events:
        for fingerprint, body in events:
            funds.take(BY_FINGERPRINT[fingerprint].decode(body))
            done += 1
            if done % 10_000 == 0:
                progress("events", done, done)
    return list(funds.rows())


@contextmanager
def _events(ledger: Snapshot, archive: Archive | None) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    with detached_events(ledger, archive) as detached:
        if detached is None or archive is None:
            yield ((fingerprint, body) for fingerprint, body in ledger.rows(EVENTS))
            return
        check_has_all(ledger, archive)
        yield map(_encoded, detached.merged(ledger.rows(tables.EVENTS)))


def at_end_of(day: date, rows: list[DayEnd]) -> list[DayEnd]:
    """Of each tenant, region and currency the last row up to `day`: where nothing moved, what was owed stays owed."""
    last = {(row.tenant_id, row.region, row.currency): row for row in rows if row.day <= day}
    return [row if row.day == day else replace(row, day=day, unchanged_since=row.day) for row in last.values()]


def as_html(rows: list[DayEnd]) -> str:
    table = html.table(COLUMNS, (row.cells() for row in rows), numbers=range(4, 9))
    note = "At the end of each UTC day on which money moved. Funds are what is owed to the players, less what they owe."
    return html.page("Player funds", html.notes([note]), table)
