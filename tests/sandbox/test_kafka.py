"""The embedded Kafka keeps what it was given, whatever ends it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from sandbox.servers.kafka import Kafka
from sandbox.servers.kafka_reader import read_all
from tests.support.strangers import Robbed, started

WRITERS = 16
MANY = 100


@pytest.fixture(scope="module")
def kafka(own_servers, tmp_path_factory):
    """One whose controller's port a stranger took in the last moment."""
    with started([server := RobbedKafka(tmp_path_factory.mktemp("kafka"))]):
        yield server


class RobbedKafka(Robbed, Kafka):
    coveted = (1,)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_committed_messages_survive(kafka, end):
    """What a Kafka transaction committed is there, once, and what it aborted is not, after a stop and after a SIGKILL that comes before all markers of all transactions are written."""
    kafka.start()
    port, topic = kafka.port, f"survives-{end}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    admin.create_topics([NewTopic(f"many-{end}", MANY, 1)])[f"many-{end}"].result(30)
    with ThreadPoolExecutor(WRITERS) as threads:
        before = list(threads.map(lambda number: Writer(kafka, topic, number, b"before"), range(WRITERS)))
        list(threads.map(lambda writer: writer.end(commit=writer.number % 4 < 2), before))
        getattr(kafka, end)()
        kafka.start()
        assert kafka.port == port
        assert all_partitions_answer(kafka) > MANY
        # A transaction without its marker would be ended by the next one of its producer: here, the other way.
        after = list(threads.map(lambda number: Writer(kafka, topic, number, b"after"), range(WRITERS)))
        list(threads.map(lambda writer: writer.end(commit=writer.number % 4 >= 2), after))
    committed = [b"%d before" % number if number % 4 < 2 else b"%d after" % number for number in range(WRITERS)]
    assert sorted(read(kafka, topic)) == sorted(committed)


def test_topics_are_never_made_by_a_mistyped_name(kafka):
    """Writing to a topic that nobody made is an error."""
    kafka.start()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "allow.auto.create.topics": True})
    error = producer.list_topics("mistyped", timeout=30).topics["mistyped"].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_reading_waits_for_open_transactions(kafka):
    """A reader reads up to the end that it saw: what an open transaction has written there is waited for, not overlooked, and what comes later is not read."""
    kafka.start()
    topic = "open-transactions"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    Writer(kafka, topic, 0, b"first").end(commit=True)
    committed, aborted = Writer(kafka, topic, 2, b"second"), Writer(kafka, topic, 4, b"aborted")
    with pytest.raises(KafkaException, match="a transaction may be open"):
        list(read_all(kafka.bootstrap_servers, topic, silence_s=1))
    reading = read_all(kafka.bootstrap_servers, topic)
    values = [next(reading).value()]
    aborted.end(commit=False)
    committed.end(commit=True)
    Writer(kafka, topic, 6, b"late").end(commit=True)
    assert [*values, *(message.value() for message in reading)] == [b"0 first", b"2 second"]
    everything = read_all(kafka.bootstrap_servers, topic, isolation="read_uncommitted")
    assert [message.value() for message in everything] == [b"0 first", b"2 second", b"4 aborted", b"6 late"]


def test_records_that_are_gone_are_not_passed_over(kafka):
    """What is deleted after it was counted is an error, not a shorter topic: this reader checks that nothing is lost."""
    kafka.start()
    topic = "deleted"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    for partition in (0, 1):
        Writer(kafka, topic, partition, b"first").end(commit=True)
        Writer(kafka, topic, partition + 2, b"second").end(commit=True)
    reading = read_all(kafka.bootstrap_servers, topic)
    next(reading)
    admin.delete_records([TopicPartition(topic, 1, 1)])[TopicPartition(topic, 1)].result(30)
    with pytest.raises(KafkaException, match="Offset out of range"):
        list(reading)


def all_partitions_answer(kafka):
    """Asks each partition of each topic, the internal ones too, once; gives their number."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    partitions = [
        TopicPartition(name, partition)
        for name, topic in admin.list_topics(timeout=30).topics.items()
        for partition in topic.partitions
    ]
    for answer in admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.latest())).values():
        answer.result(30)
    return len(partitions)


class Writer:
    """A producer with one transaction, begun."""

    def __init__(self, kafka, topic, number, what):
        self.number = number
        self.producer = Producer(
            {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"test-{number}", "log_level": 0},
        )
        self.producer.init_transactions(60)
        self.producer.begin_transaction()
        self.producer.produce(topic, b"%d %s" % (number, what), partition=number % 2)
        assert not self.producer.flush(60)

    def end(self, *, commit):
        if commit:
            self.producer.commit_transaction(60)
        else:
            self.producer.abort_transaction(60)


def read(kafka, topic):
    """All that a committed reader sees."""
    servers = {"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0}
    options = {"isolation.level": "read_committed", "auto.offset.reset": "earliest", "enable.partition.eof": True}
    consumer = Consumer({**servers, **options, "group.id": f"{topic}-readers"})
    consumer.subscribe([topic])
    values, ended = [], set()
    while len(ended) < 2:
        message = consumer.poll(60)
        assert message is not None, f"only {values} within a minute"
        if message.error() is None:
            values.append(message.value())
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add(message.partition())
    consumer.close()
    return values
