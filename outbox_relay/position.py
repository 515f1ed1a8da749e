"""How far a shard has come: a record in a compacted topic, written in the same Kafka transaction as the events."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
TIMED_OUT, PARTITION_EOF = KafkaError._TIMED_OUT, KafkaError._PARTITION_EOF  # noqa: SLF001, that is how they are called
TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
"""More than a Kafka transaction lives: one that another shard left open ends within it."""


class PositionError(ValueError):
    """A record of the position topic was not written by this relay."""


class Cursor(NamedTuple):
    """A place in the published order of the event log."""

    xid: int
    position: int


class Span(NamedTuple):
    """The first offset of a partition, and the one after the last."""

    begin: int
    end: int

    @property
    def empty(self) -> bool:
        return self.begin == self.end


START = Cursor(0, 0)


@dataclass(frozen=True)
class Epoch:
    """Within one epoch transaction ids only grow, and what was committed stays."""

    system_identifier: str
    timeline: int
    generation: int


@dataclass(frozen=True)
class Position:
    """The last event that a shard has published, and all before it."""

    epoch: Epoch
    shards: int
    cursor: Cursor
    hash: bytes
    """SHA-256 of that event's body; empty before the first event."""
    published: int
    """Events that the shard has published in all."""
    refused: Cursor = START
    """The last refusal that was published, and all before it; shard 0 publishes them all. A record that is older than
    this field means: none."""

    @classmethod
    def start(cls, epoch: Epoch, shards: int) -> Self:
        return cls(epoch, shards, START, b"", 0)

    def to_json(self) -> bytes:
        fields = {
            "epoch": asdict(self.epoch),
            "shards": self.shards,
            "xid": self.cursor.xid,
            "position": self.cursor.position,
            "hash": self.hash.hex(),
            "published": self.published,
            "refused": self.refused,
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Raises PositionError."""
        try:
            fields = json.loads(value)
            epoch, cursor = Epoch(**fields["epoch"]), Cursor(fields["xid"], fields["position"])
            refused = Cursor(*fields.get("refused", START))
            return cls(epoch, fields["shards"], cursor, bytes.fromhex(fields["hash"]), fields["published"], refused)
        except (ValueError, KeyError, TypeError) as error:
            raise PositionError(f"a record of the position topic is not a position: {value[:200]!r}") from error


def read_positions(bootstrap_servers: str, topic: str) -> dict[int, Position]:
    """The position of every shard. Raises PositionError; KafkaException (retryable)."""
    return {shard: Position.from_json(value) for shard, value in read_values(bootstrap_servers, topic).items()}


def read_values(bootstrap_servers: str, topic: str) -> dict[int, bytes]:
    """What the topic holds for every shard, whatever it is. Raises KafkaException (retryable)."""
    values = {message.key(): message.value() for message in read_to_end(bootstrap_servers, topic)}
    return {int(key): value for key, value in values.items() if key and key.isdigit() and value is not None}


def read_to_end(bootstrap_servers: str, topic: str, *, isolation: str = "read_committed") -> Iterator[Message]:
    """Every committed record that is in the topic now, in order per partition. Raises KafkaException (retryable).

    Now is the end including transactions that are still open: they are waited for, not overlooked.
    """
    filled = {partition: span for partition, span in offsets(bootstrap_servers, topic).items() if not span.empty}
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "wagerledger-relay",  # the client demands one; no offset is ever committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,  # the end shows itself only when a fetch comes back empty
            "isolation.level": isolation,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, span.begin) for partition, span in filled.items()])
        yield from _until(consumer, {partition: span.end for partition, span in filled.items()})
    finally:
        consumer.close()


def _until(consumer: Consumer, ends: dict[int, int]) -> Iterator[Message]:
    deadline = time.monotonic() + READ_TIMEOUT_S
    while ends:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(TIMED_OUT, f"no end of partitions {sorted(ends)}"))
            continue
        deadline = time.monotonic() + READ_TIMEOUT_S
        error = message.error()
        if error is None:
            yield message
        elif error.code() != PARTITION_EOF:
            raise KafkaException(error)
        elif (message.offset() or 0) >= ends.get(partition := message.partition() or 0, 0):
            ends.pop(partition, None)


def offsets(bootstrap_servers: str, topic: str) -> dict[int, Span]:
    """What each partition holds, open transactions included.

    Raises KafkaException (retryable), also where the topic is missing.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    metadata = admin.list_topics(timeout=TIMEOUT_S).topics.get(topic)
    if metadata is None:
        raise KafkaException(
            KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"there is no topic {topic}; run `wagerledger topics apply`")
        )
    partitions = [TopicPartition(topic, partition) for partition in metadata.partitions]
    begins, ends = _listed(admin, partitions, EARLIEST), _listed(admin, partitions, LATEST)
    return {partition: Span(begin, ends[partition]) for partition, begin in begins.items()}


def _listed(admin: AdminClient, partitions: list[TopicPartition], which: OffsetSpec) -> dict[int, int]:
    answers = admin.list_offsets(
        dict.fromkeys(partitions, which), isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=TIMEOUT_S
    )
    return {partition.partition: answer.result(TIMEOUT_S).offset for partition, answer in answers.items()}
