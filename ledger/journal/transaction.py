"""One database transaction over a batch of callbacks: four exchanges with PostgreSQL.

(1) Find whose commands these are, where that is not known; (2) take all locks, then read all that the rules need;
(3) write events, state, outcomes; (4) commit.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from psycopg import OperationalError
from psycopg.errors import InvalidTextRepresentation, UniqueViolation

from ledger.core import limits
from ledger.core.rollbacks import Rollback
from ledger.core.state import Bet, Key, Round, Session, Settlement, State
from ledger.idempotency import Request
from ledger.journal import locks
from ledger.journal.batch import Batch
from ledger.journal.directory import Directory
from ledger.journal.known_streams import KnownStreams, Recalled
from ledger.journal.pipeline import Connection, Row
from ledger.journal.recording import NO_VARIANTS
from ledger.journal.unit_of_work import NotLocked, UnitOfWork, requests_of
from ledger.outcome import Callback, Outcome, Proof
from ledger.store import commands, entities, event_log, players, proofs, refusals, streams, wallets
from ledger.store.statement import Statement
from ledger.streams import PLAYER, StreamKey, player_stream
from patience.postgresql import UnknownOutcomeError
from runtime import arrays
from schemas.dual_write import EventVariant

log = structlog.get_logger("journal")

Result = tuple[Outcome, ...] | Exception
"""What a callback came to, or the bug that stopped its decision."""

_LOCKS_FIRST = "locks must come before the first write: only so is (xid, position) the order of every stream"
LET_COMMIT_WAIT = "select set_config('statement_timeout', '0', true)"
"""A COMMIT that is cancelled while it waits for a synchronous standby is done all the same, on this server alone: all
see it, and a repeat would get a yes for what a failover loses.
"""


async def commit(
    connection: Connection,
    directory: Directory,
    known: KnownStreams,
    callbacks: Sequence[Callback],
    *,
    lock_timeout_ms: int | None = None,
    variants: Mapping[str, EventVariant] = NO_VARIANTS,
) -> tuple[Result | None, ...]:
    """Decide `callbacks` in order and make them durable; one result for each.

    None is the result of a callback whose player turned out to be another one than was locked: try it again.
    `lock_timeout_ms` replaces the connection's own for this transaction; `variants` are written beside the log's own.

    Raises what the database raises, with nothing committed; UnknownOutcomeError where the connection was lost at the
    very end.
    """
    await _look_up(connection, directory, callbacks)
    requests = _Requests.of(callbacks, directory)
    batch, results = None, None
    if lock_timeout_ms is None:
        batch = await _recall(connection, known, requests, variants)
    if batch:
        results = await _commit_at_once(connection, known, requests, batch)
    if batch is None or results is None:
        if lock_timeout_ms is not None:
            await connection.run([Statement(locks.SET_TIMEOUT, (str(lock_timeout_ms),))])
        batch = await _load(connection, requests, variants)
        known.check(batch)
        results = _decide_all(batch, requests, directory)
        await _write(connection, known, batch)
    directory.learn(batch.state.entities.values())
    known.learn(batch, requests.each)
    return results


@dataclass
class _Requests:
    """What a batch is about, as far as it is known before the locks."""

    callbacks: Sequence[Callback]
    of_callbacks: Sequence[Sequence[Request]]
    """Those of each callback, in its order."""
    proven: set[bytes]
    """Digests of the callbacks' proofs."""

    def __post_init__(self) -> None:
        self.each = [request for of_callback in self.of_callbacks for request in of_callback]
        self.streams = {request.stream for request in self.each}
        self.needs = {key for request in self.each for key in request.needs}
        """Keys of what is decided on, besides players and their wallets."""

    @classmethod
    def of(cls, callbacks: Sequence[Callback], directory: Directory) -> "_Requests":
        requests = [requests_of(callback, directory.stream_of) for callback in callbacks]
        return cls(callbacks, requests, {callback.proof.digest for callback in callbacks if callback.proof})

    def units(self, batch: Batch) -> Iterator[UnitOfWork]:
        """Each callback, to be decided on what `batch` has come to."""
        return (UnitOfWork(batch, *one) for one in zip(self.callbacks, self.of_callbacks, strict=True))

    def further(self, state: State) -> set[Key]:
        """Keys of what is decided on because of what was loaded: of the limits of players."""
        return {
            key
            for request in self.each
            if request.stream.stream_type == PLAYER
            for key in limits.needs(state, request.command, request.stream.tenant_id, request.stream.stream_id)
        }

    @property
    def take(self) -> Statement:
        """Takes all locks: of the commands and of the proofs."""
        keys = {key for request in self.each for key in locks.lock_keys(request)}
        return Statement(locks.TAKE, (arrays.Int8(sorted(keys.union(map(locks.proof_lock, self.proven)))),))

    @property
    def is_plain(self) -> bool:
        """Whether there is something to decide, all of it on what is of the players' streams and found by key."""
        return (
            bool(self.streams)
            and all(stream.stream_type == PLAYER for stream in self.streams)
            and all(key[0] in _OF_STREAMS for key in self.needs)
            and not any(isinstance(request.command, Rollback) for request in self.each)
        )


