"""The loop: read a batch, fold it in one transaction with its checkpoint, again.

Whatever breaks, it goes on from the stored checkpoint.
"""

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import psycopg
import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ledger.core.chain import hash_of
from ledger.recording import StreamKey
from ledger.settings import Settings
from ledger.telemetry import serve_metrics
from projector import database, metrics
from projector.checkpoint import Checkpoint, CheckpointMovedError
from projector.database import OutdatedModelsError
from projector.deadletters import DeadLetters
from projector.gate import Arrival, Gate, Unreadable, Verdict
from projector.metrics import stage
from projector.projections import PROJECTIONS
from schemas import registry
from schemas.registry import Reader, RegistryUnavailableError, UndecodableRecord
from schemas.topics import Topics

STOPPED, REFUSED = 0, 2
IDLE_S = 0.5
BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0
SESSION_TIMEOUT_MS = 6000
"""A killed projector's partitions wait that long for another owner."""

RETRYABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    KafkaException,
    RegistryUnavailableError,
    CheckpointMovedError,
)

UNFOLDABLE = (
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    psycopg.DataError,
    psycopg.IntegrityError,
)
"""What a fold raises at an event that cannot be: one event's fault, so it must cost its own stream only."""

log = structlog.get_logger()


class CheckpointOutsideTopicError(RuntimeError):
    """The topic does not have the offset that the read models are at: they were folded from another topic."""


def run(settings: Settings) -> int:
    """Project until SIGTERM or SIGINT. Gives the exit code: 0 stopped, 2 refused to run on what the models hold."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    spare_the_collector()
    log.info("projector_started", metrics=serve_metrics(settings))
    try:
        project(settings, stop)
    except (OutdatedModelsError, CheckpointOutsideTopicError) as error:
        log.error("projector_refused", reason=str(error))
        return REFUSED
    return STOPPED


def spare_the_collector() -> None:
    """Let Python's cycle collector run seldom: it walks each batch several times, and records hold no cycles."""
    gc.freeze()
    gc.set_threshold(1_000_000)


def project(settings: Settings, stop: threading.Event, *, until_caught_up: bool = False) -> None:
    """Fold events into the read models until `stop` is set, or until none is left. Waits for servers that are down.

    Raises OutdatedModelsError and CheckpointOutsideTopicError, which only a refold heals.
    """
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        _project(settings, Reader(client), stop, until_caught_up=until_caught_up)


def _project(settings: Settings, reader: Reader, stop: threading.Event, *, until_caught_up: bool) -> None:
    backoff_s = BACKOFF_S
    while not stop.is_set():
        begun = time.monotonic()
        try:
            with Session(settings, reader) as session:
                if session.work(stop, until_caught_up=until_caught_up):
                    return
        except RETRYABLE as error:
            if time.monotonic() - begun > MAX_BACKOFF_S:
                backoff_s = BACKOFF_S
            cause = type(error).__name__
            metrics.RESTARTS.labels(cause).inc()
            log.warning("projector_restarts", cause=cause, error=str(error).strip(), backoff_s=backoff_s)
            stop.wait(backoff_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)


def refold(settings: Settings) -> None:
    """Empty all read models with their checkpoint and gate.

    Projectors, whether they run or start later, then fold from the first event on.
    """
    with contextlib.closing(database.connect(settings.bi_database_url)) as connection:
        database.reset(connection)


