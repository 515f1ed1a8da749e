"""A migration while the system runs: an earlier version in the log, another form beside it, and readers of every kind."""

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema
from fastavro.read import LOGICAL_READERS

from audit.replay import replay
from audit.verify import verify
from ledger.jobs.restore_events import restore
from ledger.journal import recording
from ledger.relay_position import START, positions_in
from outbox_relay.log import EventLog
from projector.consumer import project
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from schemas import registry, topics
from schemas.dual_write import chosen
from schemas.events import BY_FINGERPRINT, EVENTS, VARIANTS
from schemas.examples import example, story
from schemas.registry import PREFIX, Reader, WireIds, WireRecord
from schemas.releases import TYPES
from schemas.topics import Topics
from tests.support.commands import BY
from tests.support.golden import earlier
from tests.support.pages import ROOT, blocks
from tests.support.random_game import play
from tests.support.relays import delete, publisher, running
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_topic_prefix

FORM = "bet.settled.v2"
EARLIER = earlier("session.started", {"jurisdiction"})
LOG = """
select event_type, event_id::text, schema_fingerprint, body, second_fingerprint, second_form
from wagerledger.event_log order by xid, position
"""
DEADLINE_S = 60.0
FIRST_BET = ROOT / "docs" / "how-to" / "first-bet.md"
LAST_US = 2**63 - 1


@dataclass
class System:
    """A log, written in part by an earlier version, and the topics that the relay filled from it."""

    settings: Settings
    log: list[tuple]

    @property
    def names(self) -> Topics:
        return Topics(self.settings.topic_prefix)

    def messages(self, topic: str, **options: str) -> list:
        return list(TopicsReader(self.settings.kafka_bootstrap_servers).read_to_end(topic, **options))

    def events(self) -> list[WireRecord]:
        with registry.connect(self.settings.schema_registry_url.get_secret_value()) as client:
            reader = Reader(client)
            return [reader.read(message.value()) for message in self.messages(self.names.events)]

    def relay_until(self, published: int) -> None:
        """Run a relay until its position says so many events."""
        deadline = time.monotonic() + DEADLINE_S
        with running(self.settings):
            while self._published() < published:
                assert time.monotonic() < deadline, "the relay does not get on"
                time.sleep(0.1)

    def _published(self) -> int:
        positions = positions_in(self.messages(self.names.relay_position))
        return positions[0].published if positions else -1


@pytest.fixture(scope="module")
def system(servers: Servers, ledger_database_of_module, bi_database_of_module) -> Iterator[System]:
    """Played with dual write on, sessions by an earlier version; published by a relay that dies and by one after it."""
    settings = Settings(
        database_url=ledger_database_of_module,
        bi_database_url=bi_database_of_module,
        kafka_bootstrap_servers=servers.kafka_bootstrap_servers,
        schema_registry_url=servers.schema_registry_url,
        topic_prefix=fresh_topic_prefix(),
        topic_partitions=2,
        dual_write=FORM,
        relay_batch_rows=50,
        relay_poll_ms=10,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BY_FINGERPRINT, EARLIER.fingerprint, EARLIER)
        begun = System(settings, [])
        topics.apply(settings.kafka_bootstrap_servers, begun.names, partitions=2, replication=1)
        with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
            registry.register(client, begun.names)
            assert registry.check(client, begun.names) == []
        begun.relay_until(0)
        with pytest.MonkeyPatch.context() as then:
            then.setattr(recording, "EVENTS", EVENTS | {EARLIER.event_type: EARLIER})
            play(settings, seeded_random(), players=3, steps=20)
        with psycopg.connect(ledger_database_of_module) as connection:
            played = System(settings, connection.execute(LOG, binary=True).fetchall())
        publish_in_part(played)
        played.relay_until(len(played.log))
        yield played
    delete(settings.kafka_bootstrap_servers, played.names.all)


def publish_in_part(played: System) -> None:
    """What a relay leaves that is killed within a Kafka transaction."""
    settings, url = played.settings, played.settings.database_url.get_secret_value()
    with (
        publisher(settings) as killed,
        EventLog(url, 0, 1) as log,
        registry.connect(settings.schema_registry_url.get_secret_value()) as client,
    ):
        wire_ids = WireIds(client, played.names)
        killed.open()
        killed._producer.begin_transaction()
        for row in log.read(START, len(played.log)):
            killed._produce(row, *wire_ids.of(row.schema_fingerprint))
        killed._producer.flush(10)


