"""The relay's loop.

It begins as Kafka Connect's exactly-once sources do (KIP-618): lock, fence, read the position, prove it.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import structlog

from ledger.relay_position import Epoch, Position, PositionError, positions_in
from outbox_relay import metrics
from outbox_relay.known_topics import KnownTopics
from outbox_relay.log import EventLog, HorizonHeldError, Row
from outbox_relay.producer import FencedError, Publisher, transactional_id
from outbox_relay.refusals import Refusal
from patience import WAITED_FOR, TransientError
from runtime import service
from runtime.service import REFUSED, STOPPED, RefusedError
from runtime.settings import Settings
from runtime.telemetry import serve_metrics
from runtime.topics_reader import TopicsReader
from schemas import registry
from schemas.registry import RegistryUnavailableError, SchemaMismatchError, WireIds
from schemas.topics import Topics

FENCED = 1
"""Exit code beside those of every process: another relay has taken the shard."""
POLL_MIN_S = 0.001
TOPICS_EVERY_S = 10.0
"""How often a relay that publishes asks whether its topics are still the same."""

RETRYABLE = (*WAITED_FOR, RegistryUnavailableError, SchemaMismatchError, HorizonHeldError)
"""Somebody must mend something, perhaps by a deploy step; then it goes on by itself. Nothing is lost meanwhile."""

logger = structlog.get_logger()


class WaitingError(TransientError):
    """Another relay holds the shard, or has to make the first step."""


def run(settings: Settings) -> int:
    """Run one relay until SIGTERM or SIGINT. Gives the exit code: 0 stopped, 1 fenced, 2 refused to run."""
    stop = service.stop_event()
    logger.info(
        "relay_started", shard=settings.relay_shard, shards=settings.relay_shards, metrics=serve_metrics(settings)
    )
    return Relay(settings).run(stop)


class Relay:
    """One shard of the relay."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shard, self._shards = settings.relay_shard, settings.relay_shards
        self._topics = Topics(settings.topic_prefix)
        self._registry = registry.connect(settings.schema_registry_url.get_secret_value())
        self._wire_ids = WireIds(self._registry, self._topics)
        self._known = KnownTopics(settings.kafka_bootstrap_servers, self._topics)
        self._lag = metrics.LagWatch(settings.database_url.get_secret_value(), self._shard, self._shards)

    def run(self, stop: threading.Event) -> int:
        """Publish until `stop` is set, whatever fails meanwhile. Gives the exit code as `run` of the module does."""
        if self._shard >= self._shards:
            return refuse(
                f"WAGERLEDGER_RELAY_SHARD is {self._shard}; with {self._shards} shards they are 0 to {self._shards - 1}"
            )
        self._lag.start()
        try:
            service.keep_trying(
                lambda: self._attempt(stop), stop, retryable=RETRYABLE, on_retry=note_retry, on_standby=note_standby
            )
        except RefusedError as error:
            return refuse(str(error))
        except PositionError as error:
            return refuse(f"{error}; run `wagerledger relay recover`")
        except FencedError as error:
            metrics.FENCED.inc()
            logger.error("relay_fenced", reason=str(error))
            return FENCED
        finally:
            self._lag.stop()
            self._registry.close()
        logger.info("relay_stopped")
        return STOPPED

    def _attempt(self, stop: threading.Event) -> str | None:
        try:
            self._run_once(stop)
        except WaitingError as error:
            return str(error)
        finally:
            metrics.PUBLISHING.set(0)
        return None

    def _run_once(self, stop: threading.Event) -> None:
        settings = self._settings
        with EventLog(settings.database_url.get_secret_value(), self._shard, self._shards) as log:
            if not log.lock(transactional_id(self._topics, self._shard)):
                raise WaitingError(f"another relay holds shard {self._shard}")
            prove_xids(log)
            with Publisher(settings.kafka_bootstrap_servers, self._topics, self._wire_ids, self._shard) as publisher:
                publisher.open()  # from here on no earlier relay can publish, so the position stands still
                position = self._position(log, publisher)
                refuse_made_anew(self._known.learn(publisher))
                logger.info("relay_publishes", shard=self._shard, cursor=position.cursor, published=position.published)
                metrics.PUBLISHING.set(1)
                self._publish(log, publisher, position, stop)

    def _position(self, log: EventLog, publisher: Publisher) -> Position:
        """Where to go on, proved. Raises RefusedError; PositionError; WaitingError before the first step of shard 0.

        Other shards publish meanwhile. So a position that is missing is looked for again after events were seen:
        whoever published them had found all positions there. And that the events are gone is believed only when they
        are looked for after the positions that speak of them.
        """
        positions = self._positions()
        if self._shard not in positions:
            published = self._reader().filled([self._topics.events])
            positions = self._positions()
            if not positions and not published:
                return self._first_positions(log, publisher)
        spans = self._reader().spans([self._topics.events]).values()
        return proved(positions, self._shard, self._shards, log, topic_empty=all(span.empty for span in spans))

    def _reader(self) -> TopicsReader:
        return TopicsReader(self._settings.kafka_bootstrap_servers)

    def _positions(self) -> dict[int, Position]:
        return positions_in(self._reader().read_to_end(self._topics.relay_position))

    def _first_positions(self, log: EventLog, publisher: Publisher) -> Position:
        """Nothing was ever published. Shard 0 makes all positions, so that a missing one always means a lost one. Until
        it does so nobody publishes.
        """
        if self._shard != 0:
            raise WaitingError("shard 0 has not made the first positions yet")
        for topic in sorted(
            self._reader().filled((*self._topics.of_types, *self._topics.of_variants, self._topics.refusals))
        ):
            raise RefusedError(
                f"{self._topics.events} is empty but {topic} is not, which would get everything a second time; "
                "run `wagerledger relay recover`"
            )
        start = Position.start(log.epoch(), self._shards)
        publisher.write_positions(dict.fromkeys(range(self._shards), start))
        return start

    def _publish(self, log: EventLog, publisher: Publisher, position: Position, stop: threading.Event) -> None:
        cursor, pause_s = position.cursor, POLL_MIN_S
        limit = self._settings.relay_batch_rows
        self._lag.cursor = cursor
        looked_at = time.monotonic()
        while not stop.is_set():
            if time.monotonic() - looked_at > TOPICS_EVERY_S:
                refuse_made_anew(self._known.changed())
                looked_at = time.monotonic()
            rows = log.read(cursor, limit)
            refusals = log.read_refusals(position.refused, limit) if self._shard == 0 else []
            if not rows and not refusals:
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, self._settings.relay_poll_ms / 1000)
                continue
            due = list(batches(rows, self._settings.relay_batch_bytes))
            if refusals:
                position = replace(position, refused=refusals[-1].cursor)
                due = due or [[]]  # also where all the rows are another shard's
            for batch in due:
                position = after(position, batch)
                publisher.publish(batch, position, refusals)
                count(batch, refusals)
                refusals = []
            cursor, pause_s = rows[-1].cursor if rows else cursor, POLL_MIN_S
            self._lag.cursor = cursor


