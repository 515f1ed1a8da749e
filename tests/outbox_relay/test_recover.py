"""When the relay cannot prove where it stopped it refuses to run; `recover` finds out, and nothing is lost or published twice."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ledger.relay_position import START
from ledger.streams import Recorded
from outbox_relay.log import EventLog, HorizonHeldError
from outbox_relay.producer import transactional_id
from outbox_relay.recover import Recovery, UnrecoverableError, recover
from outbox_relay.relay import WaitingError
from patience import Patience, is_transient
from runtime.progress import Progress, silent
from runtime.service import REFUSED, RefusedError
from runtime.settings import Settings
from sandbox.servers.stack import Stack
from schemas.registry import WireRecord
from tests.support.log_writer import LogWriter
from tests.support.relays import Kafka, publisher, run_to_end, running
from tests.support.waiting import until

DELETE_LAST = """
delete from wagerledger.event_log e where e.event_id = any(%s::uuid[])
"""
NEW_GENERATION = "insert into wagerledger.log_generation (generation, reason) values (2, 'restored from a backup')"
SWAP_BODY = "update wagerledger.event_log set body = body || '\\x00' where event_id = %s::uuid"
XID_FROM_ELSEWHERE = "update wagerledger.event_log set xid = '99999999' where event_id = %s::uuid"

Harm = Callable[[LogWriter, Kafka], object]


def lose_position(log: LogWriter, kafka: Kafka) -> None:
    kafka.recreate(kafka.topics.relay_position)


def lose_last_event(log: LogWriter, kafka: Kafka) -> None:
    log.tamper(DELETE_LAST, [log.events[-1].event_id])


def change_last_event(log: LogWriter, kafka: Kafka) -> None:
    log.tamper(SWAP_BODY, log.events[-1].event_id)


def new_generation(log: LogWriter, kafka: Kafka) -> None:
    log.tamper(NEW_GENERATION)


def lose_events_topic(log: LogWriter, kafka: Kafka) -> None:
    kafka.recreate(kafka.topics.events)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lose_position, "shard 0 has no position, although events were published"),
        (lose_last_event, "is not in the event log"),
        (change_last_event, "the log was restored or changed"),
        (new_generation, "generation was 1, is 2"),
        (lose_events_topic, "ledger.events is empty"),
    ],
)
def test_the_relay_refuses_what_it_cannot_prove(
    settings: Settings, log: LogWriter, kafka: Kafka, harm: Harm, reason: str, capsys: pytest.CaptureFixture[str]
):
    """Without proof of its position the relay ends with code 2 and says why and what heals it."""
    publish(settings, log, kafka, 30)
    harm(log, kafka)
    assert run_to_end(settings) == REFUSED
    told = capsys.readouterr().out
    assert reason in told
    assert "wagerledger relay recover" in told


def test_another_number_of_shards_is_refused(
    settings: Settings, log: LogWriter, kafka: Kafka, capsys: pytest.CaptureFixture[str]
):
    """A relay that was told another number of shards than the positions are for ends with code 2."""
    publish(settings, log, kafka, 30)
    assert run_to_end(settings.model_copy(update={"relay_shards": 2})) == REFUSED
    assert "WAGERLEDGER_RELAY_SHARDS=2" in capsys.readouterr().out


def test_a_log_from_a_server_with_higher_transaction_ids_is_refused(settings: Settings, log: LogWriter, kafka: Kafka):
    """After a dump and restore new events would sort before the old ones and never be read: neither relay nor recover goes on."""
    publish(settings, log, kafka, 5)
    log.tamper(XID_FROM_ELSEWHERE, log.events[-1].event_id)
    assert run_to_end(settings) == REFUSED
    with pytest.raises(RefusedError, match="pg_resetwal"):
        recover(settings)


@pytest.mark.parametrize("harm", [lose_position, new_generation])
def test_recover_finds_the_position_again(settings: Settings, log: LogWriter, kafka: Kafka, harm: Harm):
    """After the position topic was emptied, or the log moved on purpose, the relay goes on exactly where it stopped."""
    publish(settings, log, kafka, 100)
    log.write(50)
    harm(log, kafka)
    recovery = recover(settings)
    assert (recovery.published, recovery.completed, recovery.duplicates) == (100, 0, 0)
    assert kafka.position().published == 100
    publish(settings, log, kafka, 50)
    kafka.assert_exactly_once(log)
    assert kafka.raw_duplicates() == 0


def test_recover_changes_nothing_when_all_is_well(settings: Settings, log: LogWriter, kafka: Kafka):
    """Recovering a healthy relay, or one that never ran, gives the position that it has."""
    assert recover(settings).positions[0].published == 0
    publish(settings, log, kafka, 100)
    before = kafka.position()
    assert recover(settings).positions == {0: before}
    assert kafka.position() == before


def test_recover_publishes_what_was_passed_over(settings: Settings, log: LogWriter, kafka: Kafka):
    """Events that are unpublished although later ones are published, are published by recover, in the order of their streams."""
    publish(settings, log, kafka, 40)
    log.write(60, players=5)
    # Published events behind them in the log, as after a restore that put lost ones back.
    with psycopg.connect(log.url) as connection:
        later = log.insert(connection, ["player-z"] * 3)
    publish_alone(settings, later)
    kafka.recreate(kafka.topics.relay_position)
    recovery = recover(settings)
    assert (recovery.published, recovery.completed) == (43, 60)
    publish(settings, log, kafka, 10)
    kafka.assert_exactly_once(log)


def test_lost_events_are_restored_or_reported(settings: Settings, log: LogWriter, kafka: Kafka):
    """Published events that the log has lost are acknowledged money: recover refuses until they are put back, in stream order."""
    publish(settings, log, kafka, 60)
    lost = log.events[-20:]
    assert log.tamper(DELETE_LAST, [event.event_id for event in lost]) == 20
    assert run_to_end(settings) == REFUSED
    with pytest.raises(UnrecoverableError, match="lacks 20 published events"):
        recover(settings)

    def restore(records: Iterator[WireRecord]) -> None:
        by_body = {event.body: event for event in lost}
        with psycopg.connect(log.url) as connection:
            log.append(connection, [by_body[wire.body] for wire in records])

    assert recover(settings, restore=restore).restored == 20
    publish(settings, log, kafka, 30)
    kafka.assert_exactly_once(log)
    assert kafka.raw_duplicates() == 0


def test_a_restore_that_restores_nothing_is_noticed(settings: Settings, log: LogWriter, kafka: Kafka):
    """Recover looks again after the restore and refuses when events are still missing."""
    publish(settings, log, kafka, 10)
    log.tamper(DELETE_LAST, [log.events[-1].event_id])
    with pytest.raises(UnrecoverableError, match="still lacks"):
        recover(settings, restore=lambda records: None)


@pytest.mark.parametrize("longer", [False, True])
def test_forks_are_refused(settings: Settings, log: LogWriter, kafka: Kafka, longer: bool):
    """Where log and topics hold different events under one version, recover names the stream and changes nothing."""
    log.write(12, players=1)
    publish(settings, log, kafka, 12)
    stream = log.events[-1].stream
    lost = [event for event in log.events if event.stream == stream][1:]
    log.tamper(DELETE_LAST, [event.event_id for event in lost])
    log.heads[stream] = next(event.head() for event in log.events if event.stream == stream)
    with psycopg.connect(log.url) as connection:
        log.insert(connection, [stream.stream_id] * (len(lost) + 1 if longer else 1))
    before = kafka.position()
    with pytest.raises(UnrecoverableError, match=f"forked.*{stream.stream_id}"):
        recover(settings)
    assert kafka.position() == before


def test_an_emptied_events_topic_needs_emptied_type_topics(settings: Settings, log: LogWriter, kafka: Kafka):
    """When only `ledger.events` was emptied recover refuses, because the type topics would get everything twice; with all emptied, all is published again."""
    publish(settings, log, kafka, 30)
    kafka.recreate(kafka.topics.events)
    with pytest.raises(UnrecoverableError, match="a second time"):
        recover(settings)
    kafka.recreate(*kafka.topics.of_types)
    recover(settings)
    publish(settings, log, kafka, 10)
    kafka.assert_exactly_once(log)


def test_recover_changes_the_number_of_shards(settings: Settings, log: LogWriter, kafka: Kafka):
    """From one shard to three and back to one: nothing lost, nothing twice, no position left over."""
    publish(settings, log, kafka, 60)
    log.write(30)
    three = [settings.model_copy(update={"relay_shard": shard, "relay_shards": 3}) for shard in range(3)]
    recover(three[0])
    log.write(30)
    with running(three[0]), running(three[1]), running(three[2]):
        kafka.wait_for(log)
    recover(settings)
    publish(settings, log, kafka, 30)
    kafka.assert_exactly_once(log)
    assert kafka.position().published == len(log.events)


def test_recover_disturbs_nobody(settings: Settings, log: LogWriter, kafka: Kafka):
    """While a relay runs, recover refuses to disturb it; the relay may be about to end."""
    with running(settings):
        log.write(5)
        kafka.wait_for(log)
        with pytest.raises(WaitingError, match="stop every relay first") as raised:
            recover(settings)
        assert is_transient(raised.value)


def test_recover_waits_for_a_relay_that_was_just_stopped(
    settings: Settings, log: LogWriter, kafka: Kafka, caplog: pytest.LogCaptureFixture
):
    """A lock that the server lets go of a moment later is waited for."""
    publish(settings, log, kafka, 5)
    with EventLog(settings.database_url.get_secret_value(), 0, 1) as gone, ThreadPoolExecutor() as pool:
        assert gone.lock(transactional_id(kafka.topics, 0))
        recovering = pool.submit(recover_patiently, settings)
        until(lambda: "a relay holds shard 0" in caplog.text, "recover to wait")
        gone.close()
        assert recovering.result().published == 5


def test_recover_tries_again_what_may_pass(settings: Settings, log: LogWriter, kafka: Kafka, stack: Stack):
    """A broker that restarts in the middle of it costs recover only delay."""
    publish(settings, log, kafka, 20)
    steps = list[str]()

    def kill_once(step: str, events: int, total: int) -> None:
        if not steps:
            stack.kafka.kill()
            starting.start()
        steps.append(step)

    starting = threading.Thread(target=stack.kafka.start, daemon=True)
    found = recover_patiently(settings, progress=kill_once)
    starting.join()
    assert (found.published, found.completed) == (20, 0)
    publish(settings, log, kafka, 10)
    kafka.assert_exactly_once(log)


def test_an_open_writing_transaction_is_waited_for_once(
    settings: Settings, log: LogWriter, kafka: Kafka, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Recover has waited for it long enough when it gives up: that is nothing to try again."""
    monkeypatch.setattr("outbox_relay.log.HORIZON_TIMEOUT_S", 0.1)
    with psycopg.connect(log.url) as writing:
        log.insert(writing, ["player-open"])
        log.write(1)
        with pytest.raises(HorizonHeldError, match="pg_stat_activity"):
            recover_patiently(settings)
        writing.rollback()
    assert "pg_stat_activity" not in caplog.text, "it was tried again"


def recover_patiently(settings: Settings, progress: Progress = silent) -> Recovery:
    """As the command does."""
    return Patience(60).call(lambda: recover(settings, progress=progress), "recover")


def publish(settings: Settings, log: LogWriter, kafka: Kafka, count: int) -> None:
    log.write(count)
    with running(settings):
        kafka.wait_for(log)


def publish_alone(settings: Settings, events: list[Recorded]) -> None:
    """Publish these events of the log, whatever is before them."""
    names = {event.event_id for event in events}
    with EventLog(settings.database_url.get_secret_value(), 0, 1) as source, publisher(settings) as producer:
        rows = [row for row in source.read_all(START, 100) if row.event_id in names]
        producer.open()
        producer.publish(rows, None)
