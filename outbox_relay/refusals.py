"""Refusals as they are published: read from their table in the order of database transactions, encoded, with a key."""

from datetime import datetime
from typing import Any, NamedTuple

from ledger.journal.refusals import refused
from ledger.relay_position import Cursor
from ledger.streams import record_key
from runtime.clock import to_us
from schemas.events import REFUSAL

# Behind the same horizon as events. The integration says whose provider it was.
READ = """
select r.xid, r.refusal_id, r.command_id::text, r.refused_at, r.tenant_id, r.region, r.scope, i.provider_id,
    r.stream_type, r.stream_id, r.kind, r.code, r.details::text, r.operation, r.idempotency_key, r.fingerprint,
    r.asked::text, r.kid, r.trace_id
from wagerledger.refusals r left join wagerledger.integrations i on i.integration_id = r.scope
where (r.xid, r.refusal_id) > (%(xid)s::bigint, %(position)s::bigint)
    and r.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
order by r.xid, r.refusal_id
limit %(limit)s::integer
"""


class Refusal(NamedTuple):
    """A refused command as the table holds it."""

    xid: int
    refusal_id: int
    command_id: str
    refused_at: datetime
    tenant_id: str
    region: str
    scope: str
    provider_id: str | None
    stream_type: str
    stream_id: str
    kind: str
    code: str
    details: str
    operation: str
    idempotency_key: str
    fingerprint: bytes | None
    asked: str | None
    kid: str | None
    trace_id: str

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.xid, self.refusal_id)

    @property
    def key(self) -> str:
        """As events have it: everything of one player has one key."""
        return record_key(self.tenant_id, self.stream_type, self.stream_id) or self.scope

    @property
    def body(self) -> bytes:
        return REFUSAL.encode(self._record())

    def _record(self) -> dict[str, Any]:
        row = self._asdict()
        return {
            **{name: row[name] for name in _SAME},
            **refused(self.scope, self.stream_type, self.stream_id),
            "refused_at": to_us(self.refused_at),
        }


_SAME = [field["name"] for field in REFUSAL.schema["fields"] if field["name"] in Refusal._fields]
