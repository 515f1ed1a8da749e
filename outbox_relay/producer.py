"""Kafka transactions: the events in both of their topics, refusals and the position, all or nothing."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ledger.relay_position import TOPICS_KEY, Position, TopicIds
from ledger.streams import record_key
from outbox_relay import metrics
from outbox_relay.log import Row
from outbox_relay.refusals import Refusal
from schemas.dual_write import notices
from schemas.events import EVENTS, REFUSAL, VARIANTS
from schemas.registry import WireIds
from schemas.topics import Topics

TIMEOUT_S = 10.0
TRANSACTION_TIMEOUT_MS = 30_000

FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})  # noqa: SLF001, its name

Header = tuple[str, str | bytes | None]
Headers = list[Header]
CONSTANT: tuple[Header, ...] = (("ce_specversion", b"1.0"), ("content-type", b"application/avro"))
NOTICES: dict[str, tuple[Header, ...]] = {name: notices(schema) for name, schema in (EVENTS | VARIANTS).items()}
"""What the records of a type topic say of its end, by event type."""


class FencedError(Exception):
    """Another relay has taken this shard over."""


class Publisher:
    """One shard's transactional producer. After any KafkaException it is of no further use: close it and open another.

    That is the safe answer to every error: nobody knows what became of a commit that timed out, but the next producer's
    `open` ends it either way, and then the position says which way.
    """

    def __init__(self, bootstrap_servers: str, topics: Topics, wire_ids: WireIds, shard: int) -> None:
        self._topics = topics
        self._wire_ids = wire_ids
        self._shard = shard
        self._failures: list[KafkaError] = []
        # No method of ours: that cycle would keep a closed producer and its threads alive.
        reports = {"delivery.report.only.error": True, "on_delivery": _note_in(self._failures)}
        self._producer = Producer(configuration(bootstrap_servers, topics, shard) | reports)

    def open(self) -> None:
        """Fence every earlier producer of this shard and end its transaction. Raises KafkaException (retryable)."""
        self._producer.init_transactions(TIMEOUT_S)

    def publish(self, rows: Sequence[Row], position: Position | None, refusals: Sequence[Refusal] = ()) -> None:
        """Publish events, refusals and the position that they lead to (None leaves it as it is) in one Kafka
        transaction.

        Raises FencedError; KafkaException, RegistryUnavailableError, SchemaMismatchError (retryable, a new producer).
        """
        fingerprints = {row.schema_fingerprint for row in rows}
        prefixes = {fingerprint: self._wire_ids.of(fingerprint) for fingerprint in fingerprints}
        for fingerprint in {row.second_fingerprint for row in rows if row.second_fingerprint}:
            self._wire_ids.of_variant(fingerprint)  # while no Kafka transaction is open
        refusals_prefix = self._wire_ids.of_refusals() if refusals else b""
        with self._transaction():
            for row in rows:
                self._produce(row, *prefixes[row.schema_fingerprint])
            for refusal in refusals:
                self._produce_refusal(refusal, refusals_prefix)
            if position is not None:
                self._write_position(self._shard, position)

    def write_positions(self, positions: Mapping[int, Position | None], topics: TopicIds | None = None) -> None:
        """Write the positions of shards (None forgets one), and the `topics` that they speak of, in one Kafka
        transaction. Raises as `publish` does.
        """
        with self._transaction():
            for shard, position in positions.items():
                self._write_position(shard, position)
            if topics is not None:
                self._producer.produce(self._topics.relay_position, topics.to_json(), TOPICS_KEY)

    def write_topic_ids(self, topics: TopicIds) -> None:
        """Write the ids of the topics that the relay publishes to, durably. Raises as `publish` does."""
        self.write_positions({}, topics)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """A Kafka transaction, committed at its end. Raises FencedError or KafkaException."""
        try:
            self._producer.begin_transaction()
            yield
            self._commit()
        except KafkaException as error:
            raise fenced_or(self._cause(error)) from error

    def _produce(self, row: Row, events_prefix: bytes, of_type_prefix: bytes) -> None:
        body, headers = row.body, headers_of(row)
        key = record_key(row.tenant_id, row.stream_type, row.stream_id)
        assert body is not None, f"event {row.event_id} belongs to another shard"
        self._producer.produce(self._topics.events, events_prefix + body, key, headers=headers)
        headers_of_type = [*headers, *NOTICES.get(row.event_type, ())]
        self._producer.produce(
            self._topics.of_type(row.event_type), of_type_prefix + body, key, headers=headers_of_type
        )
        if row.second_fingerprint is not None:
            self._produce_variant(row, row.second_fingerprint, key)

    def _produce_variant(self, row: Row, fingerprint: bytes, key: str) -> None:
        variant, body = self._wire_ids.of_variant(fingerprint), row.second_form
        assert body is not None, f"event {row.event_id} names a form without its bytes"
        headers = [*headers_of(row._replace(event_type=variant.event_type)), *NOTICES.get(variant.event_type, ())]
        self._producer.produce(variant.topic, variant.prefix + body, key, headers=headers)

    def _produce_refusal(self, refusal: Refusal, prefix: bytes) -> None:
        headers = headers_of_refusal(refusal)
        self._producer.produce(self._topics.refusals, prefix + refusal.body, refusal.key, headers=headers)

    def _write_position(self, shard: int, position: Position | None) -> None:
        value = None if position is None else position.to_json()
        self._producer.produce(self._topics.relay_position, value, str(shard))

    def _commit(self) -> None:
        started = time.monotonic()
        self._producer.commit_transaction(TIMEOUT_S)
        metrics.COMMIT_SECONDS.observe(time.monotonic() - started)
        if self._failures:  # a commit without its records cannot be; if it could, nothing after it may be trusted
            raise KafkaException(self._failures[0])

    def _cause(self, error: KafkaException) -> KafkaException:
        """The reason of an error: of a producer that is lost, `produce` says no more than that it is lost."""
        if error.args[0].code() != KafkaError._FATAL:  # noqa: SLF001, its name
            return error
        try:
            self._producer.begin_transaction()
        except KafkaException as cause:
            return cause
        return error

    def close(self) -> None:
        self._producer.purge(blocking=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _note_in(failures: list[KafkaError]) -> Callable[[KafkaError | None, Message], None]:
    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    return note


def configuration(bootstrap_servers: str, topics: Topics, shard: int) -> dict[str, Any]:
    """No loss, no reordering; murmur2 as every other client partitions."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "transactional.id": transactional_id(topics, shard),
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 5,
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 1_000_000,
    }


