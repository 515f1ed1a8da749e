"""What one look at the database cannot show: how many events a second, the dead letters, and the last tree head."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import psycopg
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from psycopg import Connection
from pydantic import SecretStr

from evidence.heads import HeadError, SignedHead
from evidence.keys import AnchorKeyError, trusted_keys
from patience.kafka import QUIET, timed_out
from projector.metrics import PAGE_WATCH_FAILURES
from projector.page import figures
from runtime.settings import Settings
from schemas.topics import Topics

EVERY_S = 5.0
SAMPLES = 181  # a quarter of an hour
KAFKA_TIMEOUT_S = 3.0

log = structlog.get_logger()


class Seen(NamedTuple):
    """What the watch has seen so far."""

    rates: Sequence[float] = ()
    """Records of the events' topic folded per second, the newest last."""
    dead_letters: int | None = None
    head: SignedHead | None = None
    head_is_valid: bool | None = None
    """None: this process has no public key to check it with."""
    kafka: str | None = "Kafka was not asked yet."
    """Why the last three may be missing or old."""


class Watch:
    """A thread of its own with its own connections: neither the projector nor a reader waits for it."""

    def __init__(self, settings: Settings, database_url: SecretStr) -> None:
        self._settings = settings
        self._database_url = database_url
        self._topics = Topics(settings.topic_prefix)
        self._connection: Connection[Any] | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page-watch", daemon=True)
        self.seen = Seen()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(2 * KAFKA_TIMEOUT_S)

    def _run(self) -> None:
        consumer = _consumer(self._settings)
        while not self._stopped.is_set():
            try:
                self._look(consumer)
            except Exception as error:  # nobody would see the thread end: the page would show old figures as today's
                PAGE_WATCH_FAILURES.inc()
                log.exception("page_watch_failed")
                self.seen = self.seen._replace(kafka=f"The page's watch failed ({type(error).__name__}): see the log.")
            self._stopped.wait(EVERY_S)
        consumer.close()
        self._disconnect()

    def _look(self, consumer: Consumer) -> None:
        try:
            self._connection = self._connection or figures.connect(self._database_url)
            folded = figures.folded_records(self._connection, self._topics.events)
            if folded is not None:
                self._samples.append((time.monotonic(), folded))
        except psycopg.Error:  # the page says so itself
            self._disconnect()
        self.seen = self._look_at_kafka(consumer)

    def _disconnect(self) -> None:
        with contextlib.suppress(psycopg.Error):
            if self._connection:
                self._connection.close()
        self._connection = None

    def _look_at_kafka(self, consumer: Consumer) -> Seen:
        seen = self.seen._replace(rates=rates(self._samples), kafka=None)
        try:
            head = _last_head(consumer, self._topics.anchors)
            return seen._replace(
                dead_letters=_records(consumer, self._topics.dead_letters), head=head, head_is_valid=self._valid(head)
            )
        except KafkaException as error:
            return seen._replace(kafka=f"Kafka does not answer: {error.args[0].str()}")

    def _valid(self, head: SignedHead | None) -> bool | None:
        try:
            return head.valid(trusted_keys(self._settings)) if head else None
        except AnchorKeyError:
            return None


def rates(samples: Sequence[tuple[float, int]]) -> list[float]:
    """Records per second between one sample and the next; none where the models began anew in between."""
    return [max(0, later - earlier) / (until - since) for (since, earlier), (until, later) in pairwise(samples)]


def _records(consumer: Consumer, topic: str) -> int:
    """Records that a topic holds. Raises KafkaException."""
    found = consumer.list_topics(topic, timeout=KAFKA_TIMEOUT_S).topics[topic]
    if found.error:
        return 0
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, n), KAFKA_TIMEOUT_S) for n in found.partitions]
    return sum(high - low for low, high in ends)


def _last_head(consumer: Consumer, topic: str) -> SignedHead | None:
    """The newest tree head; None where there is none. Raises KafkaException."""
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), KAFKA_TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise
    if high == low:
        return None
    consumer.assign([TopicPartition(topic, 0, high - 1)])
    message = consumer.poll(KAFKA_TIMEOUT_S)
    consumer.unassign()
    if message is None:
        raise timed_out(f"{topic} gave no record")
    if message.error():
        raise KafkaException(message.error())
    try:
        return SignedHead.parse(message.value() or b"")
    except HeadError:
        return None


def _consumer(settings: Settings) -> Consumer:
    """It assigns partitions to itself and commits nothing: no group ever exists."""
    return Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": f"{settings.topic_prefix}{settings.projector_group}-page",
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            **QUIET,
            "error_cb": lambda _: None,
        }
    )
