"""Some partitions of the events topic and of the type topics, record by record.

This is what one process reads. A stream lies in one partition, so whoever has the partition can follow it; and which
records both faces hold is compared by sums of their hashes, which no order changes. Of a record it decodes what it
checks, and walks over the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from audit.findings import AuditReport
from audit.sources import Sources
from audit.stream_run import Stream, check_postings, key_of
from audit.workers import Tick
from ledger.core.chain import GENESIS, hash_of
from runtime.topics_reader import Ends
from schemas.events import EVENTS
from schemas.registry import PREFIX, Reader, UndecodableRecord
from schemas.topics import Topics

FIELDS = (
    "event_type", "tenant_id", "stream_type", "stream_id", "stream_version", "previous_hash", "payload.currency",
    "postings",
)  # fmt: skip

NO_HEAD = 0, GENESIS

RawPosition = tuple[Stream, int]
"""A version of a stream."""


@dataclass
class Tally:
    """How many records, and a digest of them that their order does not change."""

    count: int = 0
    digest: int = 0

    def add(self, hash_: bytes) -> None:
        self.count += 1
        self.digest += int.from_bytes(hash_)

    def join(self, other: "Tally") -> None:
        self.count += other.count
        self.digest = (self.digest + other.digest) % 2**256


@dataclass(frozen=True)
class PartitionsUnit:
    """What one process reads: partitions up to where they ended when the audit began."""

    sources: Sources
    ends: Ends


@dataclass
class PartitionsResult:
    """What a process found out about its partitions."""

    report: AuditReport = field(default_factory=AuditReport)
    heads: dict[Stream, tuple[int, bytes]] = field(default_factory=dict)
    """Last version and its hash."""
    missing: dict[Stream, set[int]] = field(default_factory=dict)
    aside: list[tuple[RawPosition, bytes]] = field(default_factory=list)
    """Records that came when their stream had passed their version."""
    events: dict[str, Tally] = field(default_factory=dict)
    """Of the events topic, by event type."""
    of_types: dict[str, Tally] = field(default_factory=dict)
    """Of the type topics."""


def read_partitions(unit: PartitionsUnit, tick: Tick) -> PartitionsResult:
    """Check the partitions of a unit. Raises CannotCheckError."""
    with unit.sources.registry() as client:
        audit = _PartitionsAudit(unit.sources.topics, Reader(client))
        for messages in unit.sources.records.read_batches(unit.ends):
            for message in messages:
                audit.take(message)
            tick(len(messages))
        return audit.finish()


class _PartitionsAudit:
    def __init__(self, topics: Topics, reader: Reader) -> None:
        self.result = PartitionsResult()
        self._reader = reader
        self._events_topic = topics.events
        self._types = {topics.of_type(event_type): event_type for event_type in EVENTS}
        self._picks: dict[bytes, Callable[[bytes], tuple[Any, ...]]] = {}
        self._tallies: dict[bytes, Tally] = {}
        self._known: set[tuple[str, bytes]] = set()

    def take(self, message: Message) -> None:
        """Check the next record of a topic."""
        topic, value = message.topic(), message.value() or b""
        if topic == self._events_topic:
            self._take_event(message, value)
        else:
            self._take_of_type(message, str(topic), value)

    def finish(self) -> PartitionsResult:
        self.result.events = {name.decode(errors="replace"): tally for name, tally in self._tallies.items()}
        return self.result

    def _take_event(self, message: Message, value: bytes) -> None:
        prefix, body = value[: PREFIX.size], value[PREFIX.size :]
        try:
            pick = self._picks.get(prefix) or self._pick(prefix, value)
            event_type, tenant_id, stream_type, stream_id, version, previous, currency, postings = pick(body)
        except ValueError as error:
            self.result.report.find("topic_undecodable", None, None, f"{where(message)}: {error}")
            return
        stream, hash_ = (tenant_id, stream_type, stream_id), hash_of(body)
        tally = self._tallies.get(event_type)
        if tally is None:
            tally = self._tallies[event_type] = Tally()
        tally.add(hash_)
        self._take_version(stream, version, previous, hash_)
        total, mixed = 0, False
        for _, amount_minor, posted in postings:
            total += amount_minor
            mixed = mixed or posted != currency
        if total or mixed:
            check_postings(stream, version, currency, postings, self.result.report)

    def _pick(self, prefix: bytes, value: bytes) -> Callable[[bytes], tuple[Any, ...]]:
        pick = self._picks[prefix] = self._reader.schema_of(value).picker(*FIELDS)
        return pick

    def _take_version(self, stream: Stream, version: int, previous: bytes, hash_: bytes) -> None:
        result = self.result
        head, head_hash = result.heads.get(stream, NO_HEAD)
        if version == head + 1:
            if previous != head_hash:
                text = f"it carries {previous.hex()} as the hash of version {head}, "
                text += f"whose bytes hash to {head_hash.hex()}"
                result.report.find("topic_chain_broken", key_of(stream), version, text)
        elif version <= head:
            self._take_aside(stream, version, hash_)
            return
        else:
            result.missing.setdefault(stream, set()).update(range(head + 1, version))
        result.heads[stream] = version, hash_

    def _take_aside(self, stream: Stream, version: int, hash_: bytes) -> None:
        missing, checked = self.result.missing.get(stream, set()), self.result.report.checked
        if version in missing:
            missing.discard(version)
            text = f"version {version} comes after later versions of its stream"
            self.result.report.find("topic_disordered", key_of(stream), version, text)
        else:
            checked["topics.duplicates"] = checked.get("topics.duplicates", 0) + 1
        self.result.aside.append(((stream, version), hash_))

    def _take_of_type(self, message: Message, topic: str, value: bytes) -> None:
        event_type, prefix = self._types[topic], value[: PREFIX.size]
        # A schema is looked at once per topic; a body that does not fit it has a hash that nothing explains.
        if (topic, prefix) not in self._known and self._is_of_type(message, value, event_type):
            self._known.add((topic, prefix))
        tally = self.result.of_types.get(event_type)
        if tally is None:
            tally = self.result.of_types[event_type] = Tally()
        tally.add(hash_of(value[PREFIX.size :]))

    def _is_of_type(self, message: Message, value: bytes, event_type: str) -> bool:
        try:
            schema = self._reader.read(value).schema
        except UndecodableRecord as error:
            self.result.report.find("topic_undecodable", None, None, f"{where(message)}: {error}")
            return False
        if schema.event_type != event_type:
            text = f"{where(message)}: it is a {schema.event_type}, not a {event_type}"
            self.result.report.find("topic_undecodable", None, None, text)
            return False
        return True


def where(message: Message) -> str:
    """A record, as findings name it."""
    return f"{message.topic()} partition {message.partition()} offset {message.offset()}"