def test_both_forms_are_written_at_once(system):
    """Each settlement, and nothing else, has its other form beside it: the same envelope with the payload in that form."""
    form = chosen(FORM)["bet.settled"]
    for event_type, _, fingerprint, body, second_fingerprint, second_form in system.log:
        if event_type != "bet.settled":
            assert (second_fingerprint, second_form) == (None, None)
            continue
        assert second_fingerprint == VARIANTS[FORM].fingerprint
        assert second_form == form.encode(BY_FINGERPRINT[fingerprint].decode(body))
    assert any(row[4] for row in system.log)


def test_the_other_form_goes_to_its_own_topic_alone_and_once(system):
    """Same event_id, same key, its own schema and type in the headers; `ledger.events` and the auditors know one form."""
    forms = system.messages(system.names.of_type(FORM))
    written = {row[1]: row[5] for row in system.log if row[5]}
    headers = [dict(message.headers()) for message in forms]
    assert Counter(one["ce_id"].decode() for one in headers) == Counter(list(written))
    assert {one["ce_type"] for one in headers} == {FORM.encode()}
    assert {message.value()[PREFIX.size :] for message in forms} == set(written.values())
    keys = {dict(m.headers())["ce_id"]: m.key() for m in system.messages(system.names.of_type("bet.settled"))}
    assert {dict(message.headers())["ce_id"]: message.key() for message in forms} == keys
    assert FORM not in {wire.record["event_type"] for wire in system.events()}
    sent = system.messages(system.names.of_type(FORM), isolation="read_uncommitted")
    assert len(sent) > len(forms), "the first relay did not die in the middle"


def test_an_earlier_version_is_published_under_its_own_schema(system):
    """The relay finds the ids of old versions; readers get today's record from the bytes of then."""
    started = [wire for wire in system.events() if wire.record["event_type"] == EARLIER.event_type]
    assert started
    for wire in started:
        assert wire.schema.fingerprint == EARLIER.fingerprint
        assert wire.record["payload"]["jurisdiction"] is None
        assert wire.record["schema_version"] == "0.9.0"


def test_auditor_projector_and_replay_read_both_versions(system):
    """The whole audit finds nothing, with read models folded from the topics, and a wallet replays alike from both sides."""
    project(system.settings, threading.Event(), until_caught_up=True)
    report = verify(system.settings, bi=True, strict=True)
    assert report.ok, report.text()
    wallet = next(wire.record["wallet_id"] for wire in system.events() if wire.record["wallet_id"])
    assert replay(system.settings, wallet) == replay(system.settings, wallet, source="topics")


def test_what_was_lost_comes_back_as_it_was_written(system, ledger_database):
    """Restored from the topics, an earlier version's event has its bytes and its fingerprint, and the log verifies."""
    settings = system.settings.model_copy(update={"database_url": Settings(database_url=ledger_database).database_url})
    restore(settings, iter(system.events()), by=BY)
    with psycopg.connect(ledger_database) as connection:
        restored = connection.execute(LOG, binary=True).fetchall()
    assert Counter(row[1:4] for row in restored) == Counter(row[1:4] for row in system.log)
    assert verify(settings, topics=False).ok


def test_the_documented_reader_reads(system):
    """The program on a type's page, with the test's addresses, tells every event of its topic; an earlier version too."""
    event_type = EARLIER.event_type
    ((_, program),) = blocks(ROOT / "docs" / "events" / f"{event_type}.md", "python")
    for documented, ours in (
        ("http://127.0.0.1:8081", system.settings.schema_registry_url.get_secret_value()),
        ("127.0.0.1:9092", system.settings.kafka_bootstrap_servers),
        (f'["{event_type}"]', f'["{system.names.of_type(event_type)}"]'),
    ):
        assert documented in program
        program = program.replace(documented, ours)
    expected = {row[1] for row in system.log if row[0] == event_type}
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as reading:
        patience = threading.Timer(DEADLINE_S, reading.kill)
        patience.start()
        told = [line.split()[0] for line in islice(reading.stdout, len(expected))]
        patience.cancel()
        reading.kill()
    assert sorted(told) == sorted(expected)


