"""Doctor looks again before it says that something is wrong."""

import logging
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from cli import doctor
from ledger.settings import Settings
from schemas import topics
from schemas.topics import Topics
from tests.support.waiting import until


def test_a_collation_of_our_own_servers_never_changes(ledger_database: str) -> None:
    """Doctor names it, and has nothing to add."""
    with psycopg.connect(ledger_database) as connection:
        check = doctor._collation(connection, "WAGERLEDGER_DATABASE_URL", Settings())
    assert (check.ok, check.text) == (True, "C.UTF-8 (builtin)")


def test_topics_that_were_just_made_are_not_missing(
    kafka_bootstrap_servers: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not in a broker's first answer may be in its next; only what stays away is missing."""
    monkeypatch.setattr(doctor, "TIMEOUT_S", 60)
    settings = Settings(kafka_bootstrap_servers=kafka_bootstrap_servers, topic_prefix=topic_prefix, patience_s=60)
    names = Topics(topic_prefix)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap_servers})
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(1) as pool:
        looking = pool.submit(doctor._missing_topics, admin, settings)
        until(lambda: looking.done() or f"there is no topic {names.events}" in caplog.text, "doctor's first look")
        topics.apply(kafka_bootstrap_servers, names, partitions=1, replication=1)
        assert looking.result(120) == []
    for deleted in admin.delete_topics(names.all).values():
        deleted.result(60)
