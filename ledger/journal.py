"""The coalescing writer: callbacks that wait at the same moment are committed together, in one database transaction.

A transaction is four exchanges with PostgreSQL: (1) whose commands are these, where that is not known; (2) take all
locks, then read all that
the rules need; (3) write events, state and outcomes; (4) commit. Only then does anybody hear an answer.
"""

import asyncio
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import psycopg
import structlog
from prometheus_client import Counter, Gauge, Histogram
from psycopg import AsyncConnection, AsyncCursor

from ledger import locks
from ledger.batch import Batch, NotLocked
from ledger.callback import Callback, Outcome
from ledger.core.state import Entity, Key, State
from ledger.directory import Directory
from ledger.recording import PLAYER, StreamKey
from ledger.settings import Settings
from ledger.store import arrays, commands, entities, event_log, streams, wallets
from ledger.store.statement import Statement

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
ALONE = Counter(
    "wagerledger_journal_batches_split_total", "Batches that failed in the database and were retried one by one."
)

_BACK_OFF_S = 0.2

# Every statement is planned once and finds its rows by an index. Left to itself, the planner takes the arrays for ten
# values and the partitions for
# eight look-ups each, and would scan whole tables.
_PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"


class Retryable(Exception):
    """Nothing is known to have happened; the same callback under the same key may be sent again."""

    code = "UNAVAILABLE"


class Overloaded(Retryable):
    """More callbacks wait than `journal_queue` allows."""

    code = "OVERLOADED"


class Unavailable(Retryable):
    """The database cannot be reached or gave up."""


class DeadlineExceeded(Retryable):
    """The callback waited longer than `journal_deadline_ms`."""

    code = "DEADLINE_EXCEEDED"


@dataclass(slots=True)
class _Waiting:
    callback: Callback
    answer: asyncio.Future[tuple[Outcome, ...]]
    since: float
    streams: tuple[StreamKey, ...] = ()
    alone: bool = False
    """After its batch failed in the database: it has waited for its locks once and does so only briefly now."""


