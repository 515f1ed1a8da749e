"""The loop: read a batch, fold it in one transaction with its checkpoint, again.

Whatever breaks, it goes on from the stored checkpoint.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Self

import psycopg
import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from patience import WAITED_FOR, TransientError
from patience.kafka import QUIET, Brokers, topic_ids
from projector import database, metrics, models
from projector.checkpoint import Checkpoint, CheckpointOutsideTopicError, Source, note_caught_up, note_ends
from projector.dead_letters import DeadLetters
from projector.folding import Folder
from projector.gate import Verdict
from projector.held_partitions import HeldPartitions
from projector.metrics import stage
from projector.models import OutdatedModelsError
from projector.page import server as page_server
from projector.projections import PROJECTIONS
from projector.records import Records, place
from runtime import service
from runtime.service import REFUSED, STOPPED
from runtime.settings import Settings
from runtime.telemetry import serve_metrics
from schemas import registry
from schemas.registry import RegistryUnavailableError
from schemas.topics import Topics

IDLE_S = 0.5
NOTE_EVERY_S = 5.0
"""How often the read models say to their readers that nothing waits."""
TOPICS_TIMEOUT_S = 10.0
GARBAGE_OBJECTS = 1_000_000
"""The collector would walk each batch several times, and records hold no cycles."""
SESSION_TIMEOUT_MS = 6000
"""A killed projector's partitions wait that long for another owner."""

RETRYABLE = (*WAITED_FOR, psycopg.InterfaceError, RegistryUnavailableError)

log = structlog.get_logger()


def run(settings: Settings) -> int:
    """Project until SIGTERM or SIGINT. Gives the exit code: 0 stopped, 2 refused to run on what the models hold."""
    stop = service.stop_event()
    service.collect_garbage_seldom(GARBAGE_OBJECTS)
    page = page_server.serve(settings)
    log.info("projector_started", metrics=serve_metrics(settings), page=page and page.url)
    try:
        project(settings, stop)
    except (OutdatedModelsError, CheckpointOutsideTopicError) as error:
        log.error("projector_refused", reason=str(error))
        return REFUSED
    return STOPPED


def project(settings: Settings, stop: threading.Event, *, until_caught_up: bool = False) -> None:
    """Fold events into the read models until `stop` is set, or until none is left. Waits for servers that are down.

    Raises OutdatedModelsError and CheckpointOutsideTopicError, which only a refold heals.
    """
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:

        def attempt() -> None:
            with Session(settings, client) as session:
                session.work(stop, until_caught_up=until_caught_up)

        service.keep_trying(attempt, stop, retryable=RETRYABLE, on_retry=_note_retry)


def _note_retry(error: Exception, pause_s: float) -> None:
    cause = type(error).__name__
    metrics.RESTARTS.labels(cause).inc()
    log.warning("projector_restarts", cause=cause, error=str(error).strip(), backoff_s=pause_s)


def refold(settings: Settings) -> None:
    """Empty all read models with their checkpoint and gate.

    Projectors, whether they run or start later, then fold from the first event on.
    """
    with contextlib.closing(database.connect(settings.bi_database_url)) as connection:
        models.reset(connection)


