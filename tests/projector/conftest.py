"""A read models' database, topics and a publisher for each test."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from projector.consumer import project
from runtime.settings import Settings
from schemas import registry, topics
from schemas.topics import Topics
from tests.projector.direct_fold import PACE_US, Folded, fold
from tests.support import reference
from tests.support.random_ledger import Ledger, Publisher, decoded, random_ledger
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_database

PARTITIONS = 3


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


@dataclass
class ReadModels:
    """The projector under test, and a look at what it made."""

    settings: Settings

    def catch_up(self) -> None:
        project(self.settings, threading.Event(), until_caught_up=True)

    @contextlib.contextmanager
    def kept_up(self, **changes: Any) -> Iterator[None]:
        """A projector that runs meanwhile. What it raises is raised here."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(project, self.settings.model_copy(update=changes), stop)
            try:
                yield
            finally:
                stop.set()
            running.result()

    def wait_until(self, statement: str, *, timeout_s: float = 60) -> None:
        """Wait until a query gives true."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable):
                if self.query(statement) == [(True,)]:
                    return
            assert time.monotonic() < deadline, statement
            time.sleep(0.05)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.bi_database_url.get_secret_value()) as connection:
            return connection.execute(statement, parameters).fetchall()

    def views(self) -> dict[str, reference.Rows]:
        with psycopg.connect(self.settings.bi_database_url.get_secret_value()) as connection:
            return reference.stored(connection)

    def parked(self) -> list[tuple[Any, ...]]:
        return self.query("select stream_id, stream_version, reason from bi.parked_streams order by stream_id")

    def must_equal(self, ledger: Ledger, *, without: Callable[[dict[str, Any]], bool] = lambda _: False) -> None:
        """The views are the fold of the ledger's events, but for those left out on purpose."""
        expected = reference.fold(record for record in decoded(ledger.recorded) if not without(record))
        found = self.views()
        for rows in expected["rounds"].values():
            del rows["last"]
        for view, rows in expected.items():
            assert found[view] == rows, view


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
