"""Relays of several shards that start together on fresh topics, whatever befalls some of them.

`WAGERLEDGER_TEST_STARTS` says how many starts; a hundred take some minutes.
"""

import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import pytest
from confluent_kafka import Message

from ledger import relay_position
from ledger.relay_position import Position, positions_in
from outbox_relay import relay
from outbox_relay.relay import Relay
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from schemas import registry, topics
from schemas.topics import Topics
from tests.support.log_writer import LogWriter
from tests.support.relays import Kafka, delete, running
from tests.support.seeds import seeded_random
from tests.support.waiting import until

STARTS = int(os.environ.get("WAGERLEDGER_TEST_STARTS", "3"))
SHARDS = 3
EVENTS = 60


@dataclass
class Relays:
    """A relay per shard, each in a process that can be killed."""

    settings: list[Settings]
    processes: dict[int, BaseProcess]
    killed: int = 0

    def start(self, shard: int) -> None:
        process = FORKS.Process(target=run, args=[self.settings[shard]])
        process.start()
        self.processes[shard] = process

    def kill(self, shard: int) -> None:
        process = self.processes[shard]
        if process.exitcode is not None:
            return  # it has ended by itself, which is for the test to find
        process.kill()
        process.join()
        self.killed += 1
        self.start(shard)

    def ended(self) -> dict[int, int | None]:
        return {shard: process.exitcode for shard, process in self.processes.items() if process.exitcode is not None}


# A process that has imported all this and used none of it: others are forked from it in no time.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["outbox_relay.relay", "schemas.events"])


def run(settings: Settings) -> None:
    sys.exit(relay.run(settings))


@contextmanager
def relays(settings: Settings) -> Iterator[Relays]:
    of_shards = [settings.model_copy(update={"relay_shard": shard, "relay_shards": SHARDS}) for shard in range(SHARDS)]
    started = Relays(of_shards, {})
    try:
        yield started
    finally:
        for process in started.processes.values():
            process.terminate()
        for process in started.processes.values():
            process.join()


@contextmanager
def fresh_topics(settings: Settings, number: int) -> Iterator[Settings]:
    names = Topics(f"{settings.topic_prefix}{number}.")
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=2, replication=1)
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        registry.register(client, names)
    yield settings.model_copy(update={"topic_prefix": names.prefix})
    delete(settings.kafka_bootstrap_servers, names.all)


def test_relays_of_several_shards_start_together(settings: Settings, log: LogWriter):
    """However the first seconds of three shards mix, and whoever is killed in them, nobody refuses to run and each event is published once."""
    rng, killed = seeded_random(), 0
    log.write(EVENTS, players=30)
    for number in range(STARTS):
        with fresh_topics(settings, number) as fresh:
            killed += start_together(fresh, log, rng)
    print(f"{STARTS} starts of {SHARDS} relays, {killed} of them killed")


def start_together(settings: Settings, log: LogWriter, rng: random.Random) -> int:
    with relays(settings) as started:
        for shard in rng.sample(range(SHARDS), SHARDS):
            started.start(shard)
            time.sleep(rng.choice((0.0, 0.0, rng.uniform(0, 0.1))))
        for _ in range(rng.choice((0, 1, 2))):
            time.sleep(rng.uniform(0, 0.6))
            started.kill(rng.randrange(SHARDS))
        reader = TopicsReader(settings.kafka_bootstrap_servers)
        names = Topics(settings.topic_prefix)
        until(
            lambda: published(reader, names) >= len(log.events) or started.ended(), "the events, or the end of a relay"
        )
        assert not started.ended()
        assert_once(reader, names, log)
        return started.killed


def published(reader: TopicsReader, names: Topics) -> int:
    positions = positions_in(reader.read(reader.ends([names.relay_position])))
    return sum(position.published for position in positions.values())


def assert_once(reader: TopicsReader, names: Topics, log: LogWriter) -> None:
    expected = Counter(event.body for event in log.events)
    for face in ([names.events], names.of_types):
        found = Counter((message.value() or b"")[5:] for message in reader.read(reader.ends(face)))
        assert found == expected


def test_a_position_is_looked_for_again_after_events_were_seen(
    settings: Settings, log: LogWriter, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
):
    """A shard that looks for its position just before shard 0 writes the first ones, and for events just after some were published, goes on with its position."""
    log.write(EVENTS, players=30)
    first, second = (settings.model_copy(update={"relay_shard": shard, "relay_shards": 2}) for shard in range(2))
    with running_between_looks(first, kafka, monkeypatch), running(second) as late:
        kafka.wait_for(log)
        assert late.code is None
    kafka.assert_exactly_once(log)


@contextmanager
def running_between_looks(settings: Settings, kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A relay that starts when another one has looked for its position, and publishes before that one looks further."""
    look, stop, threads = relay_position.positions_in, threading.Event(), list[threading.Thread]()

    def positions_in(records: Iterable[Message]) -> dict[int, Position]:
        seen = look(records)
        if not threads:
            assert not seen
            threads.append(threading.Thread(target=Relay(settings).run, args=[stop], daemon=True))
            threads[0].start()
            until(lambda: kafka.published() > 0, "the first events")
        return seen

    monkeypatch.setattr(relay, "positions_in", positions_in)
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
