"""From a decided event to the bytes of the event log: envelope, version, hash chain."""

from collections.abc import Mapping

from uuid_utils import uuid7

from ledger.core.commands import Origin
from ledger.core.events import Event
from ledger.core.state import wallet_id
from ledger.streams import Recorded, StreamHead, stream_of
from schemas.dual_write import EventVariant
from schemas.events import EVENTS

NO_VARIANTS: Mapping[str, EventVariant] = {}


def record(
    event: Event,
    origin: Origin,
    head: StreamHead,
    fingerprint: bytes | None = None,
    variants: Mapping[str, EventVariant] = NO_VARIANTS,
) -> Recorded:
    """Give `event` the next place after `head` and encode it. Time in a stream never runs backwards.

    `fingerprint` is the command's. With it the event carries all that a repeat of the command needs, should
    the commands ever be lost. `variants` are the other forms that are written beside the log's, by event type.
    """
    payload, stream = event.payload, stream_of(event)
    schema = EVENTS[payload.event_type]
    event_id, recorded_at = str(uuid7()), event.at
    assert recorded_at >= head.recorded_at, f"time of {stream} runs backwards: {head.recorded_at}, then {recorded_at}"
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
        "command_fingerprint": fingerprint,
    }
    variant = variants.get(payload.event_type)
    return Recorded(
        stream, head.version + 1, recorded_at, payload.event_type, event_id, schema.fingerprint,
        origin.trace_id, origin.traceparent, schema.encode(envelope),
        variant.encode(envelope) if variant else None, variant.schema.fingerprint if variant else None,
    )  # fmt: skip
