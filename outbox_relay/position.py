"""Reading the positions, and what else the topics hold, up to where they end now."""

from collections.abc import Iterator

from confluent_kafka import Message

from ledger.relay_position import (
    START,
    Cursor,
    Epoch,
    Position,
    PositionError,
    TopicIds,
    positions_in,
    topic_ids_in,
    values_in,
)
from patience import IMPATIENT, Patience
from runtime.topics_reader import COMMITTED, Span, TopicsReader

__all__ = [
    "START",
    "Cursor",
    "Epoch",
    "Position",
    "PositionError",
    "Span",
    "offsets",
    "read_positions",
    "read_to_end",
    "read_topic_ids",
    "read_values",
]


def read_positions(bootstrap_servers: str, topic: str, patience: Patience = IMPATIENT) -> dict[int, Position]:
    """The position of every shard. Raises PositionError; KafkaException (retryable)."""
    return positions_in(read_to_end(bootstrap_servers, topic, patience=patience))


def read_topic_ids(bootstrap_servers: str, topic: str) -> TopicIds:
    """The topics that the positions speak of; none where nobody has noted them yet. Raises as `read_positions`."""
    return topic_ids_in(read_to_end(bootstrap_servers, topic))


def read_values(bootstrap_servers: str, topic: str) -> dict[int, bytes]:
    """What the topic holds for every shard, whatever it is. Raises KafkaException (retryable)."""
    return values_in(read_to_end(bootstrap_servers, topic))


def read_to_end(
    bootstrap_servers: str, topic: str, *, isolation: str = COMMITTED, patience: Patience = IMPATIENT
) -> Iterator[Message]:
    """Every committed record that is in the topic now, in order per partition. Raises KafkaException (retryable).

    Now is the end including transactions that are still open: they are waited for, not overlooked.
    """
    reader = TopicsReader(bootstrap_servers, patience)
    return reader.read(reader.ends([topic]), isolation=isolation)


def offsets(bootstrap_servers: str, topic: str) -> dict[int, Span]:
    """What each partition holds, open transactions included.

    Raises KafkaException (retryable), also where the topic is missing.
    """
    spans = TopicsReader(bootstrap_servers).spans([topic])
    return {partition: span for (_, partition), span in spans.items()}