def far(avro: Any, value: Any) -> Any:
    """`value` with every time in it as far away as the bytes can say."""
    if isinstance(avro, list):
        return far(next(part for part in avro if part != "null"), value)
    if not isinstance(avro, dict):
        return value
    if avro["type"] == "record" and value is not None:
        return {field["name"]: far(field["type"], value[field["name"]]) for field in avro["fields"]}
    return LAST_US if avro.get("logicalType") == "timestamp-micros" else value


class Feed:
    """Kafka's consumer with one record in its topic."""

    def __init__(self, topic: str, value: bytes) -> None:
        self.topic = lambda: topic
        self.value = lambda: value
        self.error = lambda: None
        self.subscribe = self.close = lambda *_: None
        self._left = [self]

    def poll(self, _: float) -> "Feed | None":
        return self._left.pop() if self._left else None


def test_the_documented_readers_read_every_time_that_can_be_written(system, monkeypatch, capsys):
    """A time beyond the last that a calendar can say ends none of them: neither a page's nor that of the first bet."""
    monkeypatch.setitem(LOGICAL_READERS, "long-timestamp-micros", LOGICAL_READERS["long-timestamp-micros"])
    monkeypatch.setattr(sys, "argv", ["read_topic.py", "servers", "registry", "bet.settled"])
    programs = [(name, *blocks(ROOT / "docs" / "events" / f"{name}.md", "python")[0][1:]) for name in TYPES]
    (first,) = re.findall(r"> read_topic.py <<'EOF'\n(.*?)^EOF$", FIRST_BET.read_text(), re.MULTILINE | re.DOTALL)
    with registry.connect(system.settings.schema_registry_url.get_secret_value()) as client:
        for name, program in [*programs, ("bet.settled", first)]:
            schema = TYPES[name]
            subject = registry.subjects(schema, system.names)[-1]
            prefix = PREFIX.pack(0, client.lookup_schema(subject, Schema(schema.text, "AVRO")).schema_id)
            value = prefix + schema.encode(far(schema.schema, example(name)))
            ours = re.sub(r"SchemaRegistryClient\({.*?}\)", "client", program)
            ours = ours.replace("from confluent_kafka import Consumer\n", "")
            exec(ours, {"Consumer": partial(fed, name, value), "client": client})
            told = capsys.readouterr().out
            assert "bet.settled" in told if program is first else str(LAST_US) in told, name


def fed(topic: str, value: bytes, _: dict[str, str]) -> Feed:
    return Feed(topic, value)


def story_of_every_type() -> list[WireRecord]:
    """The examples' story: also the types whose rules come later."""
    schemas = [EVENTS[record["event_type"]] for record in story()]
    bodies = [schema.encode(record) for schema, record in zip(schemas, story(), strict=True)]
    return [WireRecord(schema, body, schema.decode(body)) for schema, body in zip(schemas, bodies, strict=True)]


def test_announced_types_are_restored_and_audited(ledger_database):
    """A log that holds what today has no rule for can be put back, folded and verified: what moves is in the postings."""
    settings = Settings(database_url=ledger_database)
    restore(settings, iter(story_of_every_type()), by=BY)
    report = verify(settings, topics=False)
    assert report.ok, report.text()
    assert replay(settings, "brand-7/p_demo_1/EUR").wallet.cash_minor == 3160
    assert replay(settings, "brand-7/p_demo_1/EUR", at_version=3).wallet.bonus_minor == 5000


def test_announced_types_are_projected(system):
    """Read models take them in their streams' order, and the balances move by their postings."""
    settings = system.settings
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        wire_ids = WireIds(client, system.names)
        producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "partitioner": "murmur2_random"})
        for wire in story_of_every_type():
            for topic, prefix in zip(
                (system.names.events, system.names.of_type(wire.schema.event_type)),
                wire_ids.of(wire.schema.fingerprint),
                strict=True,
            ):
                producer.produce(topic, prefix + wire.body, "brand-7/p_demo_1")
        producer.flush(10)
    project(settings, threading.Event(), until_caught_up=True)
    with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
        row = connection.execute(
            "select cash_minor, bonus_minor from bi.balances where tenant_id = 'brand-7'"
        ).fetchone()
        assert row == (3160, 0)
        assert connection.execute("select count(*) from bi.parked_streams").fetchone() == (0,)
    assert verify(settings, database=False).ok
