"""The ledger's log against what was made from it: the read models, and the events topic.

The log is read once, stream by stream. A read model may be behind: each stream is folded up to the version that the
read models have of it, so that what differs is wrong, and nothing that differs is excused.
"""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from audit import detached_months
from audit.findings import CannotCheckError
from audit.reconcile import funds, revenue
from audit.reconcile.comparison import HERE, THERE, Comparison, Item, Reconciliation
from audit.relay_positions import Passed, borne_out, read_positions
from audit.snapshot import Merged, Snapshot
from audit.sources import Sources
from ledger.core.chain import hash_of
from ledger.core.evolve import event_of, evolve
from ledger.core.state import Bet, State, Wallet
from ledger.relay_position import Cursor, Position, PositionError
from ledger.streams import StreamKey
from runtime.progress import Progress, silent
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from schemas.events import BY_FINGERPRINT
from schemas.registry import Reader, UndecodableRecord

BALANCES, BETS, REVENUE, LIABILITY = "balances", "bets", "revenue_by_day", "liability"
MODELS = BALANCES, BETS, REVENUE, LIABILITY

EVENTS = """
select tenant_id, stream_type, stream_id, stream_version, xid, position, schema_fingerprint, body
from wagerledger.event_log
order by tenant_id{c}, stream_type{c}, stream_id{c}, stream_version
"""

# How far the read models have come.
PROJECTED = """
select tenant_id, stream_type, stream_id, version from projections.streams
order by tenant_id{c}, stream_type{c}, stream_id{c}
"""
READ_BALANCES = """
select tenant_id, player_id, currency, exponent::bigint, cash_minor, bonus_minor, held_minor, receivable_minor
from bi.balances
"""
READ_BETS = """
select integration_id, bet_id, coalesce(currency, ''), exponent::bigint, stake_minor, win_minor, status from bi.bets
"""


def reconcile(
    settings: Settings,
    *,
    read_models: bool = True,
    topics: bool = True,
    models: Collection[str] = MODELS,
    progress: Progress = silent,
) -> list[Reconciliation]:
    """Compare the log with the `models` and with the events topic. Raises CannotCheckError where something could not be
    read to its end.
    """
    sources = Sources(settings)
    results: list[Reconciliation] = []
    if read_models:
        _refuse_detached(sources)
    with ExitStack() as opened:
        readers: list[_Published | _ReadModels] = []
        published = _Published(sources, opened, progress) if topics else None
        if published:
            readers.append(published)
        if read_models:
            bi = opened.enter_context(sources.read_models())
            readers.append(_ReadModels(bi, opened, [model for model in MODELS if model in models]))
        # The ledger's snapshot comes last: then it knows all that the others know.
        ledger = opened.enter_context(sources.ledger())
        if published:
            published.hold_to_positions(ledger)
        done = 0
        for key, rows in groupby(ledger.rows(EVENTS), itemgetter(0, 1, 2)):
            stream = StreamKey(*key)
            for reader in readers:
                reader.begin(stream)
            for row in rows:
                logged = _logged(row)
                for reader in readers:
                    reader.take(logged)
                done += 1
                if done % 10_000 == 0:
                    progress("log", done, done)
            for reader in readers:
                reader.end()
        for reader in readers:
            results += reader.compare()
    return results


def _refuse_detached(sources: Sources) -> None:
    with sources.ledger() as ledger:
        gone = detached_months.months(ledger)
    if gone:
        raise CannotCheckError(
            f"the events of {detached_months.named(gone)} are detached from the log: the read models have more than "
            "it; run `wagerledger audit verify --bi --archive DIR`, or `audit reconcile --no-read-models`"
        )


class Logged(NamedTuple):
    """An event of the log."""

    version: int
    cursor: Cursor
    record: dict[str, Any]
    body: bytes


def _logged(row: Any) -> Logged:
    *stream, version, xid, position, fingerprint, body = row
    schema = BY_FINGERPRINT.get(fingerprint)
    if schema is None:
        name = f"{'/'.join(stream)} version {version}"
        raise CannotCheckError(f"{name} has schema {fingerprint.hex()}, which this version of the code does not have")
    try:
        return Logged(version, Cursor(xid, position), schema.decode(body), body)
    except ValueError as error:
        text = f"{'/'.join(stream)} version {version} cannot be read: {error}; run `wagerledger audit verify`"
        raise CannotCheckError(text) from error


# Read models


class _ReadModels:
    """The log, folded as far as the read models have come, against them."""

    def __init__(self, bi: Snapshot, opened: ExitStack, models: list[str]) -> None:
        self._books = {model: opened.enter_context(Comparison()) for model in models}
        self._results = {model: Reconciliation("ledger", f"read model {model}") for model in models}
        self._projected = Merged(bi.rows(PROJECTED))
        self._funds, self._revenue = funds.Funds(), revenue.Revenue()
        self._state, self._cut = State(), 0
        self._behind = 0
        readers = {BALANCES: _balances, BETS: _bets, REVENUE: revenue.of_read_model, LIABILITY: funds.of_read_model}
        for model, book in self._books.items():
            book.put_all(THERE, readers[model](bi, self._results[model].exponents))

    def begin(self, stream: StreamKey) -> None:
        for _ in self._projected.before(stream):
            pass  # what is made from streams that the log does not have is missing here, row by row
        self._state = State()
        self._revenue.begin()
        self._cut = next((row[3] for row in self._projected.of(stream)), 0)

    def take(self, logged: Logged) -> None:
        if logged.version > self._cut:
            self._behind += 1
            return
        record = logged.record
        self._funds.take(record)
        self._revenue.take(record)
        try:
            self._state.put(*evolve(self._state, event_of(record)))
        except (AssertionError, LookupError) as error:
            text = f"event {record['event_id']} cannot follow those before it: {error}; run `wagerledger audit verify`"
            raise CannotCheckError(text) from error

    def end(self) -> None:
        for entity in self._state.entities.values():
            if isinstance(entity, Wallet) and BALANCES in self._books:
                accounts = entity.cash_minor, entity.bonus_minor, entity.held_minor, entity.receivable_minor
                wallet = entity.tenant_id, entity.player_id, entity.currency
                self._books[BALANCES].put_all(HERE, _wallet_items(wallet, accounts))
            elif isinstance(entity, Bet) and BETS in self._books:
                bet = f"{entity.integration_id} {entity.bet_id}", entity.currency or ""
                items = _bet_items(*bet, entity.stake_minor, entity.win_minor, entity.status)
                self._books[BETS].put_all(HERE, items)

    def compare(self) -> list[Reconciliation]:
        if LIABILITY in self._books:
            self._books[LIABILITY].put_all(HERE, self._funds.items())
        if REVENUE in self._books:
            self._books[REVENUE].put_all(HERE, self._revenue.items())
        for model, book in self._books.items():
            result = self._results[model]
            if self._behind:
                result.notes.append(f"{self._behind} events of the log are not projected yet, and not compared.")
            book.compare(result)
        return list(self._results.values())


