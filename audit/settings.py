"""Brands, integrations, their keys, games, rates and the log's generation: each row is as the last act recorded it.

Secrets are in no act; that a key with a secret exists, and from when to when it proves anybody, is.
"""

from audit.findings import AuditReport
from audit.snapshot import Snapshot

# Of two acts on one row the later one waited for the earlier one and then took its position; its xid may be smaller.
# An act with all games of its integration took back what earlier ones had recorded.
_TAKEN_BACK = """
not exists (select from wagerledger.acts b
    where b.subject = a.subject and b.content -> 'games' is not null and (b.content ->> 'replaced')::boolean
        and b.position > a.position)
"""

_DIFFERENCES = """
with recorded as (
    select distinct on ({key}) r.* from wagerledger.acts a
    cross join lateral json_populate_recordset(null::wagerledger.{table}, a.content -> '{name}') r
    where json_typeof(a.content -> '{name}') = 'array' and {valid}
    order by {key}, a.position desc
)
select concat_ws(' ', {key}), to_jsonb(recorded)::text, to_jsonb(stored)::text
from recorded full join (select * from wagerledger.{table} where {stored}) stored using ({key})
where to_jsonb(recorded) is distinct from to_jsonb(stored)
order by 1
"""


def _query(table: str, key: str, name: str | None = None, *, valid: str = "true", stored: str = "true") -> str:
    return _DIFFERENCES.format(table=table, key=key, name=name or table, valid=valid, stored=stored)


QUERIES = {
    "brands": _query("brands", "tenant_id, region"),
    "integrations": _query("integrations", "integration_id"),
    "integration_keys": _query("keys_without_secrets", "kid", "integration_keys"),
    "games": _query("games", "integration_id, game_id", valid=_TAKEN_BACK),
    "rates": _query("rates", "tenant_id, base, quote, as_of"),
    "log_generation": _query("log_generation", "generation", stored="generation > 1"),  # the first is everybody's
}
"""By table: where what is stored is not what was recorded, with both as JSON."""


def verify_settings(snapshot: Snapshot, report: AuditReport) -> None:
    """Compare the settings with the acts. Raises CannotCheckError."""
    for table, query in QUERIES.items():
        for key, recorded, stored in snapshot.all(query):
            if recorded is None:
                report.find("setting_unexplained", None, None, f"{table} has {key}, and no act tells of it: {stored}")
            else:
                now = f"it is {stored}" if stored else "it is gone"
                report.find("setting_differs", None, None, f"{table} {key}: an act told {recorded}; {now}")
