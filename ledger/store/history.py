"""The events of one stream, for people to look at."""

from typing import Any

from psycopg import Connection

from ledger.streams import PLAYER
from runtime.clock import to_datetime
from schemas.events import BY_FINGERPRINT

LATEST = """
select schema_fingerprint, body from wagerledger.event_log
where tenant_id = %s and stream_type = %s and stream_id = %s
order by stream_version desc limit %s
"""


def latest(connection: Connection[Any], tenant_id: str, player_id: str, limit: int) -> list[dict[str, Any]]:
    """The newest events of a player's stream, newest first, as plain values. Raises psycopg.Error."""
    rows = connection.execute(LATEST, (tenant_id, PLAYER, player_id, limit)).fetchall()
    return [_readable(BY_FINGERPRINT[bytes(fingerprint)].decode(body)) for fingerprint, body in rows]


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    times = {"occurred_at", "provider_occurred_at"}
    return {
        name: to_datetime(value).isoformat()
        if name in times and value is not None
        else value.hex()
        if isinstance(value, bytes)
        else value
        for name, value in record.items()
    }
