"""How far a shard of the relay has come: a record in a compacted topic, written in the same Kafka transaction as the
last of what it speaks of. The relay goes on from it; others may hold it to its word.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import NamedTuple, Self

from confluent_kafka import Message

from ledger.streams import StreamKey


class PositionError(ValueError):
    """A record of the position topic was not written by this relay."""


class Cursor(NamedTuple):
    """A place in the published order of the event log."""

    xid: int
    position: int


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
    this field means: none.
    """

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
        """The position that a record's value holds. Raises PositionError where it holds none."""
        try:
            fields = json.loads(value)
            epoch, cursor = Epoch(**fields["epoch"]), Cursor(fields["xid"], fields["position"])
            refused = Cursor(*fields.get("refused", START))
            return cls(epoch, fields["shards"], cursor, bytes.fromhex(fields["hash"]), fields["published"], refused)
        except (ValueError, KeyError, TypeError) as error:
            raise PositionError(f"a record of the position topic is not a position: {value[:200]!r}") from error


TOPICS_KEY = b"topics"
"""Beside the positions, which have the numbers of shards: the topics that they speak of."""


class TopicIds(dict[str, str]):
    """Kafka's ids of the topics that were published to, by name."""

    def to_json(self) -> bytes:
        return json.dumps(self, separators=(",", ":"), sort_keys=True).encode()


def shard_of(stream: StreamKey, shards: int) -> int:
    """The shard that publishes the stream."""
    return int.from_bytes(sha256("/".join(stream).encode()).digest()[:4]) % shards


def positions_in(records: Iterable[Message]) -> dict[int, Position]:
    """The position of every shard, of the topic's records in their order. Raises PositionError."""
    return {shard: Position.from_json(value) for shard, value in values_in(records).items()}


def topic_ids_in(records: Iterable[Message]) -> TopicIds:
    """The topic ids that the position topic's records, read in their order, remember. Raises PositionError."""
    values = [record.value() for record in records if record.key() == TOPICS_KEY]
    if not values or values[-1] is None:
        return TopicIds()
    try:
        return TopicIds(json.loads(values[-1]))
    except (ValueError, TypeError) as error:
        raise PositionError(f"a record of the position topic names no topics: {values[-1][:200]!r}") from error


def values_in(records: Iterable[Message]) -> dict[int, bytes]:
    """What the topic holds for every shard, whatever it is."""
    values = {record.key(): record.value() for record in records}
    return {int(key): value for key, value in values.items() if key and key.isdigit() and value is not None}