class Session:
    """One stay in the consumer group with one database connection.

    After any error it is thrown away: nothing in memory has to survive.
    """

    def __init__(self, settings: Settings, reader: Reader) -> None:
        topics = Topics(settings.topic_prefix)
        self.topic = topics.events
        self.batch = settings.projector_batch
        self.checkpoint = Checkpoint(self.topic)
        self.at_end: dict[int, bool] = {}
        self.last_moved = 0
        self.dead_letters = DeadLetters(settings.kafka_bootstrap_servers, topics.dead_letters)
        self.reader = reader
        self.connection = database.connect(settings.bi_database_url)
        try:
            database.ensure_models(self.connection)
            self.consumer = _consumer(settings)
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.consumer.close()

    def work(self, stop: threading.Event, *, until_caught_up: bool) -> bool:
        """Batch after batch. Returns True when the work is done; raises one of RETRYABLE."""
        self._show_parked()
        self.consumer.subscribe([self.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        while not stop.is_set():
            with stage("receive"):
                messages = self._receive()
            if messages:
                self._project(messages)
            self._show_lag()
            if until_caught_up and self.caught_up:
                return True
        return True

    @property
    def caught_up(self) -> bool:
        """Nothing was left to read when last looked."""
        return bool(self.at_end) and all(self.at_end.values())

    def _receive(self) -> list[Message]:
        """What there is, at once; without a timer that would hold back the first record for the sake of later ones."""
        first = self.consumer.poll(IDLE_S)
        if first is None:
            return []
        messages = [first]
        if self.batch > 1:
            messages += self.consumer.consume(self.batch - 1, timeout=0)
        return [message for message in messages if self._is_ours(message)]

    def _is_ours(self, message: Message) -> bool:
        """Tell records from notices; and drop what was fetched before a rebalance took or moved the partition."""
        error = message.error()
        if error is None:
            partition, offset = _place(message)
            expected = self.checkpoint.next_offsets.get(partition)
            if expected is None or offset < expected:
                return False
            self.at_end[partition] = False
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001, its name
            self.at_end[_place(message)[0]] = True
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001, its name
            raise CheckpointOutsideTopicError(
                f"{self.topic} lacks the offsets {self.checkpoint.next_offsets} of the read models: {error.str()}; "
                "if this is the right topic, fold it again with `wagerledger project --refold`"
            )
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(
                KafkaError(error.code(), f"there is no topic {self.topic}; make it with `wagerledger topics apply`")
            )
        else:
            raise KafkaException(error)
        return False

    def _project(self, messages: list[Message]) -> None:
        with stage("decode"):
            arrivals = [self._read(message) for message in messages]
        self._fold(messages, arrivals)

    def _fold(self, messages: list[Message], arrivals: list[Arrival | Unreadable]) -> None:
        """Fold records; one that can be read but not folded is found by halves and buried like one that cannot."""
        try:
            self._apply(messages, arrivals)
        except UNFOLDABLE as error:
            if len(messages) > 1:
                middle = len(messages) // 2
                self._fold(messages[:middle], arrivals[:middle])
                self._fold(messages[middle:], arrivals[middle:])
                return
            self._bury(messages[0], f"it cannot be folded: {error!r}")
            self._apply(messages, [Unreadable(messages[0].key())])

    def _apply(self, messages: list[Message], arrivals: list[Arrival | Unreadable]) -> None:
        """One transaction: checkpoint, gate, folds."""
        next_offsets = {partition: offset + 1 for partition, offset in map(_place, messages)}
        begun = time.perf_counter()
        with database.transaction(self.connection) as cursor:
            with stage("checkpoint"):
                self.checkpoint.advance(cursor, next_offsets)
            with stage("gate"):
                verdict = Gate(cursor, self._decode).judge(arrivals)
            for projection in PROJECTIONS:
                with stage(projection.name):
                    projection.apply(verdict.admitted, cursor)
            committing = time.perf_counter()
        metrics.STAGE_SECONDS.labels("commit").inc(time.perf_counter() - committing)
        metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - begun)
        self.checkpoint.moved(next_offsets)
        self._hint(next_offsets)
        self._count(verdict)

    def _read(self, message: Message) -> Arrival | Unreadable:
        value = message.value()
        try:
            _, body, record = self.reader.read(value)
        except UndecodableRecord as error:
            self._bury(message, str(error))
            return Unreadable(message.key())
        assert value is not None
        stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
        self.last_moved = record["occurred_at"]
        return Arrival(stream, record["stream_version"], hash_of(body), record, _place(message)[0], value)

    def _decode(self, wire: bytes) -> dict[str, Any]:
        return self.reader.read(wire).record

    def _bury(self, message: Message, reason: str) -> None:
        self.dead_letters.send(message, reason)
        metrics.DEAD_LETTERS.inc()
        key = (message.key() or b"").decode(errors="replace")
        log.error("dead_letter", reason=reason, key=key, partition=message.partition(), offset=message.offset())

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [partition.partition for partition in partitions]
        with database.transaction(self.connection) as cursor:
            self.checkpoint.load(cursor, numbers)
        for partition in partitions:
            partition.offset = self.checkpoint.next_offsets[partition.partition]
        self.at_end = dict.fromkeys(numbers, False)
        self.consumer.assign(partitions)
        log.info("partitions_assigned", next_offsets=self.checkpoint.next_offsets)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.at_end.pop(partition.partition, None)
        self.checkpoint.release([partition.partition for partition in partitions])

    def _hint(self, next_offsets: dict[int, int]) -> None:
        """Tell Kafka, for lag tools only: the checkpoint is what counts."""
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in next_offsets.items()]
        with contextlib.suppress(KafkaException):
            self.consumer.commit(offsets=offsets, asynchronous=True)

    def _count(self, verdict: Verdict) -> None:
        metrics.EVENTS.inc(len(verdict.admitted))
        metrics.DUPLICATES.inc(verdict.duplicates)
        for reason in verdict.parked:
            metrics.PARKED.labels(reason).inc()
        metrics.RELEASED.inc(verdict.released)
        if verdict.parked or verdict.released:
            self._show_parked()

    def _show_parked(self) -> None:
        metrics.PARKED_STREAMS.set(database.parked_streams(self.connection))

    def _show_lag(self) -> None:
        metrics.LAG_ROWS.set(sum(self._lags()))
        metrics.LAG_SECONDS.set(
            0 if self.caught_up or not self.last_moved else max(0.0, time.time() - self.last_moved / 1e6)
        )

    def _lags(self) -> Iterator[int]:
        for partition, next_offset in self.checkpoint.next_offsets.items():
            if not self.at_end.get(partition):
                _, high = self.consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
                yield max(0, high - next_offset) if high != OFFSET_INVALID else 0


def _place(message: Message) -> tuple[int, int]:
    """Partition and offset, which every message from a topic has."""
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": f"{settings.topic_prefix}{settings.projector_group}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 4,
            "fetch.wait.max.ms": 100,
            "log_level": 0,
            "error_cb": lambda error: log.warning("kafka", error=error.str()),
        }
    )
