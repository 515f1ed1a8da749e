"""Reading topics from their beginning to an end that was fixed before: committed records only."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from ledger.audit.findings import CannotCheckError
from ledger.settings import Settings
from schemas.registry import RegistryUnavailableError

TIMEOUT_S = 10.0
RETRIED_AFTER_S = 0.2
AT_ONCE = 10_000
FETCHED_BYTES = 4 * 1024 * 1024
AHEAD_KB = 32 * 1024
"""Read ahead of what was asked for, at most."""
SILENCE_S = 60.0
"""Longest wait for the next record: an open Kafka transaction ends within it."""

Ends = Mapping[tuple[str, int], int]
"""The offset at which reading stops, per topic and partition."""


class TopicsReader:
    """Reads as nobody in particular: no offset is committed."""

    def __init__(self, settings: Settings) -> None:
        self._client: dict[str, str | int | float | bool] = {"bootstrap.servers": settings.kafka_bootstrap_servers}

    def ends(self, topics: Iterable[str]) -> Ends:
        """Where the committed records of the topics end now. Raises CannotCheckError where a topic is missing."""
        admin = AdminClient(self._client)
        existing = admin.list_topics(timeout=TIMEOUT_S).topics
        partitions = []
        for topic in topics:
            if topic not in existing:
                raise CannotCheckError(
                    f"there is no topic {topic}; check WAGERLEDGER_TOPIC_PREFIX, or run `wagerledger topics apply`"
                )
            partitions += [TopicPartition(topic, partition) for partition in existing[topic].partitions]
        given_up = time.monotonic() + TIMEOUT_S
        while True:
            try:
                return _ends(admin, partitions)
            except KafkaException as error:
                # A partition that was just made, or moves, has no leader for a moment.
                if not error.args[0].retriable() or time.monotonic() > given_up:
                    raise
            time.sleep(RETRIED_AFTER_S)

    def read(self, ends: Ends) -> Iterator[Message]:
        """Every record before `ends`, in order per partition."""
        for messages in self.read_batches(ends):
            yield from messages

    def read_batches(self, ends: Ends) -> Iterator[list[Message]]:
        """The same, as they come."""
        left = {at: end for at, end in ends.items() if end}
        consumer = Consumer(
            {
                **self._client,
                "group.id": "wagerledger-audit",  # the client demands one
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "queued.max.messages.kbytes": AHEAD_KB,
                "fetch.message.max.bytes": FETCHED_BYTES,
            }
        )
        try:
            consumer.assign([TopicPartition(*at, OFFSET_BEGINNING) for at in left])
            yield from _until(consumer, left)
        finally:
            consumer.close()


def _ends(admin: AdminClient, partitions: list[TopicPartition]) -> Ends:
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    answers = admin.list_offsets(
        dict.fromkeys(partitions, latest), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_S
    )
    return {(at.topic, at.partition): answer.result(TIMEOUT_S).offset for at, answer in answers.items()}


def _until(consumer: Consumer, left: dict[tuple[str, int], int]) -> Iterator[list[Message]]:
    heard = time.monotonic()
    while left:
        messages = consumer.consume(AT_ONCE, timeout=0.1)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_S:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record for {SILENCE_S:.0f} s"))  # noqa: SLF001, its name
        yield [message for message in messages if _is_before_end(message, left)]


def _is_before_end(message: Message, left: dict[tuple[str, int], int]) -> bool:
    at: Any = message.topic(), message.partition()
    end, error = left.get(at), message.error()
    if end is None:
        return False
    if error is None:
        offset: Any = message.offset()
        if offset < end:
            return True
    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001, its name
        raise KafkaException(error)
    del left[at]  # the records before the end are behind us: what is left are marks of transactions
    return False


@contextmanager
def checkable() -> Iterator[None]:
    """Turn what keeps us from reading into CannotCheckError."""
    try:
        yield
    except KafkaException as error:
        text = f"the topics cannot be read: {error.args[0]}; check WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS"
        raise CannotCheckError(text) from error
    except RegistryUnavailableError as error:
        raise CannotCheckError(str(error)) from error
