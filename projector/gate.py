"""The version gate: each event once, each stream in its order and without holes, proven by the hash chain.

An event passes when it carries the next version and the hash of the event before it. What does not pass:

- a version that we have, with the hash that we know: a duplicate, dropped;
- a version that we have, with another hash, or the next version on another past: a *fork*. Parked until somebody
  decides;
- a later version: a *gap*. The stream is parked and its events are kept; when the missing ones come, all are applied in
  order;
- a record of the stream that cannot be read: parked as *undecodable*. The next event tells whether that record was one
  of the stream's (then there is a gap) or not (then the chain goes on).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog

from ledger.core.chain import GENESIS
from ledger.streams import PLAYER, StreamKey
from projector.checkpoint import CheckpointMovedError
from projector.projection import Admitted, incoming
from projector.tables import Tables

GAP, FORK, UNDECODABLE = "gap", "fork", "undecodable"
HASH_BYTES = len(GENESIS)
TAIL = 8
"""How many of a stream's last hashes are known: a duplicate is known from a fork that far back."""

STREAM_COLUMNS = "tenant_id text, stream_type text, stream_id text"
HEAD_COLUMNS = f"{STREAM_COLUMNS}, version bigint, tail_hashes bytea, parked_reason text"
KEPT_COLUMNS = f"{STREAM_COLUMNS}, stream_version bigint, hash bytea, partition integer, wire bytea"

HEADS = f"""
select s.tenant_id, s.stream_type, s.stream_id, s.version, s.tail_hashes, s.parked_reason
from {incoming(STREAM_COLUMNS)}
join streams s using (tenant_id, stream_type, stream_id)
"""  # noqa: S608  # our own constants

NEW_HEADS = f"""
insert into streams (tenant_id, stream_type, stream_id, version, tail_hashes, parked_reason, parked_at)
select e.*, case when e.parked_reason is not null then now() end
from {incoming(HEAD_COLUMNS)}
on conflict do nothing
"""  # noqa: S608  # our own constants

MOVED_HEADS = f"""
update streams s set
    version = e.version,
    tail_hashes = e.tail_hashes,
    parked_reason = e.parked_reason,
    parked_at = case when e.parked_reason is not null then coalesce(s.parked_at, now()) end
from {incoming(f"{HEAD_COLUMNS}, found_version bigint, found_reason text")}
where s.tenant_id = e.tenant_id and s.stream_type = e.stream_type and s.stream_id = e.stream_id
    and s.version = e.found_version and s.parked_reason is not distinct from e.found_reason
"""  # noqa: S608  # our own constants

KEEP = f"""
insert into parked_events
select * from {incoming(KEPT_COLUMNS)}
on conflict do nothing
returning 1
"""  # noqa: S608  # our own constants

KEPT = """
select stream_version, hash, partition, wire, count(*) over (partition by stream_version)
from parked_events
where tenant_id = %s and stream_type = %s and stream_id = %s order by stream_version
"""

FORGET = """
delete from parked_events
where tenant_id = %s and stream_type = %s and stream_id = %s and stream_version <= %s
"""

STREAMS_NAMED = """
select tenant_id, stream_type, stream_id from streams where stream_id = %s and stream_type <> %s
"""

log = structlog.get_logger()


class StreamMovedError(CheckpointMovedError):
    """Another projector moved one of our streams meanwhile, because a record of it stood in another partition.

    Retryable, from the stored checkpoint.
    """


class Arrival(NamedTuple):
    """An event as it came from the topic."""

    stream: StreamKey
    version: int
    hash: bytes
    record: dict[str, Any]
    partition: int
    wire: bytes


class Unreadable(NamedTuple):
    """A record that could not be read; only its key says whose it is."""

    key: bytes | None


@dataclass(slots=True)
class GateState:
    """Where a stream ends in the read models, and whether it is parked there."""

    version: int = 0
    tail_hashes: bytes = b""
    parked: str | None = None
    found: tuple[int, str | None] | None = None
    """Version and reason as stored; None for a new stream."""

    def known_hash(self, version: int) -> bytes | None:
        """The hash of one of the last events; None for an earlier one."""
        if version == 0:
            return GENESIS
        first = (version - self.version - 1) * HASH_BYTES
        return self.tail_hashes[first : first + HASH_BYTES or None] if -first <= len(self.tail_hashes) else None

    def follows(self, version: int, previous_hash: bytes) -> bool:
        return version == self.version + 1 and previous_hash == (self.tail_hashes[-HASH_BYTES:] or GENESIS)


@dataclass
class Verdict:
    """What a batch brought."""

    admitted: list[Admitted] = field(default_factory=list)
    duplicates: int = 0
    parked: list[str] = field(default_factory=list)
    """A reason for each stream that was parked."""
    released: int = 0
    refusals: int = 0
    """Folded beside the events; they are in no stream."""


