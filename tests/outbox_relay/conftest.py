"""A ledger database, topics and registered schemas of one's own for each test, and a relay to run on them."""

from collections.abc import Iterator

import pytest

from runtime.settings import Settings
from schemas import registry, topics
from schemas.registry import Reader
from schemas.topics import Topics
from tests.support.log_writer import LogWriter
from tests.support.relays import PARTITIONS, Kafka, delete


@pytest.fixture
def settings(
    ledger_database: str, kafka_bootstrap_servers: str, schema_registry_url: str, topic_prefix: str
) -> Iterator[Settings]:
    names = Topics(topic_prefix)
    topics.apply(kafka_bootstrap_servers, names, partitions=PARTITIONS, replication=1)
    with registry.connect(schema_registry_url) as client:
        registry.register(client, names)
    yield Settings(
        database_url=ledger_database,
        kafka_bootstrap_servers=kafka_bootstrap_servers,
        schema_registry_url=schema_registry_url,
        topic_prefix=topic_prefix,
        topic_partitions=PARTITIONS,
        relay_batch_rows=50,
        relay_poll_ms=10,
    )
    delete(kafka_bootstrap_servers, names.all)


@pytest.fixture
def log(ledger_database: str) -> LogWriter:
    return LogWriter(ledger_database)


@pytest.fixture
def kafka(settings: Settings) -> "Iterator[Kafka]":
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        yield Kafka(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix), Reader(client))
