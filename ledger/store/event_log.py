"""Table `event_log`: the truth. Rows are added; nothing else ever happens to them."""

from collections.abc import Sequence

from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement
from ledger.streams import Recorded

COLUMNS = ColumnList("""
    recorded_at timestamptz, tenant_id text, stream_type text, stream_id text, stream_version bigint, event_type text,
    event_id text::uuid, schema_fingerprint bytea, trace_id text, traceparent text, body bytea
""")
BY_STREAM = COLUMNS.only(
    "tenant_id, stream_type, stream_id, stream_version, event_type, event_id, recorded_at, schema_fingerprint",
    "trace_id, body",
)
"""What whoever reads the log stream by stream gets of each event."""
WITH_FORMS = COLUMNS + ColumnList("second_form bytea, second_fingerprint bytea")

APPEND = f"""
insert into wagerledger.event_log
    ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants

# The same with another form of the event, which only a migration of its type writes.
APPEND_WITH_FORMS = f"""
insert into wagerledger.event_log
    ({WITH_FORMS})
select {WITH_FORMS.stored}
from {WITH_FORMS.rows("n")}
"""  # noqa: S608  # our own constants


def append(events: Sequence[Recorded]) -> Statement:
    """Add `events` in their order: positions rise with it."""
    if any(event.second_form is not None for event in events):
        rows = [(*_row(event), event.second_form, event.second_fingerprint) for event in events]
        return Statement(APPEND_WITH_FORMS, WITH_FORMS.packed(rows), len(rows))
    return Statement(APPEND, COLUMNS.packed(map(_row, events)), len(events))


def _row(event: Recorded) -> tuple[object, ...]:
    return (
        event.recorded_at, *event.stream, event.version, event.event_type, event.event_id, event.schema_fingerprint,
        event.trace_id, event.traceparent, event.body,
    )  # fmt: skip
