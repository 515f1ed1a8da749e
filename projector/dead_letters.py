"""Records that cannot be read or folded: kept as they came, in a topic of their own, with the reason and the place."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from patience.kafka import QUIET, timed_out
from projector.checkpoint import Source

TIMEOUT_S = 30.0
REASON, TOPIC, PARTITION, OFFSET = (f"wagerledger-{name}" for name in ("reason", "topic", "partition", "offset"))


class DeadLetter(NamedTuple):
    """A record that could not be read or folded."""

    source: Source
    offset: int
    key: bytes | None
    value: bytes | None
    """The record's value as it came."""
    reason: str

    @classmethod
    def of(cls, message: Message) -> Self:
        """The dead letter in a Kafka message. Raises LookupError, ValueError where `DeadLetters` did not write it."""
        # A record may have had headers of ours already, as one that was copied from dead letters: the last ones count.
        headers: dict[str, bytes] = dict(message.headers() or [])  # type: ignore[arg-type]  # all of ours are bytes
        source = Source(headers[TOPIC].decode(), int(headers[PARTITION]))
        return cls(source, int(headers[OFFSET]), message.key(), message.value(), headers[REASON].decode())


def once(messages: Iterable[Message]) -> list[DeadLetter]:
    """Each dead letter once, in the order of its topic; a crash may have written one twice."""
    letters = {(letter.source, letter.offset): letter for letter in map(DeadLetter.of, messages)}
    return [letters[at] for at in sorted(letters)]


class DeadLetters:
    """Writes to the dead-letter topic. A record may come twice there, never not at all."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self.topic = topic
        self._bootstrap_servers = bootstrap_servers
        self._producer: Producer | None = None

    def send(self, message: Message, reason: str) -> None:
        """Keep the record durably before returning. Raises KafkaException (retryable)."""
        producer = self._connected()
        failed: list[KafkaError] = []
        origin = {
            REASON: reason,
            TOPIC: str(message.topic()),
            PARTITION: str(message.partition()),
            OFFSET: str(message.offset()),
        }
        producer.produce(
            self.topic,
            key=message.key(),
            value=message.value(),
            headers=[*(message.headers() or []), *((name, value.encode()) for name, value in origin.items())],
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
        if producer.flush(TIMEOUT_S):
            producer.purge()
            raise timed_out(f"{self.topic} did not take a dead letter in {TIMEOUT_S} s")
        if failed:
            raise KafkaException(failed[0])

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self._bootstrap_servers,
                    "acks": "all",
                    "enable.idempotence": True,
                    **QUIET,
                }
            )
        return self._producer
