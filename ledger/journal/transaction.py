"""One database transaction over a batch of callbacks: four exchanges with PostgreSQL.

(1) Whose commands are these, where that is not known; (2) take all locks, then read all that the rules need; (3) write
events, state, outcomes; (4) commit.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

import psycopg
import structlog

from ledger.core.commands import Command
from ledger.core.state import State
from ledger.journal import locks
from ledger.journal.batch import Batch, NotLocked
from ledger.journal.directory import Directory
from ledger.journal.pipeline import Connection
from ledger.journal.recording import NO_VARIANTS
from ledger.outcome import Callback, Outcome, Proof
from ledger.store import commands, entities, event_log, players, proofs, streams, wallets
from ledger.store.statement import Statement
from ledger.streams import PLAYER, StreamKey
from patience.postgresql import UnknownOutcomeError
from runtime import arrays
from schemas.dual_write import EventVariant

log = structlog.get_logger("journal")

Answer = tuple[Outcome, ...] | Exception
"""What a callback came to, or the bug that stopped its decision."""


LET_COMMIT_WAIT = "select set_config('statement_timeout', '0', true)"
"""A COMMIT that is cancelled while it waits for a synchronous standby is done all the same, on this server alone: all
see it, and a repeat would be told yes for what a failover loses.
"""


async def commit(
    connection: Connection,
    directory: Directory,
    callbacks: Sequence[Callback],
    *,
    lock_timeout_ms: int | None = None,
    variants: Mapping[str, EventVariant] = NO_VARIANTS,
) -> tuple[Answer | None, ...]:
    """Decide `callbacks` in order and make them durable; one answer for each.

    None is the answer of a callback whose player turned out to be another one than was locked: try it again.
    `lock_timeout_ms` replaces the connection's own for this transaction; `variants` are written beside the log's own.

    Raises what the database raises, with nothing committed; UnknownOutcomeError where the connection was lost at the
    very end.
    """
    await _look_up(connection, directory, callbacks)
    pairs = [(command, directory.stream_of(command)) for callback in callbacks for command in callback.commands]
    if lock_timeout_ms is not None:
        await connection.run([Statement(locks.SET_TIMEOUT, (str(lock_timeout_ms),))])
    proven = {callback.proof.digest for callback in callbacks if callback.proof}
    batch = await _load(connection, pairs, proven, variants)
    answers = tuple([_decide(batch, directory, callback) for callback in callbacks])
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
    return answers


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
    pairs: Sequence[tuple[Command, StreamKey]],
    proven: Collection[bytes],
    variants: Mapping[str, EventVariant],
) -> Batch:
    """Take the locks of all commands and proofs, and read what they are decided on, as it is once the locks are
    held.
    """
    stream_keys = {stream for _, stream in pairs}
    known = [(tenant_id, stream_id) for tenant_id, stream_type, stream_id in stream_keys if stream_type == PLAYER]
    tables = entities.load({key for command, _ in pairs for key in command.needs})
    if known:
        tables += (wallets, wallets.load(known)), (players, players.load(known))
    of_commands = {key for command, stream in pairs for key in locks.lock_keys(command, stream)}
    lock_keys = sorted(of_commands.union(map(locks.proof_lock, proven)))
    statements = [
        Statement(locks.TAKE, (arrays.Int8(lock_keys),)),
        streams.load(stream_keys),
        commands.load({commands.key_of(command) for command, _ in pairs}),
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


def _decide(batch: Batch, directory: Directory, callback: Callback) -> Answer | None:
    """Each callback on its own: a bug in one must not cost its neighbours their answers."""
    try:
        return batch.decide(callback)
    except NotLocked:
        directory.forget(key for command in callback.commands for key in command.needs)
        return None
    except Exception as error:
        log.exception("decision failed", command=callback.kind)
        return error


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
    if batch.proofs:
        yield proofs.insert(batch.proofs)
