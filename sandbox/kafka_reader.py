"""Reading a topic from its beginning to its present end, as a stranger would."""

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

TIMEOUT_S = 30.0


def read_all(bootstrap_servers: str, topic: str, *, isolation: str = "read_committed") -> Iterator[Message]:
    """Every record of `topic` up to its end now, partition by partition in offset order. Raises KafkaException."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "nobody",  # required by the client; nothing is committed
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,  # at the end of a partition nothing more is worth waiting for
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
        for partition in sorted(partitions):
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            yield from _to_end(consumer)
    finally:
        consumer.close()


def _to_end(consumer: Consumer) -> Iterator[Message]:
    while True:
        message = consumer.poll(TIMEOUT_S)
        if message is None:
            raise TimeoutError(f"Kafka did not answer within {TIMEOUT_S:.0f} s")
        error = message.error()
        if error is None:
            yield message
        elif error.code() == error._PARTITION_EOF:  # noqa: SLF001  # the client's public constant has this name
            return
        else:
            raise KafkaException(error)
