"""Reading topics while brokers and transactions do what they do."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from patience import Patience, is_transient
from runtime import topics_reader
from runtime.topics_reader import HeldUpError, MissingTopicError, TopicsReader
from tests.support.servers import Servers
from tests.support.waiting import until

PARTITIONS = 3
RECORDS = 3000


@pytest.fixture
def reader(servers: Servers) -> TopicsReader:
    return TopicsReader(servers.kafka_bootstrap_servers, Patience())


@pytest.fixture
def make(servers: Servers, topic_prefix: str) -> Iterator[Callable[..., str]]:
    """Makes topics; none of them is waited for."""
    admin = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    made: list[str] = []

    def make(partitions: int = PARTITIONS) -> str:
        made.append(f"{topic_prefix}{len(made)}")
        for future in admin.create_topics([NewTopic(made[-1], partitions, 1)]).values():
            future.result()
        return made[-1]

    yield make
    for future in admin.delete_topics(made).values():
        future.result()


@pytest.fixture
def transaction(servers: Servers, topic_prefix: str) -> Iterator[Producer]:
    """Somebody's Kafka transaction, which is open."""
    producer = Producer(
        {"bootstrap.servers": servers.kafka_bootstrap_servers, "transactional.id": f"{topic_prefix}foreign"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    yield producer
    producer.purge(blocking=False)


def write(servers: Servers, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": servers.kafka_bootstrap_servers, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def values(reader: TopicsReader, topic: str) -> list[bytes | None]:
    return [message.value() for message in reader.read(reader.ends([topic]))]


def test_topics_made_in_that_very_moment_are_read(reader, make):
    """A topic that was just made has no leaders for a moment, and is read all the same."""
    for _ in range(5):
        assert values(reader, make()) == []


def test_a_topic_is_missing_when_it_was_looked_for_more_than_once(reader, make, servers, caplog, topic_prefix):
    """A topic that comes while it is looked for is found; one that does not come is missing, and the error says what to do."""
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(values, reader, f"{topic_prefix}0")
        until(lambda: "there is no topic" in caplog.text, "the reader to look again")
        make()
        assert reading.result() == []
    impatient = TopicsReader(servers.kafka_bootstrap_servers)
    with pytest.raises(MissingTopicError, match="run `wagerledger topics apply`") as raised:
        impatient.ends([f"{topic_prefix}never"])
    assert is_transient(raised.value)


@pytest.mark.parametrize("silence_s", [60.0, 3.0], ids=["the client recovers", "the client is replaced"])
def test_a_broker_that_dies_in_the_middle_costs_only_delay(reader, make, servers, stack, monkeypatch, silence_s):
    """Each record is read once and in order although the broker is killed meanwhile, by the same client or by another that goes on from there."""
    for name, setting in (("AHEAD_KB", 64), ("FETCHED_BYTES", 16_384), ("SILENCE_S", silence_s)):
        monkeypatch.setattr(topics_reader, name, setting)
    topic = make()
    for partition in range(PARTITIONS):
        write(servers, topic, [b"%d" % n + bytes(500) for n in range(RECORDS)], partition)
    batches = reader.read_batches(reader.ends([topic]), at_once=100)
    read = list(itertools.islice(batches, 3))
    stack.kafka.kill()
    starting = threading.Thread(target=stack.kafka.start, daemon=True)
    starting.start()
    try:
        read += batches
    finally:
        starting.join()
    offsets: dict[int, list[int]] = {}
    for message in itertools.chain.from_iterable(read):
        offsets.setdefault(message.partition(), []).append(message.offset())
    assert offsets == {partition: list(range(RECORDS)) for partition in range(PARTITIONS)}


def test_records_that_are_gone_are_not_passed_over(reader, make, servers, monkeypatch):
    """What is deleted before it was read is an error, not a shorter topic."""
    for name, setting in (("AHEAD_KB", 64), ("FETCHED_BYTES", 16_384)):
        monkeypatch.setattr(topics_reader, name, setting)
    topic = make(1)
    write(servers, topic, [bytes(500)] * RECORDS)
    batches = reader.read_batches(reader.ends([topic]), at_once=10)
    next(batches)
    admin = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 0, RECORDS - 1)]).values():
        future.result()
    with pytest.raises(KafkaException) as raised:
        list(batches)
    assert not is_transient(raised.value)


def test_an_end_that_never_comes_is_given_up(make, servers, monkeypatch):
    """A partition that stays short of its end is silence, not an answer: patience with it comes to its end."""
    monkeypatch.setattr(topics_reader, "SILENCE_S", 3)
    topic = make(1)
    write(servers, topic, [b"one", b"two"])
    batches = TopicsReader(servers.kafka_bootstrap_servers, Patience(1)).read_batches({(topic, 0): 3})
    assert [message.value() for message in next(batches)] == [b"one", b"two"]
    with pytest.raises(KafkaException, match="before the ends of"):
        next(batches)


@pytest.mark.parametrize("commit", [True, False])
def test_an_open_transaction_is_waited_for(reader, make, servers, transaction, monkeypatch, caplog, commit):
    """Ends are told only when all that is before them is decided; a committed record that was written before is among it."""
    monkeypatch.setattr(topics_reader, "SAID_AFTER_S", 0)
    topic = make()
    reader.ends([topic])  # it has leaders
    transaction.produce(topic, b"on its way", partition=1)
    transaction.flush()
    write(servers, topic, [b"hidden"], 1)
    write(servers, topic, [b"visible"], 2)
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(values, reader, topic)
        until(lambda: f"{topic}, partition 1, is held up" in caplog.text, "the reader to wait")
        (transaction.commit_transaction if commit else transaction.abort_transaction)(30)
        assert set(reading.result()) == {b"hidden", b"visible"} | ({b"on its way"} if commit else set())


def test_what_holds_the_end_up_is_named(reader, make, transaction, monkeypatch):
    """A transaction that stays open is no time-out: the error names topic, partition and offset, and is not tried again."""
    monkeypatch.setattr(topics_reader, "HELD_UP_S", 0.2)
    topic = make()
    reader.ends([topic])
    transaction.produce(topic, b"hanging", partition=1)
    transaction.flush()
    with pytest.raises(HeldUpError, match=f"{topic}, partition 1, is held up.*offset 0.*kafka-transactions") as raised:
        reader.ends([topic])
    assert not is_transient(raised.value)
    transaction.abort_transaction(30)
    assert reader.filled([topic]) == set()


def test_the_last_record_is_found_behind_aborted_ones(reader, make, servers, transaction):
    """The newest record is the newest committed one, however much was aborted after it."""
    topic = make(1)
    assert reader.last(topic) is None
    write(servers, topic, [b"1", b"2"])
    assert reader.last(topic).value() == b"2"
    for _ in range(150):
        transaction.produce(topic, b"aborted", partition=0)
    transaction.flush()
    transaction.abort_transaction(30)
    assert reader.last(topic).value() == b"2"
