"""How soon after its commit an event can be queried, at a steady rate: through the real relay, Kafka and the real
projector, into all read models.
"""

import json
import logging
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import structlog
from pydantic import SecretStr
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.cpu import process_cpu_s
from bench.project import EVENTS_TO_OPEN, TENANT, usual_mix
from bench.relay import STEADY_EVENTS_PER_S, fill, write_steadily
from ledger.store import migrate
from ledger.streams import Recorded
from projector.models import folded
from runtime.settings import PREFIX, Settings
from sandbox.servers.service import Service
from sandbox.servers.stack import Stack
from schemas import registry, topics
from schemas.topics import Topics

GOAL_P99_MS = 200
PLAYERS = 2_000
ONE_IN = 20
"""One in this many events is looked for in the read models."""
WINDOW = 200
POLL_S = 0.005
DEADLINE_S = 120.0

# The wallet's row names the last event that moved it; all models of an event are committed together.
SEEN = """
select player_id, as_of_version from bi.balances where tenant_id = %s and currency = 'EUR' and player_id = any(%s)
"""


def run(*, seconds: int, as_json: bool) -> None:
    """Start everything, write for `seconds`, and print when the rows were there."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder,
        Stack(Path(folder)) as stack,
    ):
        settings = _prepared(stack)
        opening = PLAYERS * EVENTS_TO_OPEN
        source = usual_mix(10 * opening)
        fill(stack.ledger_database.url, islice(source, opening), opening, Progress(disable=True))
        services = [Service(name, stack.root, [name], lambda: _environment(settings)) for name in ("relay", "project")]
        stack.add(*services)
        _wait(settings, opening)
        before_s = [process_cpu_s(service.pid) for service in services]
        figures = steady(settings, list(islice(source, STEADY_EVENTS_PER_S * seconds)))
        for service, begun_s in zip(services, before_s, strict=True):
            figures[f"{service.name}_cpu_percent"] = round(100 * (process_cpu_s(service.pid) - begun_s) / seconds, 1)
    if as_json:
        print(json.dumps(figures))
    else:
        Console(highlight=False).print(_table(figures))


def steady(settings: Settings, events: Sequence[Recorded]) -> dict[str, Any]:
    """Write at the steady rate, and note when the row of each sampled event is there."""
    sampled = events[::ONE_IN]
    seen: dict[str, float] = {}
    watch = threading.Thread(target=look, args=[settings, sampled, seen])
    watch.start()
    committed = write_steadily(settings, events)
    watch.join()
    assert len(seen) == len(sampled), (
        f"{len(sampled) - len(seen)} of {len(sampled)} events had no row in {DEADLINE_S} s"
    )
    return _percentiles(committed, seen)


def look(settings: Settings, sampled: Sequence[Recorded], seen: dict[str, float]) -> None:
    """Ask the view again and again for the rows of the oldest events that were not there yet."""
    waiting = list(sampled)
    deadline = time.monotonic() + DEADLINE_S
    with psycopg.connect(settings.bi_database_url.get_secret_value(), autocommit=True) as connection:
        while waiting and time.monotonic() < deadline:
            window = waiting[:WINDOW]
            players = list({event.stream.stream_id for event in window})
            versions: dict[str, int] = dict(connection.execute(SEEN, [TENANT, players]).fetchall())
            now = time.perf_counter()
            for event in window:
                if versions.get(event.stream.stream_id, 0) >= event.version:
                    seen[event.event_id] = now
            waiting = [event for event in window if event.event_id not in seen] + waiting[WINDOW:]
            time.sleep(POLL_S)


def _percentiles(committed: Mapping[str, float], seen: Mapping[str, float]) -> dict[str, Any]:
    latencies_ms = sorted(1000 * (at - committed[event_id]) for event_id, at in seen.items())
    percentiles = {f"p{p}_ms": round(latencies_ms[len(latencies_ms) * p // 100], 1) for p in (50, 95, 99)}
    return {
        "events_per_s": STEADY_EVENTS_PER_S, "events": len(committed), "looked_for": len(seen), **percentiles,
        "max_ms": round(latencies_ms[-1], 1), "goal_p99_ms": GOAL_P99_MS,
    }  # fmt: skip


def _prepared(stack: Stack) -> Settings:
    migrate.upgrade(stack.ledger_database.url)
    settings = Settings(
        database_url=SecretStr(stack.ledger_database.url),
        bi_database_url=SecretStr(stack.bi_database.url),
        kafka_bootstrap_servers=stack.kafka.bootstrap_servers,
        schema_registry_url=SecretStr(stack.registry.url),
    )
    names = Topics(settings.topic_prefix)
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=settings.topic_partitions, replication=1)
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        registry.register(client, names)
    return settings


def _environment(settings: Settings) -> dict[str, str]:
    return {
        f"{PREFIX}DATABASE_URL": settings.database_url.get_secret_value(),
        f"{PREFIX}BI_DATABASE_URL": settings.bi_database_url.get_secret_value(),
        f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        f"{PREFIX}SCHEMA_REGISTRY_URL": settings.schema_registry_url.get_secret_value(),
    }


def _wait(settings: Settings, events: int) -> None:
    """Until the projector has what was written before."""
    deadline = time.monotonic() + DEADLINE_S
    with psycopg.connect(settings.bi_database_url.get_secret_value(), autocommit=True) as connection:
        while time.monotonic() < deadline:
            if folded(connection) == events:
                return
            time.sleep(0.1)
    raise TimeoutError(f"{events} events were not projected in {DEADLINE_S} s")


def _table(figures: dict[str, Any]) -> Table:
    grid = Table("freshness", "")
    grid.add_row("events", f"{figures['events']:,} at {figures['events_per_s']:,}/s; 1 in {ONE_IN} looked for")
    goal = f"(goal p99 {figures['goal_p99_ms']} ms)"
    percentiles = f"p50 {figures['p50_ms']}, p95 {figures['p95_ms']}, p99 {figures['p99_ms']} ms {goal}"
    grid.add_row("commit to queryable row, all models", f"{percentiles}, max {figures['max_ms']} ms")
    for name in ("relay", "project"):
        grid.add_row(f"CPU of {name}", f"{figures[f'{name}_cpu_percent']} % of one core")
    return grid
