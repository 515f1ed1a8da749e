"""How fast one relay publishes the event log, both faces, beside a bare producer of the same bytes; and how soon a
consumer has an event at a steady rate.

The bare producer sends what the relay sends (keys, headers, both values, the position) in Kafka transactions of the
same size, out of memory: what is between the two figures is the price of reading the log and building the records.
"""

import json
import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import structlog
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import REGISTRY
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.cpu import postgres_cpu_s, process_cpu_s
from bench.project import usual_mix
from ledger.relay_position import START, Position
from ledger.store import event_log, migrate
from ledger.streams import Recorded, record_key
from outbox_relay.log import EventLog
from outbox_relay.metrics import EVENTS
from outbox_relay.producer import Headers, configuration, headers_of
from outbox_relay.relay import Relay, after
from runtime import arrays
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from sandbox.servers.postgres import Postgres
from sandbox.servers.service import Service
from sandbox.servers.stack import Stack
from schemas import registry, topics
from schemas.registry import WireIds
from schemas.topics import Topics

GOAL_EVENTS_PER_S = 15_000
GOAL_P99_MS = 300
STEADY_EVENTS_PER_S, STEADY_S, TICK_S = 2_000, 15.0, 0.01
WARM_UP_S = 2.0
BARE, RELAY = "bare.", ""
"""Topic prefixes: each has topics of its own."""
POLL_S = 0.05

Figures = dict[str, Any]
Record = tuple[str, bytes, str, Headers]
"""Topic, value, key, headers."""


def run(*, events: int, as_json: bool) -> None:
    """Fill the log of a fresh stack with `events` events, publish them both ways, then publish at a steady rate."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder,
        Stack(Path(folder)) as stack,
        _progress() as bar,
    ):
        migrate.upgrade(stack.ledger_database.url)
        for prefix in (BARE, RELAY):
            _prepare(_settings(stack, prefix))
        source = usual_mix(events)
        kinds = fill(stack.ledger_database.url, islice(source, events), events, bar)
        figures: Figures = {"events": events, "event_types": kinds}
        figures |= bare(_settings(stack, BARE))
        figures |= relay(_settings(stack, RELAY), stack.ledger_database, events)
        figures["ratio"] = round(figures["relay_events_per_s"] / figures["bare_events_per_s"], 2)
        later = list(islice(source, int(STEADY_EVENTS_PER_S * STEADY_S)))
        figures |= steady(stack, _settings(stack, RELAY), later)
    if as_json:
        print(json.dumps(figures))
    else:
        Console(highlight=False).print(_text(figures))


def fill(url: str, source: Iterator[Recorded], events: int, bar: Progress) -> dict[str, int]:
    """Put the events into the log; gives how many of each type."""
    kinds: Counter[str] = Counter()
    task = bar.add_task("filling the log", total=events)
    with psycopg.connect(url) as connection:
        while batch := list(islice(source, 2000)):
            _append(connection, batch)
            kinds.update(event.event_type for event in batch)
            bar.advance(task, len(batch))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    return dict(kinds)


def bare(settings: Settings) -> Figures:
    """A producer that has everything in memory already. Its first transaction does not count: it opens connections."""
    transactions = prepared(settings)
    producer = Producer(configuration(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix), 0))
    producer.init_transactions(30)
    send(producer, transactions[0])
    started, started_cpu_s = time.perf_counter(), time.process_time()
    for transaction in transactions[1:]:
        send(producer, transaction)
    events = sum(map(len, transactions[1:])) // 2
    return _speed("bare", events, time.perf_counter() - started, time.process_time() - started_cpu_s)


def prepared(settings: Settings) -> list[list[Record]]:
    """Kafka transactions with all that the relay sends, made before the clock runs."""
    names = Topics(settings.topic_prefix)
    with (
        EventLog(settings.database_url.get_secret_value(), 0, 1) as log,
        registry.connect(settings.schema_registry_url.get_secret_value()) as client,
    ):
        wire_ids, position, transactions = WireIds(client, names), Position.start(log.epoch(), 1), []
        rows = log.read_all(START, settings.relay_batch_rows)
        while batch := list(islice(rows, settings.relay_batch_rows)):
            records: list[Record] = []
            for row in batch:
                prefixes, headers = wire_ids.of(row.schema_fingerprint), headers_of(row)
                key = record_key(row.tenant_id, row.stream_type, row.stream_id)
                records.append((names.events, prefixes.events + (row.body or b""), key, headers))
                records.append((names.of_type(row.event_type), prefixes.of_type + (row.body or b""), key, headers))
            position = after(position, batch)
            records.append((names.relay_position, position.to_json(), "0", []))
            transactions.append(records)
    return transactions


def send(producer: Producer, records: list[Record]) -> None:
    producer.begin_transaction()
    for topic, value, key, headers in records:
        producer.produce(topic, value, key, headers=headers)
    producer.commit_transaction(30)


def relay(settings: Settings, postgres: Postgres, events: int) -> Figures:
    """The whole relay, in this process, from when it has its position to the last event."""
    stop, worker = threading.Event(), Relay(settings)
    thread = threading.Thread(target=worker.run, args=[stop])
    postgres_before_s = postgres_cpu_s(postgres)
    thread.start()
    while not REGISTRY.get_sample_value("wagerledger_relay_publishing"):
        time.sleep(POLL_S)
    started, started_cpu_s = time.perf_counter(), time.process_time()
    while _published() < events:
        time.sleep(POLL_S)
    elapsed_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu_s
    spent_s = postgres_cpu_s(postgres) - postgres_before_s
    stop.set()
    thread.join()
    return _speed("relay", events, elapsed_s, cpu_s) | {"postgres_cpu_us_per_event": round(1e6 * spent_s / events, 1)}


def steady(stack: Stack, settings: Settings, events: Sequence[Recorded]) -> Figures:
    """From the commit of an event to the moment when a consumer of `ledger.events` has it, at a steady rate.

    The relay runs in a process of its own, as it does in production; journal-like transactions come every few ms.
    """
    relay = Service("relay", stack.root, ["relay"], lambda: _environment(settings))
    stack.add(relay)
    received: dict[str, float] = {}
    reader = threading.Thread(target=receive, args=[settings, len(events), received])
    reader.start()
    time.sleep(WARM_UP_S)
    cpu_s = process_cpu_s(relay.pid)
    committed = write_steadily(settings, events)
    reader.join()
    cpu_s = process_cpu_s(relay.pid) - cpu_s
    latencies_ms = sorted(1000 * (received[event_id] - at) for event_id, at in committed.items())
    percentiles = {f"p{p}_ms": round(latencies_ms[len(latencies_ms) * p // 100], 1) for p in (50, 95, 99)}
    return {
        "steady_events_per_s": STEADY_EVENTS_PER_S,
        **percentiles,
        "steady_relay_cpu_percent": round(100 * cpu_s / STEADY_S, 1),
    }


def write_steadily(settings: Settings, events: Sequence[Recorded]) -> dict[str, float]:
    """Commit the events at the steady rate; gives the time of each one's commit."""
    committed: dict[str, float] = {}
    per_tick = round(STEADY_EVENTS_PER_S * TICK_S)
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        begun = time.perf_counter()
        for tick, start in enumerate(range(0, len(events), per_tick)):
            time.sleep(max(0.0, begun + tick * TICK_S - time.perf_counter()))
            batch = events[start : start + per_tick]
            _append(connection, batch)
            committed |= dict.fromkeys((event.event_id for event in batch), time.perf_counter())
    return committed


