"""Records that cannot be read: kept as they came, in a topic of their own, with the reason."""

from confluent_kafka import KafkaError, KafkaException, Message, Producer

TIMEOUT_S = 30.0


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
            "wagerledger-reason": reason,
            "wagerledger-topic": str(message.topic()),
            "wagerledger-partition": str(message.partition()),
            "wagerledger-offset": str(message.offset()),
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
            timed_out = KafkaError._TIMED_OUT  # noqa: SLF001, its name
            raise KafkaException(KafkaError(timed_out, f"{self.topic} did not take a dead letter in {TIMEOUT_S} s"))
        if failed:
            raise KafkaException(failed[0])

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self._bootstrap_servers,
                    "acks": "all",
                    "enable.idempotence": True,
                    "log_level": 0,
                }
            )
        return self._producer
