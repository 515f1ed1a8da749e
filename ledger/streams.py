"""Streams: whose events they are, where one ends, and a row of the event log."""

from typing import NamedTuple

from ledger.core.chain import GENESIS, hash_of
from ledger.core.events import Event
from ledger.core.value import value

PLAYER, INTEGRATION = "player", "integration"


class StreamKey(NamedTuple):
    """What is ordered, versioned and chained."""

    tenant_id: str
    stream_type: str
    stream_id: str


def record_key(tenant_id: str, stream_type: str, stream_id: str) -> str:
    """Key of a stream's records in Kafka: everything of one player has one key, and so one partition."""
    return f"{tenant_id}/{stream_id}" if stream_type == PLAYER else stream_id


def player_stream(tenant_id: str, player_id: str) -> StreamKey:
    """The stream of a player: all their wallets, sessions and bets."""
    return StreamKey(tenant_id, PLAYER, player_id)


def stream_of(event: Event) -> StreamKey:
    """The player's stream; the integration's where no player is known."""
    if event.player_id is not None:
        return player_stream(event.tenant_id, event.player_id)
    assert event.integration_id, f"{event.payload.event_type} belongs to nobody"
    return StreamKey(event.tenant_id, INTEGRATION, event.integration_id)


@value()
class StreamHead:
    """Where a stream ends. `recorded_at` is microseconds since the epoch."""

    version: int = 0
    hash: bytes = GENESIS
    recorded_at: int = 0

    def time_after(self, now: int) -> int:
        """When the next event is: now, but never before the last one, whatever the clock says."""
        return max(now, self.recorded_at)


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
    """The event's bytes in another form of its type, during a migration; no hash covers them."""
    second_fingerprint: bytes | None = None

    def head(self) -> StreamHead:
        """Where the stream ends with this event."""
        return StreamHead(self.version, hash_of(self.body), self.recorded_at)
