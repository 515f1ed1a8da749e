"""Putting events back that the log has lost but the topics still hold: acknowledged money after a restore to an earlier
moment.

The events come back with their own bytes, so the chain proves them; the state is folded from them by the same `evolve`;
their commands are made again from what the events say of them, so that a late repeat of a callback still hears its old
answer. What the topics never held (refusals, and repeats that changed nothing) is not known any more: asked again, it
is decided again.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import psycopg

from ledger.admin import actions
from ledger.admin.actions import Actor, AdminAction
from ledger.core.chain import hash_of
from ledger.core.commands import TENANT_SCOPE
from ledger.core.events import Event, Payload
from ledger.core.evolve import event_of, evolve
from ledger.core.state import State
from ledger.idempotency import CommandKey
from ledger.journal.batch import Batch
from ledger.journal.locks import stream_lock
from ledger.journal.transaction import writes
from ledger.outcome import Balances, Outcome
from ledger.store import entities, players, streams, wallets
from ledger.store.commands import Decided
from ledger.store.statement import Statement
from ledger.streams import PLAYER, Recorded, StreamHead, StreamKey, stream_of
from patience import session
from runtime import arrays
from runtime.residency import ForeignRegionError
from runtime.settings import Settings
from schemas.registry import WireRecord

CHUNK = 500

TAKE = "select pg_advisory_xact_lock(key) from unnest(%b::bigint[]) key"


class RestoreError(Exception):
    """An event does not continue its stream: the topics and the log tell two stories, and people must decide."""


def restore(settings: Settings, lost: Iterator[WireRecord], *, by: Actor) -> None:
    """Append the `lost` events, which come in stream order, with their state and commands, and an act that says so.
    Safe to repeat after a break.

    Raises RestoreError, with nothing of that chunk kept; psycopg.OperationalError; AdminActionError.
    """
    url, wanted = settings.database_url.get_secret_value(), {"synchronous_commit": "on"}
    with session.connect(url, wanted, application_name="wagerledger restore", writes=True) as connection:
        arrays.register(connection)
        while chunk := list(islice(lost, CHUNK)):
            try:
                for record in chunk:
                    settings.residency.check(record.record["region"])
                with connection.transaction():
                    _append(connection, [_LostEvent(record) for record in chunk])
                    actions.record(connection, _action(by, chunk))
            except ForeignRegionError as error:
                raise RestoreError(f"a published event may not be brought back here: {error}") from error
            except (AssertionError, psycopg.errors.UniqueViolation) as error:
                raise RestoreError(
                    "the log has gone on since it was restored and has decided otherwise what the topics hold, such as "
                    f"the same key or the same bet: {error}"
                ) from error


def _action(by: Actor, restored: Sequence[WireRecord]) -> AdminAction:
    """These events stand in the log for the second time: where anchors have seen them before, this says why."""
    event_ids = [record.record["event_id"] for record in restored]
    return AdminAction(by, "log.events_restored", "event_log", {"restored_events": event_ids})


class _LostEvent:
    """A published event on its way back."""

    def __init__(self, wire: WireRecord) -> None:
        record = wire.record
        self.record = record
        self.event = event_of(record)
        self.stream = stream_of(self.event)
        self.row = Recorded(
            stream=self.stream,
            version=record["stream_version"],
            recorded_at=record["occurred_at"],
            event_type=record["event_type"],
            event_id=record["event_id"],
            schema_fingerprint=wire.schema.fingerprint,
            trace_id=record["trace_id"],
            traceparent=None,
            body=wire.body,
        )

    def command(self, balances: Balances | None) -> Decided:
        record, payload = self.record, self.event.payload
        outcome = Outcome(payload.command_kind, result=payload.result, balances=balances)
        scope = record["integration_id"] or f"{TENANT_SCOPE}{record['tenant_id']}"
        return Decided(
            key=CommandKey(scope, record["operation"], record["idempotency_key"]),
            command_id=record["event_id"],
            kind=payload.command_kind,
            tenant_id=record["tenant_id"],
            trace_id=record["trace_id"],
            fingerprint=record["command_fingerprint"],
            stream=self.stream,
            versions=(self.row.version, self.row.version),
            outcome=outcome,
            decided_at=record["occurred_at"],
            region=record["region"],
        )


def _append(connection: psycopg.Connection[Any], lost: Sequence[_LostEvent]) -> None:
    batch = _load(connection, lost)
    for one in lost:
        head = batch.heads.get(one.stream) or batch.loaded_heads.get(one.stream) or StreamHead()
        if one.row.version != head.version + 1 or one.record["previous_hash"] != head.hash:
            raise RestoreError(
                f"version {one.row.version} of {'/'.join(one.stream)} does not follow version {head.version} of the log"
            )
        batch.state.put(*evolve(batch.state, one.event))
        batch.heads[one.stream] = StreamHead(one.row.version, hash_of(one.row.body), one.row.recorded_at)
        batch.events.append(one.row)
        batch.commands.append(one.command(_balances(batch.state, one.event, one.event.payload)))
    for statement in writes(batch):
        rows = connection.execute(statement.sql, statement.params).rowcount
        assert statement.rows in (None, rows), f"{rows} rows instead of {statement.rows}: {statement.sql}"


def _load(connection: psycopg.Connection[Any], lost: Sequence[_LostEvent]) -> Batch:
    stream_keys = {one.stream for one in lost}
    connection.execute(TAKE, [arrays.Int8(sorted(stream_lock(stream) for stream in stream_keys))])
    state = State()
    known = [(tenant_id, stream_id) for tenant_id, stream_type, stream_id in stream_keys if stream_type == PLAYER]
    tables = entities.load({key for one in lost for key in one.event.needs})
    if known:
        tables += (wallets, wallets.load(known)), (players, players.load(known))
    for table, statement in tables:
        state.put(*map(table.entity, _rows(connection, statement)))
    heads: dict[StreamKey, StreamHead] = dict(map(streams.head, _rows(connection, streams.load(stream_keys))))
    return Batch(stream_keys, state, heads, {}, 0)


def _rows(connection: psycopg.Connection[Any], statement: Statement) -> list[Any]:
    return connection.execute(statement.sql, statement.params, binary=True).fetchall()


def _balances(state: State, event: Event, payload: Payload) -> Balances | None:
    currency = getattr(payload, "currency", None)
    wallet = state.wallet(event.tenant_id, event.player_id, currency) if event.player_id and currency else None
    return Balances.of(wallet) if wallet else None
