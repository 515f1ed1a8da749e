"""After a restore from the archive the relay finds its place: nothing is published twice, and nothing is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from audit.verify import verify
from cli.main import app
from evidence.archive.restore import restore
from evidence.keys import to_text
from outbox_relay.recover import recover
from runtime.service import REFUSED
from runtime.settings import Settings
from schemas import registry, topics
from schemas.topics import Topics
from tests.support.commands import BY
from tests.support.random_game import play
from tests.support.relays import PARTITIONS, Kafka, delete, run_to_end, running
from tests.support.seals import KEY, archive, deposit, opened, past_month, seal
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_database
from tests.support.topic_filler import logged


@pytest.fixture
def restored(
    settings: Settings, servers: Servers, ledger_template: str, ledger_database: str, tmp_path: Path
) -> Iterator[Settings]:
    """A database restored from the archive of `settings`' own, of which the last events were not published."""
    play(settings, seeded_random(), players=2, steps=6)
    publish(settings, ledger_database)
    deposit(ledger_database)
    seal(ledger_database)
    archive(ledger_database, tmp_path)
    with fresh_database(servers.database_url, template=ledger_template) as url:
        restore(url, opened(tmp_path), BY)
        yield settings.model_copy(update={"database_url": SecretStr(url)})


def test_the_relay_finds_its_place_after_a_restore(
    restored: Settings, kafka: Kafka, capsys: pytest.CaptureFixture[str]
):
    """Where topics hold the events already, it refuses to guess until `recover` has found the position, and then each
    event is published exactly once; empty topics get the log from its first event on.
    """
    url = restored.database_url.get_secret_value()
    assert run_to_end(restored) == REFUSED
    assert "generation was 1, is 2" in capsys.readouterr().out
    found = recover(restored)
    assert (found.restored, found.duplicates) == (0, 0)
    deposit(url)
    publish(restored, url)
    check(kafka, url)
    with empty_topics(restored) as other:
        publish(other, url)
        check(replace(kafka, topics=Topics(other.topic_prefix)), url)


def test_recover_misses_nothing_that_is_only_in_the_archive(
    settings: Settings, kafka: Kafka, ledger_database: str, tmp_path: Path
):
    """A month goes when the relay is past it; then streams that ended in it are not lost, and nothing is published twice."""
    with past_month(ledger_database):
        play(settings, seeded_random(), players=2, steps=4)
    publish(settings, ledger_database)
    deposit(ledger_database)  # one of the streams goes on
    seal(ledger_database)
    archive(ledger_database, tmp_path)
    assert "every shard has published a later one" in detach(settings, tmp_path, code=1)
    publish(settings, ledger_database)
    published = [wire.body for wire in kafka.events()]
    assert "are in" in detach(settings, tmp_path)
    assert verify(settings, archive=opened(tmp_path)).findings == [], "the topics' heads are known from the archive"

    kafka.recreate(kafka.topics.relay_position)
    deposit(ledger_database, times=1)
    found = recover(settings)
    assert (found.restored, found.completed) == (0, 0)
    publish(settings, ledger_database)
    bodies = [wire.body for wire in kafka.events()]
    assert len(bodies) == len(published) + 1
    assert set(bodies) == {*published, *(row.body for row in logged(ledger_database))}


def detach(settings: Settings, folder: Path, code: int = 0) -> str:
    environment = {
        "WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "WAGERLEDGER_TOPIC_PREFIX": settings.topic_prefix,
        "WAGERLEDGER_ANCHOR_PUBLIC_KEYS": to_text(KEY.public_key()),
        "COLUMNS": "200",
    }
    command = ["audit", "detach", "--month", "2026-01", "--archive", str(folder), "--actor", "ops", "--reason", "old"]
    done = CliRunner().invoke(app, command, env=environment)
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


@contextmanager
def empty_topics(settings: Settings) -> Iterator[Settings]:
    prefix = f"{settings.topic_prefix}new."
    names = Topics(prefix)
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=PARTITIONS, replication=1)
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        registry.register(client, names)
    yield settings.model_copy(update={"topic_prefix": prefix})
    delete(settings.kafka_bootstrap_servers, names.all)


def publish(settings: Settings, url: str) -> None:
    kafka = Kafka(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix), None)  # type: ignore[arg-type]  # it only waits
    with running(settings):
        kafka.wait_for(None, published=len(logged(url)))  # type: ignore[arg-type]  # the number is given


def check(kafka: Kafka, url: str) -> None:
    expected = [row.body for row in logged(url)]
    assert sorted(wire.body for wire in kafka.events()) == sorted(expected)
    assert sorted(wire.body for wire in kafka.of_types()) == sorted(expected)
