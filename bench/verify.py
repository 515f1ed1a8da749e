"""How fast `audit verify` checks what the rule book decided: a database, the topics, an archive. Each is checked by the
command itself, in processes of its own, and what these need is watched from here.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg
from confluent_kafka import Producer
from psycopg import Connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench import archive
from bench.history import CURRENCY, decided
from ledger.core.state import Entity
from ledger.entry import EVENT
from ledger.journal.batch import Batch
from ledger.journal.transaction import writes
from ledger.store import migrate
from runtime import arrays
from sandbox.servers.postgres import Postgres
from sandbox.servers.stack import Stack
from schemas import registry, topics
from schemas.events import BY_FINGERPRINT
from schemas.registry import WireIds
from schemas.topics import Topics

DATABASE, TOPICS, ARCHIVE = SOURCES = "database", "topics", "archive"
GOALS_EVENTS_PER_S = {DATABASE: 70_000, TOPICS: 60_000, ARCHIVE: 100_000}
PLAYERS_PER_TRANSACTION = 20
PARTITIONS = 6
WATCHED_EVERY_S = 0.1

Figures = dict[str, Any]


def run(*, events: int, sources: Sequence[str], events_per_player: int, as_json: bool) -> None:
    """Fill each source afresh with about `events` events, verify it, and print the figures."""
    figures: Figures = {"decode": _decode()}
    with _progress() as bar:
        for source in sources:
            with tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder:
                figures[source] = _MEASURES[source](Path(folder), events, events_per_player, bar)
    if as_json:
        print(json.dumps(figures))
    else:
        Console(highlight=False).print(_table(figures))


def _database(folder: Path, events: int, events_per_player: int, bar: Progress) -> Figures:
    postgres = Postgres("postgres", folder, database="wagerledger")
    postgres.start()
    try:
        migrate.upgrade(postgres.url)
        with psycopg.connect(postgres.url) as connection:
            fill(connection, events, events_per_player, bar)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        return _watched(DATABASE, ["verify", "--no-topics"], {"WAGERLEDGER_DATABASE_URL": postgres.url})
    finally:
        postgres.stop()


def fill(connection: Connection, events: int, events_per_player: int, bar: Progress) -> None:
    """Let the rule book decide the rounds of as many players as it takes, and store them as the journal does."""
    arrays.register(connection)
    task = bar.add_task("filling the database", total=events)
    players = max(1, events // events_per_player)
    known: tuple[Entity, ...] = ()
    for first in range(0, players, PLAYERS_PER_TRANSACTION):
        batch = decided(range(first, min(first + PLAYERS_PER_TRANSACTION, players)), events_per_player, known)
        _store(connection, batch)
        known = (CURRENCY,)
        bar.advance(task, len(batch.events))


def _store(connection: Connection, batch: Batch) -> None:
    with connection.transaction():
        for statement in writes(batch):
            connection.execute(statement.sql, statement.params)


def _topics(folder: Path, events: int, events_per_player: int, bar: Progress) -> Figures:
    with Stack(folder) as stack:
        servers, names = stack.kafka.bootstrap_servers, Topics()
        topics.apply(servers, names, partitions=PARTITIONS, replication=1)
        with registry.connect(stack.registry.url) as client:
            registry.register(client, names)
            _publish(Producer(_configuration(servers)), WireIds(client, names), names, (events, events_per_player), bar)
        environment = {
            "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS": servers,
            "WAGERLEDGER_SCHEMA_REGISTRY_URL": stack.registry.url,
        }
        return _watched(TOPICS, ["verify", "--no-database"], environment)


def _configuration(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "linger.ms": 50,
        "batch.size": 1_000_000,
    }


def _publish(producer: Producer, wire_ids: WireIds, names: Topics, size: tuple[int, int], bar: Progress) -> None:
    """Both faces of each event."""
    task = bar.add_task("filling the topics", total=size[0])
    kinds = {fingerprint: schema.event_type for fingerprint, schema in BY_FINGERPRINT.items()}
    players = {fingerprint: schema.picker("player_id") for fingerprint, schema in BY_FINGERPRINT.items()}
    entries = (entry for entry in archive.entries_of_play(*size) if entry.kind == EVENT)
    for n, entry in enumerate(entries):
        prefixes, key = wire_ids.of(entry.fingerprint), b"bench/%b" % players[entry.fingerprint](entry.body)[0]
        for topic, prefix in (
            (names.events, prefixes.events),
            (names.of_type(kinds[entry.fingerprint]), prefixes.of_type),
        ):
            while True:
                try:
                    producer.produce(topic, prefix + entry.body, key)
                    break
                except BufferError:
                    producer.poll(0.1)
        if n % 2000 == 0:
            producer.poll(0)
            bar.update(task, completed=n)
    left = producer.flush(60)
    assert not left, f"{left} records were not published"


def _archive(folder: Path, events: int, events_per_player: int, bar: Progress) -> Figures:
    task = bar.add_task("filling the archive", total=events)
    archive.write(folder, events, events_per_player, lambda done: bar.update(task, completed=done))
    return _watched(ARCHIVE, ["verify-archive", str(folder), "--unsigned"], {})


_MEASURES = {DATABASE: _database, TOPICS: _topics, ARCHIVE: _archive}


def _watched(source: str, command: list[str], environment: dict[str, str]) -> Figures:
    """Run the audit, and watch its processes."""
    peak_bytes, most, ended = 0, 0, threading.Event()
    before = os.times()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "audit", *command, "--json"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )

    def watch() -> None:
        nonlocal peak_bytes, most
        while not ended.wait(WATCHED_EVERY_S):
            sizes = _sizes(process.pid)
            peak_bytes, most = max(peak_bytes, sum(sizes)), max(most, len(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        said, _ = process.communicate()
    finally:
        ended.set()
        watcher.join()
    after = os.times()
    assert process.returncode == 0, said or "the audit failed; it says why above"
    report = json.loads(said)
    events = report["checked"][f"{source}.events"]
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "events": events,
        "events_per_s": round(events / report["elapsed_s"]),
        "goal_events_per_s": GOALS_EVENTS_PER_S[source],
        "elapsed_s": report["elapsed_s"],
        "cpu_us_per_event": round(cpu_s / events * 1e6, 1),
        "processes": most,
        "peak_memory_mb": round(peak_bytes / 2**20),
    }


def _sizes(pid: int) -> list[int]:
    """Resident bytes of a process and its children."""
    sizes = []
    try:
        for process in (root := psutil.Process(pid), *root.children(recursive=True)):
            sizes.append(process.memory_info().rss)
    except psutil.NoSuchProcess:
        pass  # just now
    return sizes


def _decode() -> Figures:
    """The yardstick: decode each event's bytes once, all of it."""
    bodies = [(event.schema_fingerprint, event.body) for event in decided(range(PLAYERS_PER_TRANSACTION), 100).events]
    best = min(_timed(bodies) for _ in range(3))
    return {"us": round(best, 1), "bytes": round(sum(len(body) for _, body in bodies) / len(bodies))}


def _timed(bodies: Sequence[tuple[bytes, bytes]]) -> float:
    started = time.process_time()
    for fingerprint, body in bodies:
        BY_FINGERPRINT[fingerprint].decode(body)
    return (time.process_time() - started) / len(bodies) * 1e6


def _table(figures: Figures) -> Table:
    decode = figures["decode"]
    title = f"events of {decode['bytes']} bytes; decoding one takes {decode['us']} µs"
    table = Table(title=title, title_justify="left")
    for column in ("source", "events", "events/s", "goal", "seconds", "CPU µs/event", "processes", "peak MB"):
        table.add_column(column, justify="right" if column != "source" else "left")
    for source in SOURCES:
        if source not in figures:
            continue
        of = figures[source]
        table.add_row(
            source,
            *(f"{of[name]:,}" for name in ("events", "events_per_s", "goal_events_per_s")),
            *(str(of[name]) for name in ("elapsed_s", "cpu_us_per_event", "processes", "peak_memory_mb")),
        )
    return table


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)
