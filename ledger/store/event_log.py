"""Table `event_log`: the truth. Rows are added; nothing else ever happens to them."""

from collections.abc import Sequence

from ledger.store.statement import Statement
from ledger.streams import Recorded
from runtime.arrays import Bytea, Int8, Text, Timestamptz, columns

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


# The same with another form of the event, which only a migration of its type writes.
APPEND_WITH_FORMS = """
insert into wagerledger.event_log
    (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,
    trace_id, traceparent, body, second_form, second_fingerprint)
select recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id::uuid, schema_fingerprint,
    trace_id, traceparent, body, second_form, second_fingerprint
from unnest(%b::timestamptz[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::bytea[],
    %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::bytea[])
    n(recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,
    trace_id, traceparent, body, second_form, second_fingerprint)
"""

_ROW = Timestamptz, Text, Text, Text, Int8, Text, Text, Bytea, Text, Text, Bytea


def append(events: Sequence[Recorded]) -> Statement:
    """Add `events` in their order: positions rise with it."""
    if any(event.second_form is not None for event in events):
        rows = [(*_row(event), event.second_form, event.second_fingerprint) for event in events]
        return Statement(APPEND_WITH_FORMS, columns((*_ROW, Bytea, Bytea), rows), len(rows))
    return Statement(APPEND, columns(_ROW, list(map(_row, events))), len(events))


def _row(event: Recorded) -> tuple[object, ...]:
    return (
        event.recorded_at, *event.stream, event.version, event.event_type, event.event_id, event.schema_fingerprint,
        event.trace_id, event.traceparent, event.body,
    )  # fmt: skip