_OF_STREAMS = {Bet, Session, Settlement, Round}


# At once --------------------------------------------------------------------------------------------------------------


async def _recall(
    connection: Connection, known: KnownStreams, requests: _Requests, variants: Mapping[str, EventVariant]
) -> Batch | None:
    """The batch as this process knows it, with what it does not know read; None where that would not be enough."""
    if not known.may_recall(len(requests.streams)) or not requests.is_plain:
        return None
    recalled = known.recall(requests.each)
    if recalled is None or (recalled.unread and not await _read_rest(connection, requests, recalled)):
        return None
    return Batch(
        locked=requests.streams, loaded=recalled.state, loaded_heads=recalled.heads, remembered={},
        now=time.time_ns() // 1000, variants=variants, read=requests.needs,
    )  # fmt: skip


async def _read_rest(connection: Connection, requests: _Requests, recalled: Recalled) -> bool:
    """Read what is not known, before the locks: the heads first, so that whatever moves meanwhile has moved them, too.
    False where something belongs to a stream that is not locked, whose head would prove nothing.
    """
    needs = {key for request in requests.each if request.stream in recalled.unread for key in request.needs}
    tables = _tables(recalled.unread, needs)
    heads, *loaded = await connection.run([streams.load(recalled.unread), *(statement for _, statement in tables)])
    recalled.heads.update(map(streams.head, heads))
    for entity in _entities(tables, loaded):
        if player_stream(entity.tenant_id, entity.player_id) not in requests.streams:
            return False
        recalled.state.put(entity)
    return True


async def _commit_at_once(
    connection: Connection, known: KnownStreams, requests: _Requests, batch: Batch
) -> tuple[Result | None, ...] | None:
    """Decide on what is known, and commit in one exchange; None where that came to nothing, with nothing done.

    That nothing has changed since is proven by the streams' heads, so all of them must move; what is taken to be new
    (commands, bets, proofs) by the keys of their tables; what is taken not to be there, by looking.
    """
    try:
        results = tuple([unit.decide() for unit in requests.units(batch)])
    except NotLocked:  # what would say whose it is, or what a limit counts, is not known
        return None
    if batch.refusals or not batch.heads.keys() >= requests.streams:
        return None
    absent = requests.needs - batch.loaded.entities.keys() - batch.state.entities.keys()
    statements = [
        requests.take,
        *(query.finds_nothing for _, query in entities.load(absent)),
        *writes(batch),
        Statement(LET_COMMIT_WAIT, ()),
    ]
    try:
        ((_, nothing_written),), *_ = await connection.run(statements, commits=True)
    except (UniqueViolation, InvalidTextRepresentation):
        await connection.rollback()
        return None
    except UnknownOutcomeError as error:
        # It may be sent again: whichever comes second finds the heads moved and the keys known, and the long way says
        # what became of the first.
        known.forget(requests.streams)
        raise OperationalError(str(error)) from error
    assert nothing_written, _LOCKS_FIRST
    return results


