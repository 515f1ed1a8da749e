"""Records of the topics, taken apart."""

from functools import lru_cache
from typing import Any, NamedTuple

from confluent_kafka import Message
from confluent_kafka.schema_registry import SchemaRegistryClient

from ledger.core.chain import hash_of
from ledger.streams import StreamKey
from projector.checkpoint import Source
from projector.gate import Arrival, Unreadable
from runtime.residency import ForeignRegionError, Residency
from schemas.registry import Reader, RefusalReader, UndecodableRecord
from schemas.topics import Topics

UNREAD = frozenset({
    "schema_version", "idempotency_key", "wallet_id", "provider_occurred_at", "provider_transaction_id", "operation",
    "command_fingerprint",
})  # fmt: skip
"""Fields of the envelope that no read model has: they are not decoded. One that is to be read is taken out of here."""


class Refused(NamedTuple):
    """A record of the topic of refusals; None where it could not be read."""

    record: dict[str, Any] | None


Item = Arrival | Unreadable | Refused


class Records:
    """Reads the records of both topics."""

    def __init__(self, topics: Topics, client: SchemaRegistryClient, residency: Residency) -> None:
        self.topics = topics
        self.residency = residency
        self._events = Reader(client, UNREAD)
        self._refusals = RefusalReader(client)

    def read(self, source: Source, value: bytes | None) -> Item:
        """The event or refusal in a record's value. Raises UndecodableRecord, also where its data may not be held here;
        RegistryUnavailableError (retryable).
        """
        if source.topic == self.topics.refusals:
            return Refused(self._held(self._refusals.read(value).record))
        _, body, record = self._events.read(value)
        self._held(record)
        assert value is not None
        stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
        return Arrival(stream, record["stream_version"], hash_of(body), record, source.partition, value)

    def _held(self, record: dict[str, Any]) -> dict[str, Any]:
        """An event of another region costs its stream, in sight of all: to skip it would make the models wrong."""
        try:
            self.residency.check(record["region"])
        except ForeignRegionError as error:
            raise UndecodableRecord(str(error)) from error
        return record

    def unreadable(self, source: Source, key: bytes | None) -> Item:
        """What stands for a record that cannot be read or folded."""
        return Refused(None) if source.topic == self.topics.refusals else Unreadable(key)

    def decode(self, wire: bytes) -> dict[str, Any]:
        """An event that the gate kept."""
        return self._events.read(wire).record


def moment_of(item: Item) -> int | None:
    """When the ledger recorded it, microseconds since the epoch."""
    match item:
        case Arrival(record=record):
            return int(record["occurred_at"])
        case Refused(record=dict(record)):
            return int(record["refused_at"])
    return None


_source = lru_cache(maxsize=1000)(Source)


def place(message: Message) -> tuple[Source, int]:
    """Partition and offset, which every message from a topic has."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return _source(topic, partition), offset
