"""Table `refusals`: what was refused, under which key and why. Rows are added; nothing else ever happens to them."""

from collections.abc import Sequence

from ledger.store.column_list import ColumnList
from ledger.store.commands import Decided
from ledger.store.statement import Statement

COLUMNS = ColumnList("""
    scope text, operation text, idempotency_key text, command_id text::uuid, kind text, fingerprint bytea, region text,
    tenant_id text, stream_type text, stream_id text, code text, details text::json, answer bytea, kid text,
    asked text::json, trace_id text, refused_at timestamptz
""")

INSERT = f"""
insert into wagerledger.refusals ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants


def insert(decided: Sequence[Decided]) -> Statement:
    """New rows, each made by position in the order of COLUMNS, as those of commands are."""
    rows = [
        (
            *d.key, d.command_id, d.kind, d.fingerprint, d.region, *d.stream, d.outcome.refusal_code,
            d.outcome.to_json(), d.outcome.answer, d.kid, d.command_json, d.trace_id, d.decided_at,
        )
        for d in decided
    ]  # fmt: skip
    return Statement(INSERT, COLUMNS.packed(rows), len(rows))
