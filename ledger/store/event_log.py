"""Table `event_log`: the truth. Rows are added; nothing else ever happens to them."""

from collections.abc import Sequence

from ledger.recording import Recorded
from ledger.store.arrays import Bytea, Int8, Text, Timestamptz, columns
from ledger.store.statement import Statement

APPEND = """
insert into wagerledger.event_log
    (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,
    trace_id, traceparent, body)
select recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id::uuid, schema_fingerprint,
    trace_id, traceparent, body
from unnest(%b::timestamptz[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::bytea[],
    %b::text[], %b::text[], %b::bytea[])
    n(recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,
    trace_id, traceparent, body)
"""


_ROW = Timestamptz, Text, Text, Text, Int8, Text, Text, Bytea, Text, Text, Bytea


def append(events: Sequence[Recorded]) -> Statement:
    """Add `events` in their order: positions rise with it."""
    rows = [
        (
            e.recorded_at,
            *e.stream,
            e.version,
            e.event_type,
            e.event_id,
            e.schema_fingerprint,
            e.trace_id,
            e.traceparent,
            e.body,
        )
        for e in events
    ]
    return Statement(APPEND, columns(_ROW, rows), len(rows))
