"""Where signed heads go: a topic, and a file for storage outside. Each says itself what it has, so that a restart tells
it what it lacks.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from ledger.evidence.heads import HeadError, SignedHead
from ledger.settings import Settings
from schemas.topics import Topics

TIMEOUT_S = 10.0


class OutletError(Exception):
    """An outlet holds something that no sealer wrote. The message says where."""


class Outlet(Protocol):
    """A place that keeps signed heads in the order in which they were signed."""

    name: str
    begins_anywhere: bool
    """Whether an empty one begins with the newest head: each speaks of all before it."""

    def last(self) -> SignedHead | None:
        """The newest head there. Raises OutletError; KafkaException or OSError (retryable)."""

    def append(self, signed: Sequence[SignedHead]) -> None:
        """Add heads; they are durable afterwards. Raises OutletError; KafkaException or OSError (retryable)."""


class TopicOutlet:
    """The topic `ledger.anchors`, of one partition."""

    begins_anywhere = False

    def __init__(self, settings: Settings) -> None:
        self.name = Topics(settings.topic_prefix).anchors
        self._client: dict[str, str | int | float | bool] = {"bootstrap.servers": settings.kafka_bootstrap_servers}

    def last(self) -> SignedHead | None:
        consumer = Consumer(
            {
                **self._client,
                "group.id": "wagerledger-sealer",  # the client demands one
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        try:
            partition = TopicPartition(self.name, 0)
            low, end = consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S)
            if low == end:
                return None
            consumer.assign([TopicPartition(self.name, 0, end - 1)])
            message = consumer.poll(TIMEOUT_S)
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"topic {self.name} gave no record"))  # noqa: SLF001, its name
            if error := message.error():
                raise KafkaException(error)
            return _parsed(message.value() or b"", f"topic {self.name} offset {message.offset()}")
        finally:
            consumer.close()

    def append(self, signed: Sequence[SignedHead]) -> None:
        failures: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        producer = Producer(
            {**self._client, "enable.idempotence": True, "acks": "all", "message.timeout.ms": int(TIMEOUT_S * 1000)}
        )
        for one in signed:
            producer.produce(self.name, one.line.encode(), one.head.log, partition=0, on_delivery=note)
            producer.poll(0)
        unsent = producer.flush(2 * TIMEOUT_S)
        if failures or unsent:
            raise KafkaException(failures[0] if failures else KafkaError(KafkaError._TIMED_OUT, "heads not sent"))  # noqa: SLF001, its name


class FileOutlet:
    """A file of JSON lines (WAGERLEDGER_ANCHOR_PATH). It may be moved away: the next head begins a new one."""

    begins_anywhere = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def last(self) -> SignedHead | None:
        lines, _ = self._read()
        return _parsed(lines[-1], f"last line of {self.name}") if lines else None

    def append(self, signed: Sequence[SignedHead]) -> None:
        _, torn = self._read()
        content = b"".join(one.line.encode() + b"\n" for one in signed)
        # What a crash cut off is written to its end: a file that may only grow stays readable.
        if not content.startswith(torn):
            raise OutletError(f"{self.name} ends in the middle of a line that is not the next head; move it away")
        with self._path.open("ab") as file:
            file.write(content[len(torn) :])
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> tuple[list[bytes], bytes]:
        """Whole lines of the file's end, and what stands after the last line feed."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 64 * 1024))
                *lines, torn = file.read().split(b"\n")
        except FileNotFoundError:
            return [], b""
        return lines, torn


def outlets(settings: Settings) -> list[Outlet]:
    """The file first: it needs nobody else."""
    files = [FileOutlet(Path(settings.anchor_path))] if settings.anchor_path else []
    return [*files, TopicOutlet(settings)]


def _parsed(line: bytes, where: str) -> SignedHead:
    try:
        return SignedHead.parse(line)
    except HeadError as error:
        raise OutletError(f"{where}: {error}; only the sealer may write there") from error
