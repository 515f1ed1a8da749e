"""The relay on real servers: each event once, in order, in both of its topics."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from ledger.relay_position import START, Epoch, Position, shard_of
from outbox_relay.log import EventLog
from outbox_relay.producer import FencedError, Publisher
from runtime.settings import Settings
from schemas import registry
from schemas.registry import WireIds
from schemas.topics import Topics
from tests.support.log_writer import TENANT, TRACEPARENT, LogWriter
from tests.support.relays import Kafka, process, publisher, running
from tests.support.seeds import seeded_random
from tests.support.waiting import patient_connection, until


def test_every_event_reaches_both_topics_once(settings: Settings, log: LogWriter, kafka: Kafka):
    """What is committed before and while the relay runs is published once in `ledger.events` and once in its type topic, with its very bytes."""
    log.write(300)
    with running(settings):
        log.write(300)
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)
    assert kafka.raw_duplicates() == 0


def test_records_carry_key_headers_and_trace(settings: Settings, log: LogWriter, kafka: Kafka):
    """A record's key is its stream's, and its headers are CloudEvents attributes and the trace of the callback."""
    (event,) = log.write(1, players=1)
    with running(settings):
        kafka.wait_for(log)
    for topic in (kafka.topics.events, kafka.topics.of_type(event.event_type)):
        (message,) = kafka.messages(topic)
        headers = dict(message.headers())
        assert message.key() == f"{TENANT}/player-0".encode()
        assert headers.pop("ce_time").startswith(b"20")
        assert headers == {
            "ce_specversion": b"1.0",
            "ce_id": event.event_id.encode(),
            "ce_type": event.event_type.encode(),
            "ce_source": f"/wagerledger/{TENANT}".encode(),
            "content-type": b"application/avro",
            "X-Trace-Id": b"trace-1",
            "traceparent": TRACEPARENT.encode(),
        }


def test_confluents_own_deserializer_reads_both_faces(settings: Settings, log: LogWriter, kafka: Kafka):
    """A reader that knows only the registry decodes every record."""
    written = log.write(12, players=1)
    with running(settings):
        kafka.wait_for(log)
    expected = sorted(event.event_id for event in written)
    url = settings.schema_registry_url.get_secret_value()
    with SchemaRegistryClient({"url": url, "timeout": 10}) as client:  # without, one lost answer is waited for for ever
        deserialize = AvroDeserializer(client)
        for face in ([kafka.topics.events], kafka.topics.of_types):
            read = [message for topic in face for message in kafka.messages(topic)]
            records = [deserialize(m.value(), SerializationContext(m.topic(), MessageField.VALUE)) for m in read]
            assert sorted(record["event_id"] for record in records) == expected


def test_an_event_that_commits_late_is_not_lost(settings: Settings, log: LogWriter, kafka: Kafka):
    """While an older transaction is open nothing newer is published; once it commits, all is, the older one first."""
    with running(settings), patient_connection(log.url) as late:
        log.insert(late, ["player-late"])
        log.write(5)
        time.sleep(0.5)
        assert kafka.messages(kafka.topics.events) == []
        late.commit()
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)


def test_a_rolled_back_event_is_never_published(settings: Settings, log: LogWriter, kafka: Kafka):
    """An event whose transaction rolls back reaches no topic."""
    heads, events = dict(log.heads), list(log.events)
    with running(settings), patient_connection(log.url) as doomed:
        log.insert(doomed, ["player-doomed"])
        doomed.rollback()
        log.heads, log.events = heads, events
        log.write(5)
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)


def test_a_restart_goes_on_from_the_position(settings: Settings, log: LogWriter, kafka: Kafka):
    """A relay that was stopped goes on where it stopped; SIGTERM ends it with code 0."""
    log.write(120)
    with process(settings) as relay:
        kafka.wait_for(log)
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(30) == 0
    log.write(120)
    with process(settings):
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)
    assert kafka.raw_duplicates() == 0


def test_kills_lose_nothing_and_publish_nothing_twice(settings: Settings, log: LogWriter, kafka: Kafka):
    """The relay is killed again and again in the middle of its work; committed readers see every event once and in order."""
    rng, done = seeded_random(), threading.Event()

    def write() -> None:
        while not done.is_set():
            log.write(40, per_transaction=rng.choice([1, 5, 40]), rng=rng)
            time.sleep(0.005)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        for _ in range(6):
            with process(settings) as relay:
                before = kafka.published()
                until(lambda before=before: kafka.published() > before, "a relay at work")
                time.sleep(rng.random())
                relay.kill()
    finally:
        done.set()
        writer.join()
    with process(settings):
        kafka.wait_for(log)
    print(f"{len(log.events)} events, raw duplicates in aborted transactions: {kafka.raw_duplicates()}")
    kafka.assert_exactly_once(log)


def test_large_events_are_cut_into_batches(settings: Settings, log: LogWriter, kafka: Kafka):
    """A batch is bounded in bytes, but never so that a single event cannot pass."""
    log.write(30)
    with running(settings.model_copy(update={"relay_batch_bytes": 1})):
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)
    positions = [one for one in kafka.messages(kafka.topics.relay_position) if one.key() == b"0"]
    assert len(positions) == 31


def test_a_fenced_relay_ends(settings: Settings, log: LogWriter, kafka: Kafka):
    """When another producer takes the shard over, the relay publishes nothing more and ends with code 1."""
    log.write(10)
    with running(settings) as relay, publisher(settings) as other:
        kafka.wait_for(log)
        other.open()
        log.write(10)
        assert relay.wait() == 1
    assert len(kafka.messages(kafka.topics.events)) == 10
    with running(settings):
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)


def test_what_a_zombie_had_begun_is_never_seen(settings: Settings, log: LogWriter, kafka: Kafka):
    """Rows that a producer sent before it was fenced stay invisible, and its commit fails."""
    log.write(3)
    with EventLog(log.url, 0, 1) as source:
        rows, position = source.read(START, 10), Position.start(Epoch("1", 1, 1), 1)
    with publisher(settings) as zombie, publisher(settings) as successor:
        zombie.open()
        zombie.publish(rows[:1], position)
        successor.open()
        with pytest.raises(FencedError):
            zombie.publish(rows[1:], position)
        successor.publish(rows[1:2], position)
    assert {wire.body for wire in kafka.events()} == {row.body for row in rows[:2]}


class Taken(dict[int, Position]):
    """Positions without end, and while they are written another relay takes the shard over."""

    def __init__(self, position: Position, successor: Publisher) -> None:
        super().__init__({0: position})
        self._successor = successor

    def items(self) -> Iterator[tuple[int, Position]]:  # type: ignore[override]  # a view has an end
        self._successor.open()
        while True:
            yield from super().items()
            time.sleep(0.001)


def test_whoever_is_fenced_between_two_records_knows_it(settings: Settings, kafka: Kafka):
    """A relay that hears of another one before its batch is whole ends too: a second producer of it would fence the other."""
    position = Position.start(Epoch("1", 1, 1), 1)
    with publisher(settings) as zombie, publisher(settings) as successor:
        zombie.open()
        with pytest.raises(FencedError):
            zombie.write_positions(Taken(position, successor))
        successor.write_positions({0: position})
    assert kafka.position().shards == 1


def test_a_second_relay_stands_by(settings: Settings, log: LogWriter, kafka: Kafka):
    """Two relays of one shard do not disturb each other: the second waits and takes over when the first is killed."""
    with process(settings) as first:
        log.write(10)
        kafka.wait_for(log)
        with process(settings) as second:
            time.sleep(2)
            log.write(10)
            kafka.wait_for(log)
            assert first.poll() is None
            assert second.poll() is None
            first.kill()
            log.write(10)
            kafka.wait_for(log)
            assert second.poll() is None
    kafka.assert_exactly_once(log)
    assert kafka.raw_duplicates() == 0


def test_shards_share_the_streams(settings: Settings, log: LogWriter, kafka: Kafka):
    """With three shards every stream belongs to exactly one, whichever of the relays starts first."""
    log.write(200, players=30)
    shards = [settings.model_copy(update={"relay_shard": shard, "relay_shards": 3}) for shard in range(3)]
    with running(shards[2]), running(shards[1]), running(shards[0]):
        log.write(200, players=30)
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)
    assert all(kafka.position(shard).published > 0 for shard in range(3))


def test_a_shard_is_the_same_in_python_and_in_sql(log: LogWriter):
    """Who asks without the database which shard a stream belongs to hears what the relay reads by."""
    log.write(60, players=40)
    for shard in range(3):
        with EventLog(log.url, shard, 3) as source:
            for row in source.read(START, 100):
                assert (row.body is not None) == (shard_of(row.stream, 3) == shard)


def test_an_unregistered_schema_is_waited_for(
    settings: Settings, log: LogWriter, kafka: Kafka, schema_registry_url: str
):
    """Where the registry lacks a schema the relay waits and publishes nothing; once it is registered, it goes on by itself."""
    with registry.connect(schema_registry_url) as client:
        for topic in kafka.topics.of_types:
            client.delete_subject(f"{topic}-value")
            client.delete_subject(f"{topic}-value", permanent=True)
        log.write(20)
        with running(settings) as relay:
            time.sleep(1)
            assert relay.code is None
            assert kafka.messages(kafka.topics.events) == []
            registry.register(client, kafka.topics)
            kafka.wait_for(log)
    kafka.assert_exactly_once(log)


def test_a_schema_that_this_code_does_not_know_stops_the_relay_with_words(settings: Settings):
    """An event of a newer gateway is not published by an older relay: the error names the schema and the order of the upgrade."""
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        wire_ids = WireIds(client, Topics(settings.topic_prefix))
        with pytest.raises(registry.SchemaMismatchError, match="upgrade the relay before the gateways"):
            wire_ids.of(b"12345678")


def test_a_missing_topic_is_named(settings: Settings, kafka: Kafka):
    """Where topics were not applied, the error says which and what to run."""
    with pytest.raises(KafkaException, match="run `wagerledger topics apply`"):
        kafka.messages("no-such-topic")
