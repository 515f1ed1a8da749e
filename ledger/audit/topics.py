"""The topics: by themselves (order, chain, both faces alike), and against the database."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from confluent_kafka import Message

from ledger.audit.findings import Progress, Report
from ledger.audit.snapshot import Snapshot
from ledger.audit.topics_reader import Ends, TopicsReader, checkable
from ledger.core.chain import GENESIS, hash_of
from ledger.recording import StreamKey
from ledger.settings import Settings
from schemas.events import EVENTS
from schemas.registry import PREFIX, Reader, UndecodableRecord, connect
from schemas.topics import Topics

COMPARED_AT_ONCE = 5000

STREAMS = "select tenant_id, stream_type, stream_id, version from wagerledger.streams"

# Where the log has a version of a stream, and what it has there; a null hash where it has nothing.
AT_VERSIONS = """
select k.tenant_id, k.stream_type, k.stream_id, k.stream_version, sha256(e.body), e.xid, e.position
from unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) k(tenant_id, stream_type, stream_id, stream_version)
left join wagerledger.event_log e using (tenant_id, stream_type, stream_id, stream_version)
"""


class Place(NamedTuple):
    """A version of a stream."""

    stream: StreamKey
    version: int


@dataclass
class Tally:
    """How many records, and a digest of them that their order does not change."""

    count: int = 0
    digest: int = 0

    def add(self, hash_: bytes) -> None:
        self.count += 1
        self.digest = (self.digest + int.from_bytes(hash_)) % 2**256


@dataclass
class Published:
    """What the events topic holds."""

    heads: dict[StreamKey, tuple[int, bytes]] = field(default_factory=dict)
    """Last version and its hash."""
    missing: dict[StreamKey, set[int]] = field(default_factory=dict)
    aside: list[tuple[Place, bytes]] = field(default_factory=list)
    """Records that came when their stream had passed their version."""


class TopicsAudit:
    """First `read`, then `compare` with a snapshot that is opened after it and so knows all that the topics know."""

    def __init__(self, settings: Settings, report: Report, progress: Progress) -> None:
        self._shards = settings.relay_shards
        self._topics = Topics(settings.topic_prefix)
        self._registry_url = settings.schema_registry_url.get_secret_value()
        self._records = TopicsReader(settings)
        self._report = report
        self._progress = progress
        self._published = Published()

    def read(self) -> None:
        """Check order and chain of the events topic, and the type topics against it. Raises CannotCheckError."""
        with checkable(), connect(self._registry_url) as client:
            self._read(Reader(client))
        for stream, versions in self._published.missing.items():
            for version in sorted(versions):
                text = f"version {version} is not in {self._topics.events}, but a later one is"
                self._report.find("topic_version_missing", stream, version, text)

    def compare(self, snapshot: Snapshot, *, strict: bool) -> None:
        """Compare with the database. `strict`: what is not published yet is a finding."""
        published = self._published
        behind, unpublished = self._behind(snapshot)
        last = self._compare_heads(snapshot)
        self._compare_aside(snapshot)
        self._report.checked["topics.not_yet_published"] = unpublished
        # One relay publishes in the order of the log, so nothing before the last published event may be missing.
        passed = last if self._shards == 1 else None
        for place, _, order in _at_versions(snapshot, behind):
            if strict or (passed and order and order < passed):
                known = published.heads.get(place.stream)
                text = f"the events topic has {f'versions up to {known[0]}' if known else 'no event'} of this stream"
                text += ", and events that were committed later" if not strict else ""
                self._report.find("topic_unpublished", place.stream, place.version, text)

    # Reading

    def _read(self, reader: Reader) -> None:
        ends = self._records.ends([self._topics.events, *self._topics.of_types])
        tallies: dict[str, Tally] = {event_type: Tally() for event_type in EVENTS}
        for record, hash_ in self._events(reader, _of([self._topics.events], ends)):
            tallies.setdefault(record["event_type"], Tally()).add(hash_)
            self._take(record, hash_)
        self._report.checked["topics.events"] = sum(tally.count for tally in tallies.values())
        self._report.checked["topics.streams"] = len(self._published.heads)
        of_types = self._tally_of_types(reader, _of(self._topics.of_types, ends))
        differing = [event_type for event_type in EVENTS if tallies[event_type] != of_types[event_type]]
        if differing:
            self._name_differences(reader, differing, _of([self._topics.events], ends))

    def _events(self, reader: Reader, ends: Ends) -> Iterator[tuple[dict[str, Any], bytes]]:
        """The decoded records of the events topic with their hashes."""
        for message in self._messages("topics", ends):
            try:
                wire = reader.read(message.value())
            except UndecodableRecord as error:
                self._report.find("topic_undecodable", None, None, f"{_where(message)}: {error}")
                continue
            yield wire.record, hash_of(wire.body)

    def _messages(self, stage: str, ends: Ends) -> Iterator[Message]:
        total = sum(ends.values())  # marks of transactions count too: it is reached before it is full
        for done, message in enumerate(self._records.read(ends)):
            if done % 10_000 == 0:
                self._progress(stage, done, total)
            yield message
        self._progress(stage, total, total)

    def _take(self, record: dict[str, Any], hash_: bytes) -> None:
        """The next record of the events topic."""
        stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
        version = record["stream_version"]
        head, head_hash = self._published.heads.get(stream, (0, GENESIS))
        if version == head + 1:
            if record["previous_hash"] != head_hash:
                said = record["previous_hash"].hex()
                text = f"it carries {said} as the hash of version {head}, whose bytes hash to {head_hash.hex()}"
                self._report.find("topic_chain_broken", stream, version, text)
        elif version <= head:
            self._take_aside(Place(stream, version), hash_)
            return
        else:
            self._published.missing.setdefault(stream, set()).update(range(head + 1, version))
        self._published.heads[stream] = version, hash_

    def _take_aside(self, place: Place, hash_: bytes) -> None:
        missing = self._published.missing.get(place.stream, set())
        if place.version in missing:
            missing.discard(place.version)
            self._report.find(
                "topic_disordered", *place, f"version {place.version} comes after later versions of its stream"
            )
        else:
            self._report.checked["topics.duplicates"] = self._report.checked.get("topics.duplicates", 0) + 1
        self._published.aside.append((place, hash_))

    # The type topics

    def _tally_of_types(self, reader: Reader, ends: Ends) -> dict[str, Tally]:
        tallies = {event_type: Tally() for event_type in EVENTS}
        types = {self._topics.of_type(event_type): event_type for event_type in EVENTS}
        known: set[tuple[str, bytes]] = set()
        for message in self._messages("type topics", ends):
            topic, value = str(message.topic()), message.value() or b""
            # A schema is looked at once per topic; a body that does not fit it has a hash that nothing explains.
            if (topic, value[: PREFIX.size]) not in known and self._is_of_type(reader, message, types[topic]):
                known.add((topic, value[: PREFIX.size]))
            tallies[types[topic]].add(hash_of(value[PREFIX.size :]))
        return tallies

    def _is_of_type(self, reader: Reader, message: Message, event_type: str) -> bool:
        try:
            schema = reader.read(message.value()).schema
        except UndecodableRecord as error:
            self._report.find("topic_undecodable", None, None, f"{_where(message)}: {error}")
            return False
        if schema.event_type != event_type:
            self._report.find(
                "topic_undecodable", None, None, f"{_where(message)}: it is a {schema.event_type}, not a {event_type}"
            )
            return False
        return True

    def _name_differences(self, reader: Reader, types: Collection[str], first: Ends) -> None:
        """Read again, and name what is in one face of a type and not in the other.

        Both faces are published at once, but their ends were not read at once. So the type topics are read further than
        the events topic was (nothing of it may be missing in them), and then the events topic further than those.
        """
        names = [self._topics.of_type(event_type) for event_type in types]
        of_types = self._records.ends(names)
        wanted = _of([self._topics.events], self._records.ends([self._topics.events]))
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
                self._report.find("topic_undecodable", None, None, f"{_where(message)}: {error}")
            return None
        if types is not None and wire.record["event_type"] not in types:
            return None
        hash_ = hash_of(wire.body)
        counter[hash_] += 1
        seen.setdefault(hash_, wire.record)
        return hash_

    # Against the database

    def _behind(self, snapshot: Snapshot) -> tuple[list[Place], int]:
        """Per stream the first event that is not published, and how many in all. Names streams that nobody knows."""
        behind, unpublished = [], 0
        unknown = dict(self._published.heads)
        for *key, version in snapshot.rows(STREAMS):
            stream = StreamKey(*key)
            head, _ = unknown.pop(stream, (0, b""))
            if head < version:
                behind.append(Place(stream, head + 1))
                unpublished += version - head
        for stream, (version, _) in unknown.items():
            text = f"the events topic has {version} events of a stream that the database does not have"
            self._report.find("topic_not_in_database", stream, version, text)
            del self._published.heads[stream]
        return behind, unpublished

    def _compare_heads(self, snapshot: Snapshot) -> tuple[int, int] | None:
        """An equal hash at the head proves all before it. Gives the last published place in the log's order."""
        last = None
        heads = self._published.heads
        for place, hash_, order in _at_versions(
            snapshot, (Place(stream, version) for stream, (version, _) in heads.items())
        ):
            self._compare(place, heads[place.stream][1], hash_)
            if order:
                last = max(last, order) if last else order
        return last

    def _compare_aside(self, snapshot: Snapshot) -> None:
        stored = {
            place: hash_ for place, hash_, _ in _at_versions(snapshot, {place for place, _ in self._published.aside})
        }
        for place, hash_ in self._published.aside:
            self._compare(place, hash_, stored[place])

    def _compare(self, place: Place, published: bytes, stored: bytes | None) -> None:
        if stored != published:
            text = f"the events topic has it with hash {published.hex()}; the database has "
            text += f"{stored.hex()} there" if stored else "no such version"
            self._report.find("topic_not_in_database", *place, text)


def _at_versions(
    snapshot: Snapshot, places: Iterable[Place]
) -> Iterator[tuple[Place, bytes | None, tuple[int, int] | None]]:
    """What the log has at `places`: the hash, and the place in the published order."""
    left = iter(places)
    while portion := list(islice(left, COMPARED_AT_ONCE)):
        columns = [list(column) for column in zip(*((*stream, version) for stream, version in portion), strict=True)]
        for *key, version, hash_, xid, position in snapshot.all(AT_VERSIONS, columns):
            yield Place(StreamKey(*key), version), hash_, (xid, position) if hash_ else None


def _of(topics: Collection[str], ends: Ends) -> Ends:
    return {at: end for at, end in ends.items() if at[0] in topics}


def _where(message: Message) -> str:
    return f"{message.topic()} partition {message.partition()} offset {message.offset()}"
