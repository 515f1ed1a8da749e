"""Where signed heads go: a topic, and a file for storage outside. Each says itself what it has, so that a restart
knows what it lacks.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from evidence.heads import HeadError, SignedHead
from patience.kafka import QUIET, timed_out
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
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
        self._servers = settings.kafka_bootstrap_servers

    def last(self) -> SignedHead | None:
        # Read further than what is decided now: a head that is not seen would be published a second time.
        message = TopicsReader(self._servers).last(self.name)
        if message is None:
            return None
        return _parsed(message.value() or b"", f"topic {self.name} offset {message.offset()}")

    def append(self, signed: Sequence[SignedHead]) -> None:
        failures: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        producer = Producer(
            {
                "bootstrap.servers": self._servers,
                **QUIET,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": int(TIMEOUT_S * 1000),
            }
        )
        for one in signed:
            producer.produce(self.name, one.line.encode(), one.head.log, partition=0, on_delivery=note)
            producer.poll(0)
        unsent = producer.flush(2 * TIMEOUT_S)
        if failures or unsent:
            raise KafkaException(failures[0]) if failures else timed_out("heads not sent")


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
