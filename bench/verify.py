"""How fast `audit verify` checks a ledger that its own rule book filled: events per second, and time per event."""

import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from uuid_utils import uuid7

from bench.cpu import postgres_cpu_s
from ledger.audit.verify import verify
from ledger.batch import Batch
from ledger.callback import Callback
from ledger.core.commands import (
    AuthorizeBet,
    Command,
    Deposit,
    OpenWallet,
    Origin,
    RollbackBet,
    SettleBet,
    StartSession,
)
from ledger.core.money import Amount
from ledger.core.state import Currency, Entity, State
from ledger.recording import player_stream
from ledger.settings import Settings
from ledger.store import arrays, migrate
from ledger.transaction import writes
from sandbox.postgres import Postgres
from schemas.events import BY_FINGERPRINT

GOAL_EVENTS_PER_S = 40_000
SETTLED_S = 0.5
"""By then PostgreSQL has counted the time of its ended processes."""
EVENTS_PER_PLAYER = 100
PLAYERS_PER_TRANSACTION = 20
TENANT, CURRENCY = "bench", Currency("bench", "EUR", 2)

SAMPLE = "select schema_fingerprint, body from wagerledger.event_log limit 20000"


def run(*, events: int, as_json: bool) -> None:
    """Fill a fresh PostgreSQL with about `events` events, verify it, and print the figures."""
    with (
        tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder,
        _progress() as bar,
    ):
        postgres = Postgres("postgres", Path(folder), database="wagerledger")
        postgres.start()
        try:
            migrate.upgrade(postgres.url)
            with psycopg.connect(postgres.url) as connection:
                fill(connection, events, bar)
            figures = measure(postgres, bar)
        finally:
            postgres.stop()
    if as_json:
        print(json.dumps(figures))
    else:
        Console(highlight=False).print(_text(figures))


def measure(postgres: Postgres, bar: Progress) -> dict[str, Any]:
    """Verify the database. The auditor works in this one thread, PostgreSQL beside it in its own processes.

    The yardstick is the least that any auditor must do here: decode each event's bytes once with fastavro.
    """
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        bodies = connection.execute(SAMPLE, binary=True).fetchall()
    decode_us = min(_decode_us(bodies) for _ in range(3))
    task = bar.add_task("verifying", total=None)
    time.sleep(SETTLED_S)
    server_s, own_s = postgres_cpu_s(postgres), time.process_time()
    report = verify(
        Settings(database_url=SecretStr(postgres.url)),
        topics=False,
        progress=lambda _, done, total: bar.update(task, completed=done, total=total),
    )
    own_s = time.process_time() - own_s
    time.sleep(SETTLED_S)
    server_s = postgres_cpu_s(postgres) - server_s
    assert report.ok, report.text()
    events = report.checked["database.events"]
    return {
        "events": events,
        "bytes_per_event": round(sum(len(body) for _, body in bodies) / len(bodies)),
        "events_per_s": round(events / report.elapsed_s),
        "goal_events_per_s": GOAL_EVENTS_PER_S,
        "elapsed_s": round(report.elapsed_s, 2),
        "auditor_us_per_event": round(own_s / events * 1e6, 1),
        "server_us_per_event": round(server_s / events * 1e6, 1),
        "decode_alone_us_per_event": round(decode_us, 1),
        "times_decode_alone": round(own_s / events * 1e6 / decode_us, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _decode_us(bodies: Sequence[tuple[bytes, bytes]]) -> float:
    started = time.process_time()
    for fingerprint, body in bodies:
        BY_FINGERPRINT[fingerprint].decode(body)
    return (time.process_time() - started) / len(bodies) * 1e6


def fill(connection: Connection, events: int, bar: Progress) -> None:
    """Let the rule book decide the rounds of as many players as it takes, and store them as the journal does."""
    arrays.register(connection)
    task = bar.add_task("filling", total=events)
    players = max(1, events // EVENTS_PER_PLAYER)
    known: tuple[Entity, ...] = ()
    for first in range(0, players, PLAYERS_PER_TRANSACTION):
        batch = _decided(range(first, min(first + PLAYERS_PER_TRANSACTION, players)), known)
        _store(connection, batch)
        known = (CURRENCY,)
        bar.advance(task, len(batch.events))


def _decided(players: range, known: tuple[Entity, ...]) -> Batch:
    loaded = State()
    loaded.put(*known)
    locked = {player_stream(TENANT, f"player-{n:07}") for n in players}
    batch = Batch(locked, loaded, {}, {}, time.time_ns() // 1000)
    # Players take turns, as they do in life: the rows of a stream lie apart.
    for turn in zip(*(_callbacks(f"player-{n:07}", batch) for n in players), strict=True):
        for commands in turn:
            outcomes = batch.decide(Callback(commands))
            assert not outcomes[-1].refusal_code, outcomes[-1]
    return batch


def _callbacks(player_id: str, batch: Batch) -> Iterator[tuple[Command, ...]]:
    """A wallet, a session, and rounds: of ten bets nine are settled, four with a win, and one is rolled back in its own
    callback, because a rollback in one of its own waits for the batch after its bet's.
    """

    def origin(key: str) -> Origin:
        trace_id = uuid7().hex
        return Origin(
            TENANT,
            "EU",
            "bench-eu",
            "provider",
            "api",
            f"{player_id}:{key}",
            trace_id,
            provider_transaction_id=trace_id[:12],
        )

    def own(key: str) -> Origin:
        return Origin(TENANT, "EU", None, None, "wallet", f"{player_id}:{key}", uuid7().hex)

    yield (OpenWallet(own("open"), str(uuid7()), batch.now, player_id, "EUR", 2),)
    yield (Deposit(own("deposit"), str(uuid7()), batch.now, player_id, "EUR", Amount(1000, 0), "ref-1", "cashier"),)
    session = StartSession(
        origin("session"),
        str(uuid7()),
        batch.now,
        player_id,
        "EUR",
        "book-of-sums",
        "en",
        "real",
        batch.now + 3600 * 10**6,
    )
    yield (session,)
    for n in range((EVENTS_PER_PLAYER - 3) // 2):
        bet_id, round_id = f"{player_id}-b{n}", f"{player_id}-r{n}"
        staked = (session.named("s"), bet_id, round_id, Amount(1, 0), "EUR")
        bet = AuthorizeBet(origin(f"b{n}"), str(uuid7()), batch.now, *staked)
        if n % 10:
            yield (bet,)
            win = Amount(2 if n % 10 < 5 else 0, 0)
            yield (SettleBet(origin(f"s{n}"), str(uuid7()), batch.now, bet_id, round_id, win, "EUR"),)
        else:
            yield bet, RollbackBet(origin(f"r{n}"), str(uuid7()), batch.now, bet_id, round_id, "cancelled")


def _store(connection: Connection, batch: Batch) -> None:
    with connection.transaction():
        for statement in writes(batch):
            connection.execute(statement.sql, statement.params)


def _text(figures: dict[str, Any]) -> str:
    return (
        f"{figures['events']:,} events of {figures['bytes_per_event']} bytes verified in {figures['elapsed_s']} s: "
        f"{figures['events_per_s']:,} events/s (goal {figures['goal_events_per_s']:,})\n"
        f"CPU per event: auditor {figures['auditor_us_per_event']} µs in one thread, "
        f"PostgreSQL {figures['server_us_per_event']} µs; "
        f"decoding alone {figures['decode_alone_us_per_event']} µs, so the audit is "
        f"{figures['times_decode_alone']} times a decode\n"
        f"peak memory {figures['peak_memory_mb']} MB"
    )


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)
