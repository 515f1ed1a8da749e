"""How fast one projector folds `ledger.events`: into `balances` alone, and into all read models, beside a bare consumer
of the same topic.

Worst case on purpose: 10,000 players act at random, so that hardly two events of a batch share a row.
"""

import json
import logging
import random
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from confluent_kafka import Consumer, Producer, TopicPartition
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from uuid_utils import uuid7

from bench.cpu import postgres_cpu_s
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command, Origin
from ledger.core.decide import decide
from ledger.core.decision import Accepted
from ledger.core.evolve import evolve
from ledger.core.money import Amount
from ledger.core.players import StartSession
from ledger.core.policy import Policy
from ledger.core.rollbacks import Rollback
from ledger.core.state import State
from ledger.core.wallets import Deposit, OpenWallet
from ledger.core.wins import SettleBet
from ledger.journal.recording import record
from ledger.streams import Recorded, StreamHead, StreamKey, stream_of
from projector.consumer import GARBAGE_OBJECTS, Session, refold
from projector.metrics import STAGE_SECONDS
from projector.projection import Projection
from projector.projections import PROJECTIONS
from projector.projections.balances import BALANCES
from runtime import service
from runtime.settings import Settings
from sandbox.servers.stack import Stack
from schemas import registry, topics
from schemas.registry import WireIds
from schemas.topics import Topics

GOAL_EVENTS_PER_S = 30_000
"""Into `balances` alone, with one core."""
PLAYERS = 10_000
EVENTS_TO_OPEN = 3
SEED = 1
RELAY_BATCH = 2000
TENANT, INTEGRATION, PROVIDER = "bench", "bench-eu-studio", "studio"
DAY_US = 86_400 * 10**6


class AssignedSession(Session):
    """Notes when it has its partitions: joining the group is not what is measured."""

    assigned_at = assigned_cpu_s = 0.0

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        super()._assigned(consumer, partitions)
        STAGE_SECONDS.clear()
        self.assigned_at, self.assigned_cpu_s = time.perf_counter(), time.process_time()


