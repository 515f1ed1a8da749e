"""A read models' database, topics and a publisher for each test."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient

from runtime.settings import Settings
from schemas import registry, topics
from schemas.topics import Topics
from tests.projector.direct_fold import PACE_US, Folded, fold
from tests.support.random_ledger import Publisher, decoded, random_ledger
from tests.support.read_models import PARTITIONS, ReadModels
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_database


@pytest.fixture
def settings(
    bi_database: str, kafka_bootstrap_servers: str, schema_registry_url: str, topic_prefix: str
) -> Iterator[Settings]:
    settings = Settings(
        bi_database_url=bi_database,
        kafka_bootstrap_servers=kafka_bootstrap_servers,
        schema_registry_url=schema_registry_url,
        topic_prefix=topic_prefix,
        topic_partitions=PARTITIONS,
        projector_batch=97,
    )
    names = Topics(topic_prefix)
    topics.apply(kafka_bootstrap_servers, names, partitions=PARTITIONS, replication=1)
    yield settings
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap_servers})
    for answer in admin.delete_topics(names.all).values():
        answer.result(60)


@pytest.fixture
def publisher(settings: Settings, wire_ids: registry.WireIds) -> Publisher:
    return Publisher(
        settings.kafka_bootstrap_servers,
        Topics(settings.topic_prefix).events,
        lambda fingerprint: wire_ids.of(fingerprint).events,
    )


@pytest.fixture
def read_models(settings: Settings) -> ReadModels:
    return ReadModels(settings)


@pytest.fixture(scope="session")
def folded(servers: Servers) -> Iterator[Folded]:
    """One history of some days, folded once for the tests of all models; they only read."""
    rng = seeded_random()
    records = decoded(random_ledger(rng, 1500, PACE_US).recorded)
    with fresh_database(servers.bi_database_url) as url, fold(url, records, rng) as folded:
        yield folded
