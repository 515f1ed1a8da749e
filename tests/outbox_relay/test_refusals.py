"""Refusals reach their own topic exactly once, beside the events and without disturbing them."""

import json
from dataclasses import replace

import psycopg
import pytest
from confluent_kafka import Message

from ledger.relay_position import START, Cursor, Epoch, Position, shard_of
from ledger.streams import player_stream
from outbox_relay.log import EventLog
from outbox_relay.recover import recover
from runtime.service import REFUSED
from runtime.settings import Settings
from schemas import registry
from schemas.registry import RefusalReader
from tests.outbox_relay.refusal_writer import INTEGRATION, RefusalWriter
from tests.support.log_writer import TENANT, LogWriter
from tests.support.relays import Kafka, process, publisher, run_to_end, running
from tests.support.waiting import patient_connection, until


@pytest.fixture
def refusals(ledger_database: str) -> RefusalWriter:
    return RefusalWriter(ledger_database)


def published(kafka: Kafka) -> list[str]:
    """The command ids in the topic, in the order of its partitions."""
    return [dict(message.headers())["ce_id"].decode() for message in kafka.messages(kafka.topics.refusals)]


def wait_for(kafka: Kafka, count: int) -> None:
    until(lambda: len(published(kafka)) >= count, f"{count} published refusals")


def test_every_refusal_is_published_once_with_all_that_is_known(
    settings: Settings, log: LogWriter, refusals: RefusalWriter, kafka: Kafka
):
    """A refusal is one record that tells who asked what and why not, also when the relay is killed; one whose transaction rolls back is never published, one that commits late is not lost."""
    log.write(60)
    refusals.write(120)
    with patient_connection(refusals.url) as late:
        refusals.insert(late, 1)
        refusals.write(10)
        with psycopg.connect(refusals.url) as never:
            refusals.insert(never, 1)
            never.rollback()
            refusals.written.pop()
        with process(settings) as relay:
            wait_for(kafka, 50)
            relay.kill()
        late.commit()
    with running(settings):
        log.write(60)
        refusals.write(30)
        wait_for(kafka, len(refusals.written))
        kafka.wait_for(log)
    assert sorted(published(kafka)) == sorted(refusals.written)
    kafka.assert_exactly_once(log)
    must_tell_all(kafka.messages(kafka.topics.refusals)[0], settings)


def test_refusals_are_published_beside_another_shards_events(
    settings: Settings, log: LogWriter, refusals: RefusalWriter, kafka: Kafka
):
    """Where all the events that shard 0 has read are another shard's, the refusals that it read with them are published all the same."""
    others = [name for name in (f"player-{n}" for n in range(50)) if shard_of(player_stream(TENANT, name), 2) == 1]
    with psycopg.connect(log.url) as connection:
        log.insert(connection, others)
    refusals.write(20)
    shards = [settings.model_copy(update={"relay_shard": shard, "relay_shards": 2}) for shard in range(2)]
    with running(shards[0]), running(shards[1]):
        kafka.wait_for(log)
        wait_for(kafka, len(refusals.written))
    assert sorted(published(kafka)) == sorted(refusals.written)
    assert kafka.position(0).refused > START


def must_tell_all(message: Message, settings: Settings) -> None:
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        record = RefusalReader(client).read(message.value()).record
    assert message.key().decode() == f"{TENANT}/{record['player_id']}"
    assert (record["code"], record["kind"], record["kid"]) == ("INSUFFICIENT_FUNDS", "AuthorizeBet", "key-1")
    assert (record["integration_id"], record["region"], record["trace_id"]) == (INTEGRATION, "eu", "trace-1")
    assert json.loads(record["details"])["refusal"] == "INSUFFICIENT_FUNDS"
    headers = dict(message.headers())
    assert (headers["ce_type"], headers["X-Trace-Id"]) == (b"command.refused", b"trace-1")


def test_a_position_from_before_refusals_were_published_names_none():
    """A position record without a place for refusals lets the relay publish them all."""
    position = Position(Epoch("1", 1, 1), 1, Cursor(7, 8), b"hash", 9, Cursor(5, 6))
    assert Position.from_json(position.to_json()) == position
    old = {name: content for name, content in json.loads(position.to_json()).items() if name != "refused"}
    assert Position.from_json(json.dumps(old).encode()) == replace(position, refused=START)


def test_recover_finds_the_place_among_refusals(
    settings: Settings, log: LogWriter, refusals: RefusalWriter, kafka: Kafka
):
    """After the position was lost, refusals that are published stay so once, those passed over are published, and those that the database lost are counted."""
    refusals.write(30)
    with running(settings):
        wait_for(kafka, 30)
    skipped = refusals.write(10)
    with psycopg.connect(refusals.url) as connection:
        later = refusals.insert(connection, 5)
    publish_alone(settings, later)
    log.tamper("delete from wagerledger.refusals where command_id = any(%s::uuid[])", refusals.written[:3])
    kafka.recreate(kafka.topics.relay_position)
    assert run_to_end(settings) == REFUSED
    found = recover(settings)
    assert (found.refusals, found.refusals_completed, found.refusals_lost) == (35, len(skipped), 3)
    refusals.write(5)
    with running(settings):
        wait_for(kafka, 50)
    assert sorted(published(kafka)) == sorted(refusals.written)


def publish_alone(settings: Settings, command_ids: list[str]) -> None:
    """As if the relay had passed over everything before them."""
    with EventLog(settings.database_url.get_secret_value(), 0, 1) as log, publisher(settings) as opened:
        opened.open()
        rows = [row for row in log.read_all_refusals(START, 1000) if row.command_id in command_ids]
        opened.publish([], None, rows)