@dataclass
class _Writer:
    """One database connection and the callbacks that wait for it."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    connection: AsyncConnection[Any] | None = None
    task: asyncio.Task[None] | None = None


class Journal:
    """Commits callbacks. Use as an async context manager; leaving it commits what still waits."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = Directory()
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

    async def submit(self, callback: Callback) -> tuple[Outcome, ...]:
        """Decide and commit `callback`. Returns when it is durable.

        One outcome per command, or a single refusal. Raises Retryable when nothing can be promised; any other exception
        is a bug.
        """
        if self._waiting >= self._settings.journal_queue or self._closing:
            raise Overloaded
        waiting = _Waiting(callback, asyncio.get_running_loop().create_future(), time.monotonic())
        self._enqueue(waiting)
        return await waiting.answer

    def _enqueue(self, waiting: _Waiting) -> None:
        # A player's commands go to one writer, so that two writers of this process rarely want the same lock.
        stream = self._directory.stream_of(waiting.callback.commands[0])
        writer = self._writers[hash(stream) % len(self._writers)]
        writer.waiting.append(waiting)
        self._waiting += 1
        writer.wake.set()

    async def _write(self, writer: _Writer) -> None:
        while True:
            if not writer.waiting:
                if self._closing:
                    return
                writer.wake.clear()
                await writer.wake.wait()
                continue
            batch = self._take(writer)
            WAITING.set(self._waiting)
            if batch:
                await self._commit(writer, batch)

    def _take(self, writer: _Writer) -> list[_Waiting]:
        oldest = time.monotonic() - self._settings.journal_deadline_ms / 1000
        batch: list[_Waiting] = []
        while writer.waiting and len(batch) < self._settings.journal_batch:
            waiting = writer.waiting.popleft()
            self._waiting -= 1
            if waiting.since < oldest:
                _fail([waiting], DeadlineExceeded())
            else:
                batch.append(waiting)
        return batch

    async def _commit(self, writer: _Writer, batch: list[_Waiting]) -> None:
        """Commit `batch`; where that fails in a living database, each callback alone, so that one cannot fail its
        neighbours.
        """
        try:
            await self._attempt(writer, batch)
        except Retryable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                log.exception("callback failed", command=batch[0].callback.commands[0].kind)
                _fail(batch, error)
                return
            ALONE.inc()
            log.warning("batch split", callbacks=len(batch), error=repr(error))
            for waiting in batch:
                waiting.alone = True
                await self._commit(writer, [waiting])
                if writer.connection is None:  # gone meanwhile: the others would only wait for it one after the other
                    _fail(batch, Unavailable())
                    return

    async def _attempt(self, writer: _Writer, batch: list[_Waiting]) -> None:
        """One transaction. Raises Retryable when the database is gone or too slow (then the connection is thrown away),
        else what went wrong.
        """
        started = time.monotonic()
        deadline_s = self._settings.journal_deadline_ms / 1000
        # Told in time, although a dead connection takes longer than that to be given up.
        alarm = asyncio.get_running_loop().call_later(deadline_s, _fail, batch, DeadlineExceeded())
        try:
            async with asyncio.timeout(deadline_s):
                connection = writer.connection or await self._connect(writer)
                again = await self._transact(connection, batch)
        except (TimeoutError, psycopg.OperationalError, psycopg.InterfaceError) as error:
            alive = (
                writer.connection is not None
                and not isinstance(error, TimeoutError)
                and await _rolled_back(writer.connection)
            )
            if not alive:
                await self._disconnect(writer)
                log.warning("database unavailable", error=str(error) or "timeout", callbacks=len(batch))
                await asyncio.sleep(_BACK_OFF_S)
            elif len(batch) > 1:
                raise ConnectionResetError(f"the transaction was cancelled: {error}") from error
            raise (DeadlineExceeded if isinstance(error, TimeoutError) else Unavailable)() from error
        except BaseException:
            if writer.connection is not None and not await _rolled_back(writer.connection):
                await self._disconnect(writer)
            raise
        finally:
            alarm.cancel()
        COMMIT_SECONDS.observe(time.monotonic() - started)
        BATCH_SIZE.observe(len(batch))
        # To this writer whoever it is for: during a drain another one may have left already.
        writer.waiting.extendleft(reversed(again))
        self._waiting += len(again)

    async def _transact(self, connection: AsyncConnection[Any], waiting: list[_Waiting]) -> list[_Waiting]:
        """Lock, load, decide, write, commit, answer. Returns the callbacks whose player turned out to be another one
        than was locked.
        """
        await self._look_up(connection, waiting)
        for one in waiting:
            one.streams = tuple([self._directory.stream_of(command) for command in one.callback.commands])
        batch = await self._load(connection, waiting)
        answers, again = self._decide(batch, waiting)
        await _run(connection, writes(batch))
        await connection.commit()
        self._directory.learn(batch.state.entities.values())
        tally: Tally[tuple[str, str]] = Tally()
        for one, answer in answers:
            if not one.answer.done():
                if isinstance(answer, Exception):
                    one.answer.set_exception(answer)
                else:
                    one.answer.set_result(answer)
                    tally.update(
                        (outcome.kind, outcome.refusal_code or ("REPEATED" if outcome.replayed else "ACCEPTED"))
                        for outcome in answer
                    )
        for (kind, code), count in tally.items():
            DECISIONS.labels(kind, code).inc(count)
        return again

    async def _look_up(self, connection: AsyncConnection[Any], waiting: Iterable[_Waiting]) -> None:
        unknown = {
            key for one in waiting for command in one.callback.commands for key in self._directory.unknown(command)
        }
        if unknown:
            self._directory.learn(await self._entities(connection, unknown))

    async def _entities(self, connection: AsyncConnection[Any], keys: Iterable[Key]) -> list[Entity]:
        statements = entities.load(keys)
        cursors = await _run(connection, [statement for _, statement in statements])
        return [
            table.entity(row)
            for (table, _), cursor in zip(statements, cursors, strict=True)
            for row in await cursor.fetchall()
        ]

    async def _load(self, connection: AsyncConnection[Any], waiting: Sequence[_Waiting]) -> Batch:
        pairs = [
            (command, stream)
            for one in waiting
            for command, stream in zip(one.callback.commands, one.streams, strict=True)
        ]
        lock_keys = sorted({key for command, stream in pairs for key in locks.lock_keys(command, stream)})
        stream_keys = {stream for _, stream in pairs}
        players = [(tenant_id, stream_id) for tenant_id, stream_type, stream_id in stream_keys if stream_type == PLAYER]
        tables = entities.load({key for command, _ in pairs for key in command.needs})
        if players:
            tables.append((wallets, wallets.load(players)))
        statements = [
            Statement(locks.TAKE, (arrays.Int8(lock_keys),)),
            streams.load(stream_keys),
            commands.load({commands.key_of(c) for c, _ in pairs}),
        ]
        if waiting[0].alone:
            await _run(connection, [Statement(locks.BRIEFLY, (str(self._settings.journal_deadline_ms // 20),))])
        locked, heads, known, *loaded = await _run(connection, statements + [statement for _, statement in tables])
        assert (await locked.fetchone())[1], (
            "the locks must come before the first write: (xid, position) is stream order only then"
        )  # type: ignore[index]
        state = State()
        for (table, _), cursor in zip(tables, loaded, strict=True):
            state.put(*map(table.entity, await cursor.fetchall()))
        return Batch(
            stream_keys,
            state,
            dict(map(streams.head, await heads.fetchall())),
            dict(map(commands.remembered, await known.fetchall())),
            time.time_ns() // 1000,
        )

    def _decide(
        self, batch: Batch, waiting: Iterable[_Waiting]
    ) -> tuple[list[tuple[_Waiting, tuple[Outcome, ...] | Exception]], list[_Waiting]]:
        """Every callback on its own: one with a bug fails alone."""
        answers: list[tuple[_Waiting, tuple[Outcome, ...] | Exception]] = []
        again = []
        for one in waiting:
            try:
                answers.append((one, batch.decide(one.callback)))
            except NotLocked:
                again.append(one)
                self._directory.forget(key for command in one.callback.commands for key in command.needs)
            except Exception as error:  # a bug in a rule must not cost the neighbours their answers; it is logged and raised to its caller
                log.exception("decision failed", command=one.callback.commands[0].kind)
                answers.append((one, error))
        self._directory.learn(batch.loaded.entities.values())
        return answers, again

    async def _connect(self, writer: _Writer) -> AsyncConnection[Any]:
        timeout_ms = self._settings.journal_deadline_ms
        connection = await AsyncConnection.connect(
            self._settings.database_url.get_secret_value(),
            application_name="wagerledger journal",
            options=f"-c synchronous_commit=on -c default_transaction_isolation=read\\ committed -c lock_timeout={timeout_ms // 2} -c statement_timeout={timeout_ms} "
            f"-c idle_in_transaction_session_timeout={timeout_ms} {_PLANS}",
        )
        connection.prepare_threshold = 0
        arrays.register(connection)
        writer.connection = connection
        return connection

    async def _disconnect(self, writer: _Writer) -> None:
        connection, writer.connection = writer.connection, None
        if connection is not None:
            await connection.close()


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


async def _rolled_back(connection: AsyncConnection[Any]) -> bool:
    """Whether the connection is usable again after an error."""
    try:
        async with asyncio.timeout(1):
            await connection.rollback()
    except (TimeoutError, psycopg.Error):
        return False
    return not connection.broken


async def _run(connection: AsyncConnection[Any], statements: Iterable[Statement]) -> list[AsyncCursor[Any]]:
    """Run statements in order in one exchange. Raises AssertionError where one touched another number of rows than it
    must.
    """
    cursors = []
    async with connection.pipeline():
        for statement in statements:
            cursor = connection.cursor(binary=True)
            await cursor.execute(statement.sql, statement.params, prepare=True)
            cursors.append((statement, cursor))
    for statement, cursor in cursors:
        assert statement.rows in (None, cursor.rowcount), (
            f"{cursor.rowcount} rows instead of {statement.rows}: {statement.sql}"
        )
    return [cursor for _, cursor in cursors]


def writes(batch: Batch) -> Iterable[Statement]:
    """The events first, then the state they lead to, then what was asked and answered."""
    if batch.events:
        yield event_log.append(batch.events)
        yield from streams.save(batch.loaded_heads, batch.heads)
    yield from entities.save(batch.loaded, batch.state)
    if batch.commands:
        yield commands.insert(batch.commands)
    if batch.refusals:
        yield commands.insert_refusals(batch.refusals)