class Gate:
    """Judges one batch inside its database transaction."""

    def __init__(self, tables: Tables, decode: Callable[[bytes], dict[str, Any]]) -> None:
        self._tables = tables
        self._decode = decode
        self._heads: dict[StreamKey, GateState] = {}
        self._changed: dict[StreamKey, GateState] = {}
        self._kept: list[Arrival] = []
        self._verdict = Verdict()

    def judge(self, arrivals: Iterable[Arrival | Unreadable]) -> Verdict:
        """Tell which events are next in their streams, in an order to fold them in; keep or drop the others."""
        arrivals = list(arrivals)
        streams = {arrival.stream for arrival in arrivals if isinstance(arrival, Arrival)}
        keys = {arrival.key for arrival in arrivals if isinstance(arrival, Unreadable)}
        meant = {key: self._streams_of(key, streams) for key in keys}
        self._load(streams.union(*meant.values()))
        for arrival in arrivals:
            if isinstance(arrival, Arrival):
                self._judge(arrival, self._heads[arrival.stream])
                continue
            for stream in meant[arrival.key]:
                self._park(stream, UNDECODABLE)
        self._keep()
        self._save()
        return self._verdict

    def _judge(self, arrival: Arrival, head: GateState) -> None:
        if head.parked != FORK and head.follows(arrival.version, arrival.record["previous_hash"]):
            self._admit(arrival, head)
            if head.parked:
                self._resume(arrival.stream, head)
        elif arrival.version <= head.version and head.known_hash(arrival.version) in (arrival.hash, None):
            self._verdict.duplicates += 1
        else:
            self._kept.append(arrival)
            self._changed[arrival.stream] = head  # so that nobody lets the stream go on without looking at this one
            self._park(arrival.stream, GAP if arrival.version > head.version + 1 else FORK, arrival.version)

    def _admit(self, arrival: Arrival, head: GateState) -> None:
        head.version = arrival.version
        head.tail_hashes = head.tail_hashes[(1 - TAIL) * HASH_BYTES :] + arrival.hash
        self._changed[arrival.stream] = head
        self._verdict.admitted.append(Admitted(arrival.record, arrival.partition))

    def _park(self, stream: StreamKey, reason: str, version: int | None = None) -> None:
        head = self._heads[stream]
        if head.parked == reason or (head.parked and reason != FORK):
            return
        head.parked = reason
        self._changed[stream] = head
        self._verdict.parked.append(reason)
        log.error("stream_parked", reason=reason, **stream._asdict(), version=head.version, arrived_version=version)

    def _resume(self, stream: StreamKey, head: GateState) -> None:
        """The missing event came: apply what was kept, as far as it goes without a hole."""
        self._keep()
        kept = self._tables.execute(KEPT, stream).fetchall()
        for version, hash_, partition, wire, claims in kept:
            record = self._decode(wire)
            if claims > 1 or (version == head.version + 1 and not head.follows(version, record["previous_hash"])):
                self._park(stream, FORK, version)
            if head.parked == FORK or version != head.version + 1:
                break
            self._admit(Arrival(stream, version, hash_, record, partition, wire), head)
        self._tables.execute(FORGET, [*stream, head.version])
        if head.parked == FORK:
            return
        head.parked = GAP if kept and kept[-1][0] > head.version else None
        if head.parked is None:
            self._verdict.released += 1
            log.info("stream_released", **stream._asdict(), version=head.version)

    def _streams_of(self, key: bytes | None, arriving: set[StreamKey]) -> set[StreamKey]:
        """The streams that a record key means: `tenant/player`, else those of this id that are known or just arriving.

        Any other is missed by nobody before its next event comes, and that one will find a gap.
        """
        text = (key or b"").decode(errors="replace")
        if text.count("/") == 1:  # no id of a tenant or a player has one; that of an integration has two
            tenant_id, player_id = text.split("/")
            return {StreamKey(tenant_id, PLAYER, player_id)}
        known = {StreamKey(*row) for row in self._tables.execute(STREAMS_NAMED, [text, PLAYER]).fetchall()}
        return known | {stream for stream in arriving if stream.stream_id == text and stream.stream_type != PLAYER}

    def _load(self, streams: set[StreamKey]) -> None:
        self._heads = {stream: GateState() for stream in streams}
        for *stream, version, tail_hashes, parked in self._tables.read(HEADS, list(streams)):
            self._heads[StreamKey(*stream)] = GateState(version, tail_hashes, parked, found=(version, parked))

    def _keep(self) -> None:
        rows = [(*one.stream, one.version, one.hash, one.partition, one.wire) for one in self._kept]
        self._verdict.duplicates += len(rows) - len(self._tables.read(KEEP, rows))
        self._kept.clear()

    def _save(self) -> None:
        new: list[tuple[Any, ...]] = []
        moved: list[tuple[Any, ...]] = []
        for stream, head in sorted(self._changed.items()):
            row = (*stream, head.version, head.tail_hashes, head.parked)
            if head.found is None:
                new.append(row)
            else:
                moved.append((*row, *head.found))
        self._tables.write(NEW_HEADS, new, _moved_meanwhile)
        self._tables.write(MOVED_HEADS, moved, _moved_meanwhile)


def _moved_meanwhile(_: int) -> StreamMovedError:
    return StreamMovedError("another projector moved a stream of this batch meanwhile")