# The long way ---------------------------------------------------------------------------------------------------------


async def _look_up(connection: Connection, directory: Directory, callbacks: Iterable[Callback]) -> None:
    """Players are immutable facts of bets, wins and sessions, so reading them before the lock is safe."""
    unknown = {key for callback in callbacks for command in callback.commands for key in directory.unknown(command)}
    if not unknown:
        return
    tables = entities.load(unknown)
    found = await connection.run([statement for _, statement in tables])
    directory.learn(_entities(tables, found))


async def _load(connection: Connection, requests: _Requests, variants: Mapping[str, EventVariant]) -> Batch:
    """Take the locks of all commands and proofs, and read what they are decided on, as it is once the locks are
    held.
    """
    tables = _tables(requests.streams, requests.needs)
    statements = [
        requests.take,
        streams.load(requests.streams),
        commands.load({request.key for request in requests.each}),
        *(statement for _, statement in tables),
        *([proofs.load(requests.proven)] if requests.proven else ()),
    ]
    ((_, nothing_written),), heads, repeated, *loaded = await connection.run(statements)
    assert nothing_written, _LOCKS_FIRST
    known_proofs = map(Proof._make, loaded.pop()) if requests.proven else ()
    state = State()
    state.put(*_entities(tables, loaded))
    further = requests.further(state) - requests.needs
    if further:
        tables = entities.load(further)
        state.put(*_entities(tables, await connection.run([statement for _, statement in tables])))
    return Batch(
        locked=requests.streams,
        loaded=state,
        loaded_heads=dict(map(streams.head, heads)),
        remembered=dict(map(commands.remembered, repeated)),
        now=time.time_ns() // 1000,
        variants=variants,
        proven={proof.digest: proof for proof in known_proofs},
        read=requests.needs | further,
    )


def _tables(locked: Iterable[StreamKey], needs: Iterable[Key]) -> list[tuple[Any, Statement]]:
    """Queries of what `needs` names, and of the streams' players with all their wallets; each with its table."""
    tables = entities.load(needs)
    players_of = [(tenant_id, stream_id) for tenant_id, stream_type, stream_id in locked if stream_type == PLAYER]
    if players_of:
        tables += (wallets, wallets.load(players_of)), (players, players.load(players_of))
    return tables


def _entities(tables: Iterable[tuple[Any, Statement]], found: Iterable[Sequence[Row]]) -> Iterator[Any]:
    """What the queries of `_tables` have found."""
    for (table, _), rows in zip(tables, found, strict=True):
        yield from map(table.entity, rows)


async def _write(connection: Connection, known: KnownStreams, batch: Batch) -> None:
    changes = list(writes(batch))
    if not changes:
        await connection.commit()  # of locks only
        return
    try:
        await connection.run([*changes, Statement(LET_COMMIT_WAIT, ())], commits=True)
    except Exception:
        known.forget(batch.locked)
        raise


def _decide_all(batch: Batch, requests: _Requests, directory: Directory) -> tuple[Result | None, ...]:
    results = tuple([_decide(unit, directory) for unit in requests.units(batch)])
    directory.learn(batch.loaded.entities.values())
    return results


def _decide(unit: UnitOfWork, directory: Directory) -> Result | None:
    """Each callback on its own: a bug in one must not cost its neighbours their answers."""
    try:
        return unit.decide()
    except NotLocked:
        directory.forget(key for command in unit.callback.commands for key in command.needs)
        return None
    except Exception as error:
        log.exception("decision failed", command=unit.callback.kind)
        return error


def writes(batch: Batch) -> Iterable[Statement]:
    """The events first, then the state they lead to, then the commands with their outcomes."""
    if batch.events:
        yield event_log.append(batch.events)
        yield from streams.save(batch.loaded_heads, batch.heads)
    yield from entities.save(batch.loaded, batch.state)
    if batch.commands:
        yield commands.insert(batch.commands)
    if batch.refusals:
        yield refusals.insert(batch.refusals)
    if batch.proofs:
        yield proofs.insert(batch.proofs)