def receive(settings: Settings, count: int, received: dict[str, float]) -> None:
    """Note when each of the next `count` events comes."""
    topic = Topics(settings.topic_prefix).events
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    spans = TopicsReader(settings.kafka_bootstrap_servers).spans([topic])
    consumer.assign([TopicPartition(*at, span.end) for at, span in spans.items()])
    deadline = time.monotonic() + STEADY_S + 60
    while len(received) < count and time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            event_id = dict(message.headers() or [])["ce_id"]
            assert isinstance(event_id, bytes)
            received[event_id.decode()] = time.perf_counter()
    consumer.close()


def _append(connection: psycopg.Connection, events: Sequence[Recorded]) -> None:
    arrays.register(connection)
    statement = event_log.append(events)
    connection.execute(statement.sql, statement.params)
    connection.commit()


def _prepare(settings: Settings) -> None:
    names = Topics(settings.topic_prefix)
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=settings.topic_partitions, replication=1)
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        registry.register(client, names)


def _settings(stack: Stack, prefix: str) -> Settings:
    return Settings(
        database_url=SecretStr(stack.ledger_database.url),
        kafka_bootstrap_servers=stack.kafka.bootstrap_servers,
        schema_registry_url=SecretStr(stack.registry.url),
        topic_prefix=prefix,
    )


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "WAGERLEDGER_SCHEMA_REGISTRY_URL": settings.schema_registry_url.get_secret_value(),
        "WAGERLEDGER_TOPIC_PREFIX": settings.topic_prefix,
    }


def _published() -> float:
    samples = [sample for metric in EVENTS.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def _speed(who: str, events: int, elapsed_s: float, cpu_s: float) -> Figures:
    return {
        f"{who}_events_per_s": round(events / elapsed_s),
        f"{who}_cpu_us_per_event": round(1e6 * cpu_s / events, 1),
    }


def _text(figures: Figures) -> Table:
    grid = Table("relay", "")
    for name, value in (
        ("events, of types", f"{figures['events']:,}, {len(figures['event_types'])}"),
        ("published to both topics", f"{figures['relay_events_per_s']:,}/s (goal {GOAL_EVENTS_PER_S:,}/s)"),
        ("a bare producer of the same bytes", f"{figures['bare_events_per_s']:,}/s"),
        ("ratio", f"{figures['ratio']}"),
        ("CPU of the relay", f"{figures['relay_cpu_us_per_event']} µs per event"),
        ("CPU of the bare producer", f"{figures['bare_cpu_us_per_event']} µs per event"),
        ("CPU of PostgreSQL", f"{figures['postgres_cpu_us_per_event']} µs per event"),
        (
            f"commit to consumer at {figures['steady_events_per_s']:,}/s",
            f"p50 {figures['p50_ms']}, p95 {figures['p95_ms']}, p99 {figures['p99_ms']} ms (goal {GOAL_P99_MS} ms)",
        ),
        ("CPU of the relay at that rate", f"{figures['steady_relay_cpu_percent']} % of one core"),
    ):
        grid.add_row(name, value)
    return grid


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)
