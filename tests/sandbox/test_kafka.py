"""The embedded Kafka keeps what it was given, whatever ends it."""

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox.kafka import Kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    server = Kafka(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_committed_messages_survive(kafka, end):
    """What a Kafka transaction committed is there, once, after a stop and after a SIGKILL."""
    kafka.start()
    topic = f"survives-{end}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    write(kafka, topic, b"kept", commit=True)
    write(kafka, topic, b"dropped", commit=False)
    port = kafka.port
    getattr(kafka, end)()
    kafka.start()
    assert kafka.port == port
    write(kafka, topic, b"last", commit=True)
    assert read_until(kafka, topic, b"last") == [b"kept", b"last"]


def test_topics_are_never_made_by_a_mistyped_name(kafka):
    """Writing to a topic that nobody made is an error."""
    kafka.start()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "allow.auto.create.topics": True})
    error = producer.list_topics("mistyped", timeout=30).topics["mistyped"].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def write(kafka, topic, value, *, commit):
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": "test", "log_level": 0},
    )
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(topic, value)
    if commit:
        producer.commit_transaction(60)
    else:
        producer.flush(60)
        producer.abort_transaction(60)


def read_until(kafka, topic, last):
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": f"{topic}-readers",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    consumer.subscribe([topic])
    values = []
    while not values or values[-1] != last:
        message = consumer.poll(60)
        assert message is not None, f"only {values} within a minute"
        assert message.error() is None, message.error()
        values.append(message.value())
    consumer.close()
    return values
