"""One database transaction over a batch of callbacks: four exchanges with PostgreSQL.

(1) Find whose commands these are, where that is not known; (2) take all locks, then read all that the rules need;
(3) write events, state, outcomes; (4) commit.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

import psycopg
import structlog

from ledger.core.state import State
from ledger.idempotency import Request
from ledger.journal import locks
from ledger.journal.batch import Batch
from ledger.journal.directory import Directory
from ledger.journal.pipeline import Connection
from ledger.journal.recording import NO_VARIANTS
from ledger.journal.unit_of_work import NotLocked, UnitOfWork, requests_of
from ledger.outcome import Callback, Outcome, Proof
from ledger.store import commands, entities, event_log, players, proofs, refusals, streams, wallets
from ledger.store.statement import Statement
from ledger.streams import PLAYER
from patience.postgresql import UnknownOutcomeError
from runtime import arrays
from schemas.dual_write import EventVariant

log = structlog.get_logger("journal")

Result = tuple[Outcome, ...] | Exception
"""What a callback came to, or the bug that stopped its decision."""

LET_COMMIT_WAIT = "select set_config('statement_timeout', '0', true)"
"""A COMMIT that is cancelled while it waits for a synchronous standby is done all the same, on this server alone: all
see it, and a repeat would get a yes for what a failover loses.
"""


async def commit(
    connection: Connection,
    directory: Directory,
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
    requests = [requests_of(callback, directory.stream_of) for callback in callbacks]
    if lock_timeout_ms is not None:
        await connection.run([Statement(locks.SET_TIMEOUT, (str(lock_timeout_ms),))])
    proven = {callback.proof.digest for callback in callbacks if callback.proof}
    batch = await _load(connection, [*chain.from_iterable(requests)], proven, variants)
    results = tuple([_decide(UnitOfWork(batch, *one), directory) for one in zip(callbacks, requests, strict=True)])
    directory.learn(batch.loaded.entities.values())
    if changes := list(writes(batch)):
        await connection.run([*changes, Statement(LET_COMMIT_WAIT, ())])
    try:
        await connection.commit()
    except psycopg.OperationalError as error:
        if connection.closed and changes:
            raise UnknownOutcomeError("the connection was lost while the callbacks were committed") from error
        raise
    directory.learn(batch.state.entities.values())
    return results


async def _look_up(connection: Connection, directory: Directory, callbacks: Iterable[Callback]) -> None:
    """Players are immutable facts of bets, wins and sessions, so reading them before the lock is safe."""
    unknown = {key for callback in callbacks for command in callback.commands for key in directory.unknown(command)}
    if not unknown:
        return
    tables = entities.load(unknown)
    found = await connection.run([statement for _, statement in tables])
    for (table, _), rows in zip(tables, found, strict=True):
        directory.learn(map(table.entity, rows))


async def _load(
    connection: Connection,
    requests: Sequence[Request],
    proven: Collection[bytes],
    variants: Mapping[str, EventVariant],
) -> Batch:
    """Take the locks of all commands and proofs, and read what they are decided on, as it is once the locks are
    held.
    """
    stream_keys = {request.stream for request in requests}
    known = [(tenant_id, stream_id) for tenant_id, stream_type, stream_id in stream_keys if stream_type == PLAYER]
    tables = entities.load({key for request in requests for key in request.command.needs})
    if known:
        tables += (wallets, wallets.load(known)), (players, players.load(known))
    of_requests = {key for request in requests for key in locks.lock_keys(request)}
    lock_keys = sorted(of_requests.union(map(locks.proof_lock, proven)))
    statements = [
        Statement(locks.TAKE, (arrays.Int8(lock_keys),)),
        streams.load(stream_keys),
        commands.load({request.key for request in requests}),
        *(statement for _, statement in tables),
        *([proofs.load(proven)] if proven else ()),
    ]
    ((_, nothing_written),), heads, repeated, *loaded = await connection.run(statements)
    assert nothing_written, (
        "locks must come before the first write: only so is (xid, position) the order of every stream"
    )
    known_proofs = map(Proof._make, loaded.pop()) if proven else ()
    state = State()
    for (table, _), rows in zip(tables, loaded, strict=True):
        state.put(*map(table.entity, rows))
    return Batch(
        locked=stream_keys,
        loaded=state,
        loaded_heads=dict(map(streams.head, heads)),
        remembered=dict(map(commands.remembered, repeated)),
        now=time.time_ns() // 1000,
        variants=variants,
        proven={proof.digest: proof for proof in known_proofs},
    )


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
