"""The coalescing writer: callbacks that wait at the same moment are committed together, in one database transaction.

Here is who waits, who writes, and what comes of it when it fails; what one transaction does is in
`ledger.journal.transaction`.
"""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psycopg
import structlog
from prometheus_client import Counter, Gauge, Histogram

from ledger.journal import writing_session
from ledger.journal.directory import Directory
from ledger.journal.disk_room import DiskRoom
from ledger.journal.fair_queue import FairQueue
from ledger.journal.known_streams import KnownStreams
from ledger.journal.pipeline import Connection
from ledger.journal.transaction import Result, commit
from ledger.outcome import Callback, Outcome, Proof
from ledger.streams import StreamKey
from patience import TransientError
from patience.trouble import is_read_only, is_server_wide
from runtime.settings import Settings
from schemas.dual_write import chosen

log = structlog.get_logger("journal")

BATCH_SIZE = Histogram(
    "wagerledger_journal_batch_callbacks",
    "Callbacks per database transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
COMMIT_SECONDS = Histogram(
    "wagerledger_journal_commit_seconds",
    "From taking a batch to its durable commit.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
DECISIONS = Counter("wagerledger_decisions_total", "Decided commands.", ("kind", "code"))
WAITING = Gauge("wagerledger_journal_waiting_callbacks", "Callbacks that wait for a writer.")
SPLIT = Counter(
    "wagerledger_journal_batches_split_total", "Batches that failed in the database and were retried one by one."
)

GATHERED_TURNS = 2
_BACK_OFF_S = 0.2
_ROLLBACK_S = 1.0
_ALONE_LOCK_FRACTION = 20
"""A callback that is tried alone has waited for its locks once: now it gets only this part of the deadline."""


class Retryable(TransientError):  # noqa: N818  # it says what to do, not what is wrong
    """Nothing is known to have happened; the same callback under the same key may be sent again."""

    code = "UNAVAILABLE"


class Overloaded(Retryable):
    """More callbacks wait than `journal_queue` allows, or more of this one's integration than
    `journal_queue_per_integration` does.
    """

    code = "OVERLOADED"


class Unavailable(Retryable):
    """The database cannot be reached or gave up."""


class DeadlineExceeded(Retryable):
    """The callback waited longer than `journal_deadline_ms`."""

    code = "DEADLINE_EXCEEDED"


class _TransactionFailedError(Exception):
    """The database lives and has undone the transaction: its callbacks may be tried one by one."""


@dataclass(slots=True)
class _Waiting:
    callback: Callback
    outcomes: asyncio.Future[tuple[Outcome, ...]]
    since: float

    @property
    def integration_id(self) -> str | None:
        """Whose callback it is; None is the operator's own."""
        if not self.callback.commands:
            return self.callback.proof and self.callback.proof.scope
        return self.callback.commands[0].origin.integration_id

    def resolve(self, result: Result) -> None:
        """Let its caller go on, unless that has given up or has a result already."""
        if self.outcomes.done():
            return
        if isinstance(result, Exception):
            self.outcomes.set_exception(result)
        else:
            self.outcomes.set_result(result)


@dataclass
class _Writer:
    """One database connection and the callbacks that wait for it: every integration has its share of each batch."""

    waiting: FairQueue[_Waiting] = field(default_factory=FairQueue)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    connection: Connection | None = None
    task: asyncio.Task[None] | None = None


class Journal:
    """Commits callbacks. Use as an async context manager; leaving it commits what still waits."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deadline_s = settings.journal_deadline_ms / 1000
        self._variants = chosen(settings.dual_write)
        self._residency = settings.residency
        self._directory = Directory()
        self._known = KnownStreams()
        self._room = DiskRoom(settings)
        self._writers = [_Writer() for _ in range(settings.journal_writers)]
        self._waiting = 0
        self._closing = False

    async def __aenter__(self) -> Self:
        for writer in self._writers:
            writer.task = asyncio.create_task(self._write(writer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        for writer in self._writers:
            writer.wake.set()
        await asyncio.gather(*(writer.task for writer in self._writers if writer.task))
        for writer in self._writers:
            await self._disconnect(writer)
        await self._room.close()

    @property
    def lacks_room(self) -> str:
        """Why no write is taken, where the database's disk is full, in the server's words; else empty."""
        return self._room.lacking

    @property
    def waiting(self) -> int:
        """How many callbacks wait for a writer."""
        return self._waiting

    async def submit(self, callback: Callback) -> tuple[Outcome, ...]:
        """Decide and commit `callback`. Returns when it is durable.

        One outcome per command, or a single refusal. Raises Retryable when nothing can be promised; ForeignRegionError
        where the data may not be held here, which callers have to rule out before; any other exception is a bug.
        """
        for command in callback.commands:
            self._residency.check(command.origin.region)
        if self._waiting >= self._settings.journal_queue or self._closing:
            raise Overloaded
        waiting = _Waiting(callback, asyncio.get_running_loop().create_future(), time.monotonic())
        if self._waiting_of(waiting.integration_id) >= self._settings.journal_queue_per_integration:
            raise Overloaded
        self._enqueue(waiting)
        return await waiting.outcomes

    def _waiting_of(self, integration_id: str | None) -> int:
        return sum(writer.waiting.of(integration_id) for writer in self._writers)

    def _enqueue(self, waiting: _Waiting) -> None:
        # A player's commands go to one writer, so that two writers of this process rarely want the same lock.
        writer = self._writers[hash(self._place(waiting.callback)) % len(self._writers)]
        writer.waiting.append(waiting.integration_id, waiting)
        self._waiting += 1
        writer.wake.set()

    def _place(self, callback: Callback) -> StreamKey | Proof | None:
        """Whose locks it waits for first."""
        return self._directory.stream_of(callback.commands[0]) if callback.commands else callback.proof

    async def _write(self, writer: _Writer) -> None:
        while True:
            if not writer.waiting:
                if self._closing:
                    return
                writer.wake.clear()
                await writer.wake.wait()
                continue
            await self._gather()
            batch = self._take(writer)
            WAITING.set(self._waiting)
            if batch:
                await self._commit(writer, batch)

    async def _gather(self) -> None:
        """Let callbacks join that have come and are not read yet: a turn of the event loop reads from many sockets."""
        for _ in range(GATHERED_TURNS):
            before = self._waiting
            await asyncio.sleep(0)
            if self._waiting == before:
                return

    def _take(self, writer: _Writer) -> list[_Waiting]:
        """Whatever waits, up to a batch, in turn by integration. No timer: while one batch commits, the next one
        gathers.
        """
        oldest = time.monotonic() - self._deadline_s
        batch: list[_Waiting] = []
        while writer.waiting and len(batch) < self._settings.journal_batch:
            waiting = writer.waiting.popleft()
            self._waiting -= 1
            if waiting.since < oldest:
                waiting.resolve(DeadlineExceeded())
            else:
                batch.append(waiting)
        return batch

    async def _commit(self, writer: _Writer, batch: list[_Waiting]) -> None:
        """Commit `batch`; where that fails in a living database, each callback alone, so that none fails its
        neighbours.
        """
        try:
            await self._attempt(writer, batch)
        except Retryable as error:
            _fail_all(batch, error)
        except _TransactionFailedError as error:
            SPLIT.inc()
            log.warning("batch split", callbacks=len(batch), error=str(error))
            await self._commit_one_by_one(writer, batch)

    async def _commit_one_by_one(self, writer: _Writer, batch: list[_Waiting]) -> None:
        blocked = set()
        for waiting in batch:
            place = self._place(waiting.callback)
            if place in blocked:  # it would wait for the same lock, and the others behind it
                waiting.resolve(Unavailable())
                continue
            try:
                await self._attempt(writer, [waiting], alone=True)
            except Retryable as error:
                blocked.add(place)
                waiting.resolve(error)
            except _TransactionFailedError as error:
                log.exception("callback failed", command=waiting.callback.kind)
                cause = error.__cause__
                waiting.resolve(cause if isinstance(cause, Exception) else error)
            if writer.connection is None:  # gone meanwhile: the others would only wait for it one after the other
                _fail_all(batch, Unavailable())
                return

    async def _attempt(self, writer: _Writer, batch: list[_Waiting], *, alone: bool = False) -> None:
        """One transaction, with its results handed to who waits.

        Raises _TransactionFailedError when the database undid it; Retryable when it is gone or too slow (its connection
        is thrown away then), or when a lock was too long in coming for a callback that is tried alone.
        """
        started = time.monotonic()
        # In time, although a dead connection takes longer than that to be given up.
        alarm = asyncio.get_running_loop().call_later(self._deadline_s, _fail_all, batch, DeadlineExceeded())
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._transact_on_sound_connection(writer, batch, alone=alone)
        except TimeoutError as error:
            await self._give_up(writer, "timeout", len(batch))
            raise DeadlineExceeded from error
        except Exception as error:
            self._room.note(error)
            if writer.connection is None or is_server_wide(error) or not await _rolled_back(writer.connection):
                await self._give_up(writer, str(error), len(batch))
                raise Unavailable(str(error)) from error
            if alone and isinstance(error, psycopg.OperationalError):
                raise Unavailable(str(error)) from error
            raise _TransactionFailedError(repr(error)) from error
        finally:
            alarm.cancel()
        COMMIT_SECONDS.observe(time.monotonic() - started)
        BATCH_SIZE.observe(len(batch))

    async def _transact_on_sound_connection(self, writer: _Writer, batch: list[_Waiting], *, alone: bool) -> None:
        """A connection that was kept may be dead by now, or its server no longer the primary. What is known to be
        undone for that is decided once more, on a new one. A lost answer to COMMIT is no psycopg.Error here.
        """
        kept = writer.connection
        try:
            await self._transact(writer, batch, alone=alone)
        except psycopg.Error as error:
            if kept is None or not (kept.closed or is_read_only(error)):
                raise
            log.info("connection replaced", error=str(error), callbacks=len(batch))
            await self._disconnect(writer)
            await self._transact(writer, batch, alone=alone)

    async def _transact(self, writer: _Writer, batch: list[_Waiting], *, alone: bool) -> None:
        connection = writer.connection or await self._connect(writer)
        callbacks = [waiting.callback for waiting in batch]
        lock_timeout_ms = self._settings.journal_deadline_ms // _ALONE_LOCK_FRACTION if alone else None
        results = await commit(
            connection,
            self._directory,
            self._known,
            callbacks,
            lock_timeout_ms=lock_timeout_ms,
            variants=self._variants,
        )
        tally: Tally[tuple[str, str]] = Tally()
        again = []
        for waiting, result in zip(batch, results, strict=True):
            if result is None:
                again.append(waiting)
                continue
            waiting.resolve(result)
            if not isinstance(result, Exception):
                tally.update((outcome.kind, outcome.code) for outcome in result)
        for (kind, code), count in tally.items():
            DECISIONS.labels(kind, code).inc(count)
        # To this writer whoever it is for: during a drain another one may have left already.
        for waiting in reversed(again):
            writer.waiting.put_back(waiting.integration_id, waiting)
        self._waiting += len(again)

    async def _connect(self, writer: _Writer) -> Connection:
        writer.connection = connection = await writing_session.connect(self._settings)
        await connection.set_autocommit(False)
        return connection

    async def _give_up(self, writer: _Writer, reason: str, callbacks: int) -> None:
        await self._disconnect(writer)
        log.warning("database unavailable", error=reason, callbacks=callbacks)
        await asyncio.sleep(_BACK_OFF_S)

    async def _disconnect(self, writer: _Writer) -> None:
        connection, writer.connection = writer.connection, None
        if connection is not None:
            await connection.close()


def _fail_all(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        waiting.resolve(error)


async def _rolled_back(connection: Connection) -> bool:
    """Whether the connection is usable again after an error."""
    try:
        async with asyncio.timeout(_ROLLBACK_S):
            await connection.rollback()
    except (TimeoutError, psycopg.Error):
        return False
    return not connection.broken