def run(*, events: int, as_json: bool) -> None:
    """Fill the topic of a fresh stack with `events` events, fold them, and print the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder,
        Stack(Path(folder)) as stack,
    ):
        settings = Settings(
            bi_database_url=SecretStr(stack.bi_database.url),
            kafka_bootstrap_servers=stack.kafka.bootstrap_servers,
            schema_registry_url=SecretStr(stack.registry.url),
        )
        fill(settings, events)
        figures = {
            "events": events,
            "goal_events_per_s": GOAL_EVENTS_PER_S,
            "bare_consumer_per_s": round(bare_consumer(settings, events)),
            "balances": measure(settings, stack, events, [BALANCES]),
            "all_models": measure(settings, stack, events, PROJECTIONS),
        }
    if as_json:
        print(json.dumps(figures))
    else:
        Console(highlight=False).print(_table(figures))


def measure(settings: Settings, stack: Stack, events: int, projections: Collection[Projection]) -> dict[str, Any]:
    """Fold everything from the beginning with one projector, in this thread."""
    service.collect_garbage_seldom(GARBAGE_OBJECTS)
    refold(settings)
    with (
        registry.connect(settings.schema_registry_url.get_secret_value()) as client,
        AssignedSession(settings, client) as session,
    ):
        session.folder.projections = projections
        postgres_before_s = postgres_cpu_s(stack.bi_database)
        session.work(threading.Event(), until_caught_up=True)
        elapsed_s, cpu_s = time.perf_counter() - session.assigned_at, time.process_time() - session.assigned_cpu_s
        postgres_s = postgres_cpu_s(stack.bi_database) - postgres_before_s
        folded = session.connection.execute("select sum(version) from streams").fetchone()
    assert folded == (events,), f"{folded} of {events} events were folded"
    (stages,) = STAGE_SECONDS.collect()
    return {
        "events_per_s": round(events / elapsed_s),
        "events_per_core_s": round(events / cpu_s),
        "projector_cpu_us_per_event": round(cpu_s / events * 1e6, 1),
        "postgres_cpu_us_per_event": round(postgres_s / events * 1e6, 1),
        "stages_us_per_event": {
            sample.labels["stage"]: round(sample.value / events * 1e6, 1)
            for sample in stages.samples
            if sample.name.endswith("_total")
        },
    }


def bare_consumer(settings: Settings, events: int) -> float:
    """Events per second of a consumer that throws everything away: what the broker and the client can do at most."""
    topic = Topics(settings.topic_prefix).events
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "bare", "isolation.level": "read_committed"}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(settings.topic_partitions)])
    left = events - len(consumer.consume(1, timeout=60))
    begun = time.perf_counter()
    while left > 0:
        messages = consumer.consume(settings.projector_batch, timeout=0.05)
        left -= sum(message.error() is None for message in messages)
    elapsed_s = time.perf_counter() - begun
    consumer.close()
    return events / elapsed_s


def fill(settings: Settings, events: int) -> None:
    """Put the usual mix into the topic, in Kafka transactions as the relay makes them."""
    names = Topics(settings.topic_prefix)
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=settings.topic_partitions, replication=1)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": "bench",
            "compression.type": "lz4", "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 10 * RELAY_BATCH,
        }
    )  # fmt: skip
    producer.init_transactions(30)
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client, _progress() as bar:
        registry.register(client, names)
        wire_ids, task, source = (
            WireIds(client, names),
            bar.add_task("filling", total=events),
            islice(usual_mix(events), events),
        )
        while batch := list(islice(source, RELAY_BATCH)):
            producer.begin_transaction()
            for one in batch:
                producer.produce(
                    names.events,
                    key=f"{TENANT}/{one.stream.stream_id}",
                    value=wire_ids.of(one.schema_fingerprint).events + one.body,
                )
            producer.commit_transaction(30)
            bar.advance(task, len(batch))


def usual_mix(events: int) -> Iterator[Recorded]:
    """Endless play of many players in no order: of ten bets nine are settled, four with a win, one is rolled back."""
    play, sessions = _Play(), list[str]()
    for n in range(max(1, min(PLAYERS, events // (10 * EVENTS_TO_OPEN)))):
        who: dict[str, Any] = {"player": f"p_{n:06}", "currency": "EUR"}
        yield play.event(OpenWallet, **who, exponent=2)
        yield play.event(Deposit, **who, amount=Amount(10**6, 0), reference="r", actor="bench")
        yield play.event(
            StartSession, **who, game_id="book-of-sums", locale="en", mode="real", expires_at=play.now + DAY_US
        )
        sessions.append(play.result["session_id"])
    open_bets: dict[str, str] = {}
    while True:
        session_id = play.rng.choice(sessions)
        play.now += 50
        if bet_id := open_bets.pop(session_id, None):
            yield play.end(bet_id)
        else:
            bet_id = open_bets[session_id] = uuid7().hex
            yield play.event(AuthorizeBet, session_id=session_id, **_bet(bet_id), amount=Amount(1, 0), currency="EUR")


def _bet(bet_id: str) -> dict[str, str]:
    return {"bet_id": bet_id, "round_id": f"round-{bet_id}"}


class _Play:
    """Commands that the rules accept, one after the other, each with the one event that it makes."""

    def __init__(self) -> None:
        self.rng = random.Random(SEED)
        self.now = time.time_ns() // 1000
        self.result: dict[str, str] = {}
        """The ids that the last command made."""
        self._state, self._heads = State(), dict[StreamKey, StreamHead]()

    def event(self, kind: type[Command], **fields: Any) -> Recorded:
        command_id = str(uuid7())
        origin = Origin(TENANT, "eu", INTEGRATION, PROVIDER, "bench", command_id, command_id.replace("-", ""))
        decision = decide(self._state, kind(origin, command_id, self.now, **fields), Policy(), self.now)
        assert isinstance(decision, Accepted), decision
        (event,) = decision.events
        self._state.put(*evolve(self._state, event))
        one = record(event, origin, self._heads.get(stream_of(event), StreamHead()))
        self._heads[one.stream] = one.head()
        self.result = dict(decision.result)
        return one

    def end(self, bet_id: str) -> Recorded:
        draw = self.rng.randrange(10)
        if draw == 0:
            return self.event(Rollback, target_id=bet_id, round_id=f"round-{bet_id}", reason="cancelled")
        return self.event(SettleBet, **_bet(bet_id), win=Amount(2 if draw < 5 else 0, 0), currency="EUR")


def _table(figures: dict[str, Any]) -> Table:
    alone, together = figures["balances"], figures["all_models"]
    grid = Table("projector", "balances", "all models")
    grid.add_row("events", f"{figures['events']:,}", f"{figures['events']:,}")
    goal = f"goal {figures['goal_events_per_s']:,}/s"
    grid.add_row("folded", f"{alone['events_per_s']:,}/s ({goal})", f"{together['events_per_s']:,}/s")
    grid.add_row(
        "with one core of its own", f"{alone['events_per_core_s']:,}/s", f"{together['events_per_core_s']:,}/s"
    )
    bare = f"{figures['bare_consumer_per_s']:,}/s"
    grid.add_row("a bare consumer, which throws them away", bare, bare)
    for who in ("projector", "postgres"):
        cpu = [f"{one[f'{who}_cpu_us_per_event']} µs per event" for one in (alone, together)]
        grid.add_row(f"CPU of {who}", *cpu)
    for name, us in together["stages_us_per_event"].items():
        grid.add_row(f"  {name}", f"{alone['stages_us_per_event'].get(name, 0):5.1f} µs", f"{us:5.1f} µs per event")
    return grid


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)
