"""The topics: by themselves (order, chain, both faces alike), and against the database."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from confluent_kafka import Message

from audit.findings import AuditReport
from audit.partitions import PartitionsResult, PartitionsUnit, Tally, read_partitions, where
from audit.relay_positions import Passed
from audit.snapshot import Snapshot
from audit.sources import Sources, reading_topics
from audit.stream_run import key_of
from audit.workers import cores, work
from evidence.archive.detached_months import DetachedEvents
from ledger.core.chain import hash_of
from ledger.relay_position import Cursor
from ledger.streams import StreamKey
from runtime.progress import Progress
from runtime.topics_reader import Ends
from schemas.events import EVENTS
from schemas.registry import Reader, UndecodableRecord

COMPARED_AT_ONCE = 5000

STREAMS = "select tenant_id, stream_type, stream_id, version from wagerledger.streams"

# Where the log has a version of a stream, and what it has there; a null hash where it has nothing.
AT_VERSIONS = """
select k.tenant_id, k.stream_type, k.stream_id, k.stream_version, sha256(e.body), e.xid, e.position
from unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) k(tenant_id, stream_type, stream_id, stream_version)
left join wagerledger.event_log e using (tenant_id, stream_type, stream_id, stream_version)
"""


EVENTS_COST = 3
"""What a record of the events topic costs, compared with one of a type topic."""

LEAST_RECORDS = 100_000
"""Fewer than this are read by this process alone: to start others takes as long."""


class StreamPosition(NamedTuple):
    """A version of a stream."""

    stream: StreamKey
    version: int


@dataclass
class Published:
    """What the events topic holds."""

    heads: dict[StreamKey, tuple[int, bytes]] = field(default_factory=dict)
    """Last version and its hash."""
    aside: list[tuple[StreamPosition, bytes]] = field(default_factory=list)
    """Records that came when their stream had passed their version."""


class TopicsAudit:
    """First `read`, then `compare` with a snapshot that is opened after it and so knows all that the topics know."""

    def __init__(self, sources: Sources, report: AuditReport, progress: Progress) -> None:
        self._sources = sources
        self._topics = sources.topics
        self._records = sources.records
        self._report = report
        self._progress = progress
        self._published = Published()
        self._detached: DetachedEvents | None = None

    def read(self) -> None:
        """Check order, chain and sums of the events topic, and the type topics against it. Raises CannotCheckError."""
        with reading_topics():
            ends = self._records.ends([self._topics.events, *self._topics.of_types])
            total = sum(ends.values())  # marks of transactions count too: it is reached before it is full
            apart = total >= LEAST_RECORDS
            units = _units(self._sources, ends, cores() if apart else 1)
            results = work(read_partitions, units, lambda done: self._progress("topics", done, total), apart=apart)
            self._progress("topics", total, total)
            self._join(results)
            self._compare_faces(results, _of([self._topics.events], ends))

    def compare(
        self, snapshot: Snapshot, passed: Passed, *, strict: bool, detached: DetachedEvents | None = None
    ) -> None:
        """Compare with the database, and with the `detached` events that the log has no more. `passed` was read before
        the topics: what it speaks of may not be missing. `strict`: nothing may.
        """
        self._detached = detached
        published = self._published
        behind, unpublished = self._behind(snapshot)
        self._compare_heads(snapshot)
        self._compare_aside(snapshot)
        self._report.checked["topics.not_yet_published"] = unpublished
        for position, _, cursor in _at_versions(snapshot, behind):
            due = cursor is not None and passed.event(position.stream, cursor)
            if strict or due:
                known = published.heads.get(position.stream)
                text = f"the events topic has {f'versions up to {known[0]}' if known else 'no event'} of this stream"
                text += ", and the relay's position is past this one" if due else ""
                self._report.find("topic_unpublished", position.stream, position.version, text)
        if published.heads:
            self._report.notes += [f"{doubt}: what is not published is only counted" for doubt in passed.doubts]

    # Reading

    def _join(self, results: Sequence[PartitionsResult]) -> None:
        heads = self._published.heads
        for result in results:
            self._report.add(result.report)
            for stream, head in result.heads.items():
                key = key_of(stream)
                if key in heads:
                    text = "its events are in several partitions, where no order holds between them"
                    self._report.find("topic_disordered", key, None, text)
                heads[key] = max(head, heads.get(key, head))
            for stream, versions in result.missing.items():
                for version in sorted(versions):
                    text = f"version {version} is not in {self._topics.events}, but a later one is"
                    self._report.find("topic_version_missing", key_of(stream), version, text)
            aside = [(StreamPosition(key_of(stream), version), hash_) for (stream, version), hash_ in result.aside]
            self._published.aside += aside
        self._report.checked["topics.events"] = sum(
            tally.count for result in results for tally in result.events.values()
        )
        self._report.checked["topics.streams"] = len(heads)

    # The type topics

    def _compare_faces(self, results: Sequence[PartitionsResult], first: Ends) -> None:
        in_events = _tallies(result.events for result in results)
        of_types = _tallies(result.of_types for result in results)
        differing = [name for name in EVENTS if in_events.get(name, Tally()) != of_types.get(name, Tally())]
        if differing:
            with self._sources.registry() as client:
                self._name_differences(Reader(client), differing, first)

    def _name_differences(self, reader: Reader, types: Collection[str], first: Ends) -> None:
        """Read again, and name what is in one face of a type and not in the other.

        Both faces are published at once, but their ends were not read at once. So the type topics are read to ends that
        are looked up after the events topic was read (nothing of it may be missing in them), and then the events topic
        to ends that are looked up after those were read.
        """
        names = [self._topics.of_type(event_type) for event_type in types]
        of_types = self._records.ends(names)
        wanted = self._records.ends([self._topics.events])
        of_type, in_events, in_first = Counter[bytes](), Counter[bytes](), Counter[bytes]()
        seen: dict[bytes, dict[str, Any]] = {}
        for message in self._records.read(of_types):
            self._count_difference(reader, message, of_type, seen)
        for message in self._records.read(wanted):
            hash_ = self._count_difference(reader, message, in_events, seen, types)
            if hash_ and int(message.offset() or 0) < first[str(message.topic()), int(message.partition() or 0)]:
                in_first[hash_] += 1
        for code, hashes in (("type_topic_missing", in_first - of_type), ("type_topic_extra", of_type - in_events)):
            for hash_, count in hashes.items():
                record = seen[hash_]
                stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
                text = (
                    f"event {record['event_id']} of type {record['event_type']}, {count} time{'s' if count > 1 else ''}"
                )
                self._report.find(code, stream, record["stream_version"], text)

    def _count_difference(
        self,
        reader: Reader,
        message: Message,
        counter: Counter[bytes],
        seen: dict[bytes, dict[str, Any]],
        types: Collection[str] | None = None,
    ) -> bytes | None:
        try:
            wire = reader.read(message.value())
        except UndecodableRecord as error:
            if types is None:
                self._report.find("topic_undecodable", None, None, f"{where(message)}: {error}")
            return None
        if types is not None and wire.record["event_type"] not in types:
            return None
        hash_ = hash_of(wire.body)
        counter[hash_] += 1
        seen.setdefault(hash_, wire.record)
        return hash_

    # Against the database

    def _behind(self, snapshot: Snapshot) -> tuple[list[StreamPosition], int]:
        """Per stream the first event that is not published, and how many in all. Names streams that nobody knows."""
        behind, unpublished = [], 0
        unknown = dict(self._published.heads)
        for *key, version in snapshot.rows(STREAMS):
            stream = StreamKey(*key)
            head, _ = unknown.pop(stream, (0, b""))
            if head < version:
                behind.append(StreamPosition(stream, head + 1))
                unpublished += version - head
        for stream, (version, _) in unknown.items():
            text = f"the events topic has {version} events of a stream that the database does not have"
            self._report.find("topic_not_in_database", stream, version, text)
            del self._published.heads[stream]
        return behind, unpublished

    def _compare_heads(self, snapshot: Snapshot) -> None:
        """An equal hash at the head proves all before it."""
        heads = self._published.heads
        positions = (StreamPosition(stream, version) for stream, (version, _) in heads.items())
        for position, hash_, _ in _at_versions(snapshot, positions):
            self._compare(position, heads[position.stream][1], hash_)

    def _compare_aside(self, snapshot: Snapshot) -> None:
        stored = {
            position: hash_
            for position, hash_, _ in _at_versions(snapshot, {position for position, _ in self._published.aside})
        }
        for position, hash_ in self._published.aside:
            self._compare(position, hash_, stored[position])

    def _compare(self, position: StreamPosition, published: bytes, stored: bytes | None) -> None:
        if stored is None and self._detached:
            stored = self._detached.hash_at(*position)
        if stored != published:
            text = f"the events topic has it with hash {published.hex()}; the database has "
            text += f"{stored.hex()} there" if stored else "no such version"
            self._report.find("topic_not_in_database", *position, text)


def _at_versions(
    snapshot: Snapshot, positions: Iterable[StreamPosition]
) -> Iterator[tuple[StreamPosition, bytes | None, Cursor | None]]:
    """What the log has at `positions`: the hash, and where it stands in the published order."""
    left = iter(positions)
    while portion := list(islice(left, COMPARED_AT_ONCE)):
        columns = [list(column) for column in zip(*((*stream, version) for stream, version in portion), strict=True)]
        for *key, version, hash_, xid, log_position in snapshot.all(AT_VERSIONS, columns):
            yield StreamPosition(StreamKey(*key), version), hash_, Cursor(xid, log_position) if hash_ else None


def _units(sources: Sources, ends: Ends, many: int) -> list[PartitionsUnit]:
    """Partitions for each, about as much work: the largest first, each to the unit that has least."""
    cost = {at: end * (EVENTS_COST if at[0] == sources.topics.events else 1) for at, end in ends.items()}
    units: list[tuple[int, dict[tuple[str, int], int]]] = [(0, {}) for _ in range(many)]
    for at in sorted(ends, key=lambda at: (-cost[at], at)):
        index = min(range(many), key=lambda index: units[index][0])
        spent, taken = units[index]
        units[index] = spent + cost[at], taken | {at: ends[at]}
    return [PartitionsUnit(sources, taken) for _, taken in units if taken]


def _tallies(results: Iterable[dict[str, Tally]]) -> dict[str, Tally]:
    joined: dict[str, Tally] = {}
    for result in results:
        for name, tally in result.items():
            joined.setdefault(name, Tally()).join(tally)
    return joined


def _of(topics: Collection[str], ends: Ends) -> Ends:
    return {at: end for at, end in ends.items() if at[0] in topics}
