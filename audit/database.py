"""The ledger's database against itself: every stream is folded again and compared with all that was stored from it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from audit import tables
from audit.findings import AuditReport
from audit.read_models import ReadBalances
from audit.snapshot import Merged, Row, Snapshot, SnapshotPart
from audit.stream import StreamAudit, command_name, versions_of
from audit.workers import Tick, adding_up, cores, work
from ledger.core.state import Currency, Entity
from ledger.store import streams
from ledger.streams import StreamKey
from runtime.arrays import POSTGRES_EPOCH_US
from runtime.progress import Progress

SHOWN_EVENTS = 10_000

_stream = itemgetter(0, 1, 2)
_head_in = streams.COLUMNS.picker(*streams.HEAD)


LEAST_EVENTS = 100_000
"""Fewer than this are read by this process alone: to start others takes as long."""
MOST_PARTS = 4
"""Each part has a connection per table that it reads, ten or eleven, and the server has other guests."""

Currencies = dict[tuple[str, str], int]
"""By tenant and code, the decimals with which wallets were opened."""


def verify_database(
    snapshot: Snapshot,
    read_model: Snapshot | None,
    report: AuditReport,
    progress: Progress,
    events: Iterator[Row] | None = None,
    *,
    parts: int | None = None,
) -> None:
    """Check everything that one snapshot holds, and the balances of `read_model` where there is one. The memory needed
    is that of the largest streams' state: a large ledger is read in `parts`, as many as there are cores, by processes.

    `events` are the rows of the event log where they are not all in the snapshot: as `tables.EVENTS` gives them.
    """
    total = snapshot.one(tables.EVENT_COUNT)
    apart = events is None and total >= LEAST_EVENTS
    result = None

    def shown(done: int) -> None:
        progress("database", done, max(total, done))

    if apart or parts:
        units = _units(snapshot, read_model, parts or min(cores(), MOST_PARTS))
        found = work(verify_part, units, shown, apart=apart)
        result = _joined(found)
    if result is None:
        rows = snapshot.rows(tables.EVENTS) if events is None else events
        result = _verified(snapshot, read_model, rows, adding_up(shown))
    report.add(result.report)
    progress("database", report.checked["database.events"], report.checked["database.events"])
    _check_currencies(snapshot, result.currencies, report)
    _check_books(snapshot, report)
    _check_event_ids(snapshot, report)


@dataclass(frozen=True)
class DatabaseUnit:
    """What one process reads: a part of the ledger, and of the read model where that is compared."""

    ledger: SnapshotPart
    read_model: SnapshotPart | None


@dataclass
class DatabaseResult:
    """What one process found."""

    report: AuditReport = field(default_factory=AuditReport)
    currencies: Currencies = field(default_factory=dict)


def _units(snapshot: Snapshot, read_model: Snapshot | None, many: int) -> list[DatabaseUnit]:
    parts = snapshot.parts(many)
    return [DatabaseUnit(part, read_model.part(part.low, part.high) if read_model else None) for part in parts]


def verify_part(unit: DatabaseUnit, tick: Tick) -> DatabaseResult:
    """Check the streams of one part, and all that is stored of them."""
    with ExitStack() as stack:
        snapshot = stack.enter_context(unit.ledger.opened())
        read_model = stack.enter_context(unit.read_model.opened()) if unit.read_model else None
        return _verified(snapshot, read_model, snapshot.rows(tables.EVENTS), tick)


def _verified(snapshot: Snapshot, read_model: Snapshot | None, events: Iterator[Row], tick: Tick) -> DatabaseResult:
    result = DatabaseResult()
    read_balances = ReadBalances(read_model, result.report)
    _StreamsAudit(snapshot, read_balances, result.report, tick, result.currencies).run(events)
    return result


def _joined(found: Sequence[DatabaseResult]) -> DatabaseResult | None:
    """What all found together; None where they disagree about the decimals of a currency: then each stream that differs
    from the first is to be named, and only one process that reads all of them can tell.
    """
    joined = DatabaseResult()
    for result in found:
        joined.report.add(result.report)
        joined.currencies |= result.currencies
    return joined if all(result.currencies.items() <= joined.currencies.items() for result in found) else None


class _StreamsAudit:
    """All tables side by side, each advancing stream by stream."""

    def __init__(
        self, snapshot: Snapshot, read_balances: ReadBalances, report: AuditReport, tick: Tick, currencies: Currencies
    ) -> None:
        self._read_balances = read_balances
        self._report = report
        self._tick = tick
        self._heads = Merged(snapshot.rows(tables.STREAMS))
        self._commands = Merged(snapshot.rows(tables.COMMANDS))
        self._tables = [(table, Merged(snapshot.rows(table.query))) for table in tables.TABLES]
        self._currencies = currencies
        self._events = self._streams = self._shown = 0

    def run(self, events: Iterator[Row]) -> None:
        """Check the `events`, stream by stream, and what is stored; and what is left over at the end."""
        for key, rows in groupby(events, _stream):
            self.take(StreamKey(*key), rows)
        self._report_unexplained(None)
        self._report.checked |= {"database.streams": self._streams, "database.events": self._events}
        self._tick(self._events - self._shown)

    def take(self, stream: StreamKey, rows: Iterator[Row]) -> None:
        """Audit the stream that comes next in all tables."""
        self._report_unexplained(stream)
        audit = StreamAudit(stream, self._commands, self._report)
        wallets = self._read_balances.of(stream)
        events = 0
        for row in rows:
            touched = audit.take(row)
            events += 1
            if wallets:
                wallets.take(audit.version, touched)
        audit.finish()
        self._check_head(audit)
        if audit.stopped_at is None:
            self._check_state(audit)
            if wallets:
                wallets.finish()
        else:
            self._skip(stream)
        self._count(events)

    def _count(self, events: int) -> None:
        self._streams += 1
        self._events += events
        if self._events - self._shown >= SHOWN_EVENTS:
            self._tick(self._events - self._shown)
            self._shown = self._events

    def _report_unexplained(self, stream: StreamKey | None) -> None:
        """Rows of streams before `stream` that have no event at all."""
        for row in self._heads.before(stream):
            version, *_ = _head_in(row)
            text = f"table streams says version {version}, and the log has no event of this stream"
            self._report.find("head_differs", StreamKey(*row[:3]), version, text)
        for row in self._commands.before(stream):
            first, last = versions_of(row)
            text = f"{command_name(row)} names versions {first} to {last} of a stream without events"
            self._report.find("command_unexplained", StreamKey(*row[:3]), first, text)
        for table, rows in self._tables:
            for row in rows.before(stream):
                text = f"table {table.name} has {described(table.entity(row))}, and the log has no event of this stream"
                self._report.find("state_unexplained", StreamKey(*row[:3]) if row[0] else None, None, text)
        self._read_balances.report_before(stream)

    def _check_head(self, audit: StreamAudit) -> None:
        stream = audit.stream
        row = next(self._heads.of(stream), None)
        if row is None:
            self._report.find("state_missing", stream, audit.version, "table streams has no row of this stream")
            return
        version, head_hash, recorded_at = _head_in(row)
        stored_head = version, head_hash.hex(), recorded_at + POSTGRES_EPOCH_US
        head = audit.version, audit.hash.hex(), audit.recorded_at
        for name, said, wanted in zip(("version", "head_hash", "recorded_at"), stored_head, head, strict=True):
            if said != wanted:
                text = f"table streams says {name} {said}, but the last event has {wanted}"
                self._report.find("head_differs", stream, audit.version, text)

    def _check_state(self, audit: StreamAudit) -> None:
        """The rows of this stream's wallets, sessions, bets and settlements are the fold's entities, both ways."""
        stream, folded = audit.stream, audit.state.entities
        for table, rows in self._tables:
            for row in rows.of(stream):
                expected = folded.pop(table.key(row), None)
                if expected is None:
                    text = (
                        f"table {table.name} has {described(table.entity(row))}, which no event of the stream explains"
                    )
                    self._report.find("state_unexplained", stream, None, text)
                elif not table.holds(row, expected):
                    text = _difference(table.name, table.entity(row), expected)
                    self._report.find("state_differs", stream, audit.version, text)
        for entity in folded.values():
            if isinstance(entity, Currency):
                self._fix_currency(stream, entity)
            else:
                text = f"the events lead to {described(entity)}, which is not stored"
                self._report.find("state_missing", stream, audit.version, text)

    def _skip(self, stream: StreamKey) -> None:
        """A stream that cannot be folded has a finding already; its rows can be compared with nothing."""
        for _, rows in self._tables:
            rows.of(stream)
        self._report.checked["database.streams_not_folded"] = (
            self._report.checked.get("database.streams_not_folded", 0) + 1
        )

    def _fix_currency(self, stream: StreamKey, currency: Currency) -> None:
        known = self._currencies.setdefault((currency.tenant_id, currency.currency), currency.exponent)
        if known != currency.exponent:
            text = f"a wallet in {currency.currency} opened with {currency.exponent} decimals, another with {known}"
            self._report.find("fold_refused", stream, None, text)


def _check_currencies(snapshot: Snapshot, currencies: Currencies, report: AuditReport) -> None:
    stored_rows = {(tenant_id, currency): exponent for tenant_id, currency, exponent in snapshot.all(tables.CURRENCIES)}
    for key in sorted(stored_rows.keys() | currencies.keys()):
        said, wanted = stored_rows.get(key), currencies.get(key)
        if said == wanted:
            continue
        where = f"currency {key[1]} of tenant {key[0]}"
        if wanted is None:
            report.find("state_unexplained", None, None, f"{where} is stored, and no wallet in it was ever opened")
        elif said is None:
            text = f"{where} has {wanted} decimals by the events and is not stored"
            report.find("state_missing", None, None, text)
        else:
            text = f"{where} is stored with {said} decimals; its first wallet opened with {wanted}"
            report.find("state_differs", None, None, text)


def _check_books(snapshot: Snapshot, report: AuditReport) -> None:
    """I2, from two sides: the wallets as they are stored, the tenants' accounts as sums of postings."""
    totals: dict[tuple[str, str], int] = {}
    for tenant_id, currency, total in snapshot.all(tables.WALLET_TOTALS):
        totals[tenant_id, currency] = int(total)
    for (tenant_id, currency, _), balance_minor in report.accounts.items():
        totals[tenant_id, currency] = totals.get((tenant_id, currency), 0) + balance_minor
    for (tenant_id, currency), total in sorted(totals.items()):
        if total:
            text = f"all accounts of tenant {tenant_id} in {currency} sum to {total} minor units instead of 0"
            report.find("books_unbalanced", None, None, text)


def _check_event_ids(snapshot: Snapshot, report: AuditReport) -> None:
    for *stream, version, event_id in snapshot.all(tables.REPEATED_EVENT_IDS):
        text = f"event id {event_id} is in the log more than once"
        report.find("event_id_repeated", StreamKey(*stream), version, text)


def _difference(table: str, entity: Entity, expected: Entity) -> str:
    """The fields in which two entities of one key differ."""
    told = ((name, getattr(entity, name), getattr(expected, name)) for name in type(entity).__dataclass_fields__)
    differing = ", ".join(
        f"{name} is {_quoted(said)} and should be {_quoted(wanted)}" for name, said, wanted in told if said != wanted
    )
    return f"table {table}, {'/'.join(map(str, entity.key[1:]))}: {differing}"


def _quoted(value: object) -> str:
    return "nothing" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def described(entity: Entity) -> str:
    """An entity as people read it: its key, and what it has."""
    fields = ((name, getattr(entity, name)) for name in type(entity).__dataclass_fields__)
    told = ", ".join(f"{name} {value}" for name, value in fields if value is not None)
    return f"{type(entity).__name__.lower()} {'/'.join(map(str, entity.key[1:]))} ({told})"
