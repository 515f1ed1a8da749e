"""Reading a topic from its beginning to its present end, as a stranger would: it checks the relay, and shares nothing
with it.
"""

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from patience import Patience, is_transient
from patience.kafka import EARLIEST, LATEST, offsets, timed_out

REQUEST_TIMEOUT_S = 10.0
SILENCE_S = 90.0
"""Longer than Kafka lets a transaction live whose producer is gone."""


def read_all(
    bootstrap_servers: str, topic: str, *, isolation: str = "read_committed", silence_s: float = SILENCE_S
) -> Iterator[Message]:
    """Every record of `topic` up to its end now, partition by partition in offset order.

    Now is the end including transactions that are still open: they are waited for. Raises KafkaException, also when
    nothing comes for `silence_s`.
    """
    spans = Patience().call(lambda: _spans(bootstrap_servers, topic), "Kafka")
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "nobody",  # required by the client; nothing is committed
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "auto.offset.reset": "error",  # what is gone is never passed over in silence
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,  # at the end of a partition nothing more is worth waiting for
        }
    )
    try:
        for partition, (begin, end) in sorted(spans.items()):
            if begin < end:
                consumer.assign([TopicPartition(topic, partition, begin)])
                yield from _until(consumer, end, silence_s)
    finally:
        consumer.close()


def _spans(bootstrap_servers: str, topic: str) -> dict[int, tuple[int, int]]:
    """The offsets of the first record of each partition and after its last, whatever becomes of its transaction."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    metadata = admin.list_topics(topic, timeout=REQUEST_TIMEOUT_S).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    partitions = [(topic, number) for number in metadata.partitions]
    begins, ends = (offsets(admin, partitions, which, timeout_s=REQUEST_TIMEOUT_S) for which in (EARLIEST, LATEST))
    return {at[1]: (begins[at], ends[at]) for at in partitions}


def _until(consumer: Consumer, end: int, silence_s: float) -> Iterator[Message]:
    while True:
        message = consumer.poll(silence_s)
        if message is None:
            raise timed_out(f"nothing came for {silence_s:.0f} s; a transaction may be open")
        error = message.error()
        if error is None or error.code() == error._PARTITION_EOF:  # noqa: SLF001  # the client's public constant has this name
            # The client sees the end of what is decided: while a transaction is open, the true one comes later.
            if (message.offset() or 0) >= end:
                return
            if error is None:
                yield message
        elif not is_transient(KafkaException(error)):  # else the client itself tries again
            raise KafkaException(error)
