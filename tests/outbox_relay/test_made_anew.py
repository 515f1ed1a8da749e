"""A topic that was deleted and made again is not the one that was published to, whatever is in it."""

import pytest
from confluent_kafka import Producer

from cli import doctor
from ledger.relay_position import TOPICS_KEY, TopicIds
from outbox_relay import relay
from runtime.service import REFUSED
from runtime.settings import Settings
from tests.support.log_writer import LogWriter
from tests.support.relays import Kafka, publisher, run_to_end, running


def refill(kafka: Kafka, topic: str) -> None:
    """Made anew, with the same records in the same partitions: as somebody means well who has a copy."""
    copied = kafka.messages(topic)
    kafka.recreate(topic)
    producer = Producer({"bootstrap.servers": kafka.servers})
    for message in copied:
        producer.produce(topic, message.value(), message.key(), message.partition(), headers=message.headers())
    assert producer.flush(30) == 0
    assert len(kafka.messages(topic)) == len(copied) > 0


def test_the_relay_refuses_a_topic_with_as_many_records(
    settings: Settings, log: LogWriter, kafka: Kafka, capsys: pytest.CaptureFixture[str]
):
    """It has the name and the records, and another id: the relay ends with code 2 and names it. One that has forgotten the
    ids takes it for the old one: the position, its hash and the number of records say nothing against it.
    """
    publish(settings, log, kafka)
    refill(kafka, kafka.topics.events)
    assert run_to_end(settings) == REFUSED
    assert f"made anew since events were published: {kafka.topics.events}," in capsys.readouterr().out
    found = doctor._made_anew(settings)
    assert (found.ok, found.text.split(": ")[1]) == (False, f"{kafka.topics.events} (docs/operations.md)")
    with publisher(settings) as forgetting:
        forgetting.open()
        forgetting.write_topic_ids(TopicIds())
    publish(settings, log, kafka)


def test_a_relay_that_runs_notices(
    settings: Settings,
    log: LogWriter,
    kafka: Kafka,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Also of the topic of one type: it does not go on publishing into what lacks the past."""
    monkeypatch.setattr(relay, "TOPICS_EVERY_S", 0.05)
    log.write(30)
    of_type = kafka.topics.of_type(log.events[0].event_type)
    with running(settings) as running_relay:
        kafka.wait_for(log)
        kafka.recreate(of_type)
        assert running_relay.wait() == REFUSED
    assert f"{of_type}, so that these are missing" in capsys.readouterr().out


def test_ids_that_cannot_be_read_are_refused(
    settings: Settings, log: LogWriter, kafka: Kafka, capsys: pytest.CaptureFixture[str]
):
    """A record that names no topics ends the relay in words that say what to do, not in a traceback."""
    publish(settings, log, kafka)
    producer = Producer({"bootstrap.servers": kafka.servers})
    producer.produce(kafka.topics.relay_position, b"nonsense", TOPICS_KEY)
    assert producer.flush(30) == 0
    assert run_to_end(settings) == REFUSED
    assert "names no topics: b'nonsense'; run `wagerledger relay recover`" in capsys.readouterr().out


def publish(settings: Settings, log: LogWriter, kafka: Kafka) -> None:
    log.write(30)
    with running(settings):
        kafka.wait_for(log)