def transactional_id(topics: Topics, shard: int) -> str:
    return f"wagerledger-relay-{topics.prefix}{shard}"


def headers_of(row: Row) -> Headers:
    """CloudEvents attributes and the trace of the callback."""
    headers = cloud_event(row.event_id, row.event_type, row.tenant_id, row.recorded_at, row.trace_id)
    if row.traceparent:
        headers.append(("traceparent", row.traceparent))
    return headers


def headers_of_refusal(refusal: Refusal) -> Headers:
    return cloud_event(refusal.command_id, REFUSAL.event_type, refusal.tenant_id, refusal.refused_at, refusal.trace_id)


def cloud_event(own_id: str, kind: str, tenant_id: str, moment: datetime, trace_id: str) -> Headers:
    """CloudEvents attributes in binary content mode."""
    return [
        *CONSTANT,
        ("ce_id", own_id),
        ("ce_type", kind),
        ("ce_source", f"/wagerledger/{tenant_id}"),
        ("ce_time", moment.isoformat()),
        ("X-Trace-Id", trace_id),
    ]


def fenced_or(error: KafkaException) -> Exception:
    """A Kafka error as it is, or FencedError where it means that another producer took over."""
    cause = error.args[0]
    if isinstance(cause, KafkaError) and cause.code() in FENCED:
        return FencedError(
            "another relay took this shard over, or a Kafka transaction was open for longer than "
            f"{TRANSACTION_TIMEOUT_MS} ms ({cause.str()}); nothing is lost, whoever has the shard goes on"
        )
    return error