def _balances(bi: Snapshot, exponents: dict[str, int]) -> Iterator[Item]:
    for tenant_id, player_id, currency, exponent, *accounts in bi.rows(READ_BALANCES):
        exponents[currency] = exponent
        yield from _wallet_items((tenant_id, player_id, currency), accounts)


def _wallet_items(wallet: tuple[str, str, str], accounts: Collection[int]) -> Iterator[Item]:
    tenant_id, player_id, currency = wallet
    for account, amount_minor in zip(funds.ACCOUNTS, accounts, strict=True):
        yield Item(account, f"{tenant_id} {player_id} {currency}", currency, amount_minor)


def _bets(bi: Snapshot, exponents: dict[str, int]) -> Iterator[Item]:
    for integration_id, bet_id, currency, exponent, stake_minor, win_minor, status in bi.rows(READ_BETS):
        if exponent is not None:
            exponents[currency] = exponent
        yield from _bet_items(f"{integration_id} {bet_id}", currency, stake_minor, win_minor, status)


def _bet_items(bet: str, currency: str, stake_minor: int, win_minor: int, status: str) -> Iterator[Item]:
    yield Item("stake", bet, currency, stake_minor, state=status)
    yield Item("win", bet, currency, win_minor)


# Topics


class _Published:
    """The log against the events topic: the same events with the same bytes, once each."""

    def __init__(self, sources: Sources, opened: ExitStack, progress: Progress) -> None:
        self._topic = sources.topics.events
        self._book = opened.enter_context(Comparison())
        self._result = Reconciliation("ledger", f"topic {self._topic}")
        self._heads: dict[StreamKey, int] = {}
        self._stream = StreamKey("", "", "")
        self._head = self._unpublished = 0
        self._positions: dict[int, Position] = {}
        self._passed = Passed()
        try:
            self._positions = read_positions(sources)  # before the topic: what they speak of may not be missing in it
        except PositionError as error:
            self._result.reject("the relays' positions", str(error))
        with sources.registry() as client:
            self._read(sources.records, Reader(client), progress)

    def hold_to_positions(self, ledger: Snapshot) -> None:
        """Take what the relays say they have published for due."""
        self._passed = borne_out(self._positions, ledger)

    def _read(self, records: TopicsReader, reader: Reader, progress: Progress) -> None:
        ends = records.ends([self._topic])
        total = sum(ends.values())
        for done, message in enumerate(records.read(ends)):
            if done % 10_000 == 0:
                progress("topic", done, total)
            place = f"partition {message.partition()} offset {message.offset()}"
            try:
                wire = reader.read(message.value())
            except UndecodableRecord as error:
                self._result.reject(place, str(error))
                continue
            record = wire.record
            stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
            self._heads[stream] = max(self._heads.get(stream, 0), record["stream_version"])
            self._book.put_all(THERE, _event_items(record, wire.body, place))

    def begin(self, stream: StreamKey) -> None:
        self._stream, self._head = stream, self._heads.get(stream, 0)

    def take(self, logged: Logged) -> None:
        place = f"{logged.record['stream_id']} version {logged.version}"
        items = list(_event_items(logged.record, logged.body, place))
        for item in items:
            self._result.exponents.setdefault(item.currency, logged.record["payload"].get("exponent", 0))
        if logged.version > self._head:
            self._unpublished += 1
            if not self._passed.event(self._stream, logged.cursor):
                return
        self._book.put_all(HERE, items)

    def end(self) -> None:
        """Nothing is kept per stream."""

    def compare(self) -> list[Reconciliation]:
        self._book.compare(self._result)
        if self._unpublished:
            self._result.notes.append(
                f"{self._unpublished} events are not published; those that the relay has not come to are not compared."
            )
        if self._heads:
            self._result.notes += [f"{doubt}: what is not published is only counted." for doubt in self._passed.doubts]
        self._result.notes.append("Amounts are what moved: the sum of an event's positive postings per currency.")
        return [self._result]


def _event_items(record: dict[str, Any], body: bytes, place: str) -> Iterator[Item]:
    """One per currency that the event moves; one without, where it moves nothing."""
    moved: dict[str, int] = {}
    for posting in record["postings"]:
        moved[posting["currency"]] = moved.get(posting["currency"], 0) + max(posting["amount_minor"], 0)
    for currency, amount_minor in (moved or {"": 0}).items():
        key, state = f"{record['event_id']} {currency}".strip(), hash_of(body).hex()
        yield Item(record["event_type"], key, currency, amount_minor, state=state, place=place)