class Session:
    """One stay in the consumer group with one database connection.

    After any error it is thrown away: nothing in memory has to survive.
    """

    def __init__(self, settings: Settings, client: SchemaRegistryClient) -> None:
        topics = Topics(settings.topic_prefix)
        self.topics = [topics.events, topics.refusals]
        self.batch = settings.projector_batch
        self.checkpoint = Checkpoint()
        self.read_up_to: dict[Source, int | None] = {}
        """Where nothing was left to read when last looked; None while something is."""
        self.topic_ids: dict[str, str] = {}
        self.brokers = Brokers(settings.kafka_bootstrap_servers)
        self.last_moved = 0
        self.began_at = time.time()
        self.held = HeldPartitions(settings.kafka_bootstrap_servers)
        self.noted_at = 0.0
        self.dead_letters = DeadLetters(settings.kafka_bootstrap_servers, topics.dead_letters)
        self.connection = database.connect(settings.bi_database_url)
        try:
            projections = models.ensure(self.connection)
            metrics.MODELS_STOPPED.set(len(PROJECTIONS) - len(projections))
            records = Records(topics, client, settings.residency)
            self.folder = Folder(self.connection, self.checkpoint, projections, records, self._dead_letter)
            self.consumer = _consumer(settings)
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.drop()
        self.connection.close()
        self.consumer.close()

    def work(self, stop: threading.Event, *, until_caught_up: bool) -> None:
        """Fold batch after batch until `stop` is set, or until none is left. Raises one of RETRYABLE."""
        self._show_parked()
        self.consumer.subscribe(self.topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        while not stop.is_set():
            with stage("receive"):
                messages = self._receive()
            self._fold(messages)
            self._show_lag()
            if until_caught_up and self.caught_up:
                return
        self._finish()

    @property
    def caught_up(self) -> bool:
        """Nothing was left to read when last looked."""
        return bool(self.read_up_to) and len(self._caught_up()) == len(self.read_up_to)

    def _caught_up(self) -> list[Source]:
        """Our partitions of which all is read and folded. Where a transaction is open, what follows it cannot be, and
        waits.
        """
        if self.folder.underway:
            return []
        ends = dict(self._ends())
        return [source for source, end in self.read_up_to.items() if end is not None and ends.get(source, end) <= end]

    def _receive(self) -> list[Message]:
        """What there is, at once; without a timer that would hold back the first record for the sake of later ones."""
        first = self.consumer.poll(0 if self.folder.underway else IDLE_S)
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
            source, offset = place(message)
            expected = self.checkpoint.next_offsets.get(source)
            if expected is None or offset < expected:
                return False
            self.read_up_to[source] = None
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001, its name
            source, offset = place(message)
            self.read_up_to[source] = offset
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001, its name
            raise CheckpointOutsideTopicError(
                f"{message.topic()} lacks the offsets {_shown(self.checkpoint.next_offsets)} of the read models: "
                f"{error.str()}; if this is the right topic, fold it again with `wagerledger project --refold`"
            )
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(
                KafkaError(
                    error.code(), f"there is no topic {message.topic()}; make it with `wagerledger topics apply`"
                )
            )
        else:
            raise KafkaException(error)
        return False

    def _fold(self, messages: list[Message]) -> None:
        """Take records apart while the database works on those before; and let it work on these, if more may wait."""
        read = self.folder.read(messages)
        self._finish()
        if read:
            self._done(self.folder.begin(read, dict(self._ends())))
            if len(read) < self.batch // 2:
                self._finish()

    def _finish(self) -> None:
        self._done(self.folder.finish())

    def _done(self, verdicts: list[Verdict]) -> None:
        if verdicts:
            self._hint()
        for verdict in verdicts:
            self._count(verdict)

    def _dead_letter(self, message: Message, reason: str) -> None:
        self.dead_letters.send(message, reason)
        metrics.DEAD_LETTERS.inc()
        key = (message.key() or b"").decode(errors="replace")
        source, offset = place(message)
        log.error("dead_letter", reason=reason, key=key, **source._asdict(), offset=offset)

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._finish()
        sources = [Source(partition.topic, partition.partition) for partition in partitions]
        self.topic_ids = self._topic_ids()
        with database.transaction(self.connection) as tables:
            self.checkpoint.load(tables, sources, self.topic_ids)
        for partition, source in zip(partitions, sources, strict=True):
            partition.offset = self.checkpoint.next_offsets[source]
        self.read_up_to = dict.fromkeys(sources, None)
        self.consumer.assign(partitions)
        log.info("partitions_assigned", next_offsets=_shown(self.checkpoint.next_offsets))

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._finish()
        sources = [Source(partition.topic, partition.partition) for partition in partitions]
        for source in sources:
            self.read_up_to.pop(source, None)
        self.checkpoint.release(sources)

    def _hint(self) -> None:
        """Tell Kafka, for lag tools only: the checkpoint is what counts."""
        offsets = [TopicPartition(*source, offset) for source, offset in self.checkpoint.next_offsets.items()]
        with contextlib.suppress(KafkaException):
            self.consumer.commit(offsets=offsets, asynchronous=True)

    def _count(self, verdict: Verdict) -> None:
        metrics.EVENTS.inc(len(verdict.admitted))
        metrics.REFUSALS.inc(verdict.refusals)
        metrics.DUPLICATES.inc(verdict.duplicates)
        metrics.FRESHNESS.observe(event.record["occurred_at"] for event in verdict.admitted)
        if verdict.admitted:
            self.last_moved = verdict.admitted[-1].record["occurred_at"]
        for reason in verdict.parked:
            metrics.PARKED.labels(reason).inc()
        metrics.RELEASED.inc(verdict.released)
        if verdict.parked or verdict.released:
            self._show_parked()

    def _show_parked(self) -> None:
        metrics.PARKED_STREAMS.set(database.parked_streams(self.connection))

    def _show_lag(self) -> None:
        if time.monotonic() - self.noted_at > NOTE_EVERY_S:
            self._finish()
        caught_up, ends = self._caught_up(), dict(self._ends())
        waiting = {source: end - self.checkpoint.next_offsets[source] for source, end in ends.items()}
        metrics.LAG_ROWS.set(sum(max(0, rows) for source, rows in waiting.items() if source not in caught_up))
        since = self.last_moved / 1e6 or self.began_at
        metrics.LAG_SECONDS.set(0 if len(caught_up) == len(self.read_up_to) else max(0.0, time.time() - since))
        self.held.look(self.read_up_to, ends)
        if time.monotonic() - self.noted_at > NOTE_EVERY_S:
            self._note(caught_up, ends)
            self.noted_at = time.monotonic()

    def _note(self, caught_up: list[Source], ends: dict[Source, int]) -> None:
        """What changes, or is worth saying, without any record."""
        if self.topic_ids and self._topic_ids() != self.topic_ids:
            raise TransientError("a topic was made anew; whether its records may be folded is asked at the start")
        with database.transaction(self.connection) as tables:
            note_caught_up(tables, caught_up)
            note_ends(tables, {source: end for source, end in ends.items() if source not in caught_up})
        self._show_parked()

    def _topic_ids(self) -> dict[str, str]:
        return self.brokers.ask(lambda admin: topic_ids(admin, self.topics, timeout_s=TOPICS_TIMEOUT_S))

    def _ends(self) -> Iterator[tuple[Source, int]]:
        """Where our partitions end, as the last answer of the broker said."""
        for source in self.checkpoint.next_offsets:
            _, end = self.consumer.get_watermark_offsets(TopicPartition(*source), cached=True)
            if end != OFFSET_INVALID:
                yield source, end


def _shown(next_offsets: dict[Source, int]) -> dict[str, int]:
    return {f"{source.topic}/{source.partition}": offset for source, offset in sorted(next_offsets.items())}


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
            **QUIET,
            "error_cb": lambda error: log.warning("kafka", error=error.str()),
        }
    )