def proved(positions: dict[int, Position], shard: int, shards: int, log: EventLog, *, topic_empty: bool) -> Position:
    """The shard's position, when the event log and the topics agree with it. Raises RefusedError."""
    position = positions.get(shard)
    counts = {other.shards for other in positions.values()}
    if counts - {shards}:
        raise RefusedError(
            f"the positions are those of {sorted(counts)} shards, this relay runs with {shards}; stop every relay, "
            f"then set WAGERLEDGER_RELAY_SHARDS={shards} and run `wagerledger relay recover`"
        )
    if position is None:
        raise RefusedError(
            f"shard {shard} has no position, although events were published; run `wagerledger relay recover`"
        )
    if position.epoch != (epoch := log.epoch()):
        raise RefusedError(
            f"the event log is another one than the position speaks of ({differences(position.epoch, epoch)}): "
            "after a failover or a restore run `wagerledger relay recover`"
        )
    if position.published:
        prove_hash(position, log)
    if topic_empty and any(other.published for other in positions.values()):
        raise RefusedError("events were published, but ledger.events is empty; run `wagerledger relay recover`")
    return position


def refuse_made_anew(topics: list[str]) -> None:
    """What was published before is not in them. Raises RefusedError."""
    if topics:
        raise RefusedError(
            f"made anew since events were published: {', '.join(topics)}, so that these are missing there; empty "
            "ledger.events and the topics of the event types, and run `wagerledger relay recover`, which publishes "
            "all again; it alone goes on without them"
        )


def prove_xids(log: EventLog) -> None:
    """Transactions to come must get larger ids than those in the log, else nobody reads them. Raises RefusedError."""
    if xid := log.xid_ahead():
        raise RefusedError(
            f"the event log holds transaction id {xid}, which this server has not reached: it was dumped and restored; "
            f"stop the server and move it on with pg_resetwal (--epoch, --next-transaction-id) past {xid}"
        )


def prove_hash(position: Position, log: EventLog) -> None:
    """The event at the cursor must be there, and be the one that was published. Raises RefusedError."""
    found = log.hash_at(position.cursor)
    if found == position.hash:
        return
    what = "is not in the event log" if found is None else f"has hash {found.hex()} in the event log"
    raise RefusedError(
        f"the last published event (xid {position.cursor.xid}, position {position.cursor.position}, "
        f"hash {position.hash.hex()}) {what}: the log was restored or changed; run `wagerledger relay recover`"
    )


def differences(was: Epoch, now: Epoch) -> str:
    pairs = zip(was.__dict__.items(), now.__dict__.values(), strict=True)
    return ", ".join(f"{name} was {before}, is {after}" for (name, before), after in pairs if before != after)


def batches(rows: list[Row], limit_bytes: int) -> Iterator[list[Row]]:
    """The rows of this shard, cut so that no batch of several rows is larger than the limit."""
    batch: list[Row] = []
    size_bytes = 0
    for row in rows:
        if row.body is None:
            continue
        if batch and size_bytes + len(row.body) > limit_bytes:
            yield batch
            batch, size_bytes = [], 0
        batch.append(row)
        size_bytes += len(row.body)
    if batch:
        yield batch


def after(position: Position, batch: list[Row]) -> Position:
    """The position once the batch is published."""
    if not batch:
        return position
    last = batch[-1]
    return replace(position, cursor=last.cursor, hash=last.hash, published=position.published + len(batch))


def count(batch: list[Row], refusals: list[Refusal]) -> None:
    metrics.BATCH_SIZE.observe(len(batch))
    metrics.REFUSALS.inc(len(refusals))
    for event_type, events in Counter(row.event_type for row in batch).items():
        metrics.EVENTS.labels(event_type).inc(events)


def note_standby(reason: str) -> None:
    logger.info("relay_waits", reason=reason)


def note_retry(error: Exception, pause_s: float) -> None:
    metrics.RESTARTS.labels(type(error).__name__).inc()
    logger.warning("relay_retries", error=type(error).__name__, reason=str(error), after_s=pause_s)


def refuse(reason: str) -> int:
    logger.error("relay_refused", reason=reason)
    return REFUSED
