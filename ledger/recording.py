"""From a decided event to the bytes of the event log: envelope, version, hash chain."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from uuid_utils import uuid7

from ledger.core.chain import GENESIS, hash_of
from ledger.core.commands import Origin
from ledger.core.events import Event
from ledger.core.state import wallet_id
from ledger.core.value import value
from schemas.events import EVENTS
from schemas.forms import Form

PLAYER, INTEGRATION = "player", "integration"
NO_FORMS: Mapping[str, Form] = {}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StreamKey(NamedTuple):
    """What is ordered, versioned and chained."""

    tenant_id: str
    stream_type: str
    stream_id: str


def record_key(tenant_id: str, stream_type: str, stream_id: str) -> str:
    """Key of a stream's records in Kafka: everything of one player has one key, and so one partition."""
    return f"{tenant_id}/{stream_id}" if stream_type == PLAYER else stream_id


def player_stream(tenant_id: str, player_id: str) -> StreamKey:
    return StreamKey(tenant_id, PLAYER, player_id)


def stream_of(event: Event) -> StreamKey:
    """The player's stream; the integration's where no player is known."""
    if event.player_id is not None:
        return player_stream(event.tenant_id, event.player_id)
    assert event.integration_id, f"{event.payload.event_type} belongs to nobody"
    return StreamKey(event.tenant_id, INTEGRATION, event.integration_id)


@value()
class Head:
    """Where a stream ends. `recorded_at` is microseconds since the epoch."""

    version: int = 0
    hash: bytes = GENESIS
    recorded_at: int = 0


@value()
class Recorded:
    """One row of the event log."""

    stream: StreamKey
    version: int
    recorded_at: int
    event_type: str
    event_id: str
    schema_fingerprint: bytes
    trace_id: str
    traceparent: str | None
    body: bytes
    second_form: bytes | None = None
    """The same event in another form of its type, during a migration; no hash covers it."""
    second_fingerprint: bytes | None = None

    def head(self) -> Head:
        return Head(self.version, hash_of(self.body), self.recorded_at)


def record(
    event: Event,
    origin: Origin,
    head: Head,
    now: int,
    asked: bytes | None = None,
    forms: Mapping[str, Form] = NO_FORMS,
) -> Recorded:
    """Give `event` the next place after `head` and encode it. `now` is microseconds since the epoch; time in a stream
    never runs backwards.

    `asked` is the fingerprint of the command. With it the event carries all that a repeat of the command needs, should
    the commands ever be lost. `forms` are the other forms that are written beside the log's, by event type.
    """
    payload, stream = event.payload, stream_of(event)
    schema = EVENTS[payload.event_type]
    recorded_at = max(now, head.recorded_at)
    event_id = str(uuid7())
    currency = getattr(payload, "currency", None)
    envelope = {
        "event_type": payload.event_type,
        "schema_version": schema.schema_version,
        "event_id": event_id,
        "occurred_at": recorded_at,
        "tenant_id": event.tenant_id,
        "region": origin.region,
        "player_id": event.player_id,
        "trace_id": origin.trace_id,
        "payload": vars(payload),
        "idempotency_key": origin.idempotency_key,
        "stream_type": stream.stream_type,
        "stream_id": stream.stream_id,
        "stream_version": head.version + 1,
        "previous_hash": head.hash,
        "wallet_id": wallet_id(event.tenant_id, event.player_id, currency) if event.player_id and currency else None,
        "provider_id": origin.provider_id,
        "postings": [
            {"account": p.account, "amount_minor": p.amount_minor, "currency": p.currency} for p in event.postings
        ],
        "integration_id": event.integration_id,
        "provider_occurred_at": origin.provider_occurred_at,
        "provider_transaction_id": origin.provider_transaction_id,
        "operation": origin.operation,
        "command_fingerprint": asked,
    }
    form = forms.get(payload.event_type)
    return Recorded(
        stream, head.version + 1, recorded_at, payload.event_type, event_id, schema.fingerprint,
        origin.trace_id, origin.traceparent, schema.encode(envelope),
        form.encode(envelope) if form else None, form.schema.fingerprint if form else None,
    )  # fmt: skip


def to_datetime(time_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC time, without passing through a float. A time that no calendar of
    ours can say becomes the nearest one that it can: one event never blinds the reader of all the others.
    """
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if time_us > 0 else datetime.min.replace(tzinfo=UTC)


def to_us(time: datetime) -> int:
    """An aware time as microseconds since the epoch, without passing through a float."""
    return (time - _EPOCH) // timedelta(microseconds=1)
