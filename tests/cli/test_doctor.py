"""Doctor looks again before it says that something is wrong."""

import logging
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from cli import doctor
from runtime.settings import Settings
from schemas import topics
from schemas.topics import Topics
from tests.cli.commands import WALLET, Commands
from tests.support.waiting import until


def test_a_collation_of_our_own_servers_never_changes(ledger_database: str) -> None:
    """Doctor names it, and has nothing to add."""
    with psycopg.connect(ledger_database) as connection:
        check = doctor._collation(connection, "WAGERLEDGER_DATABASE_URL", Settings())
    assert (check.ok, check.text) == (True, "C.UTF-8 (builtin)")


def test_write_ahead_log_is_told_by_command(ledger_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few nothing can be told; of many more bytes than a bet should take, what to raise is said with its value."""

    def found() -> tuple[bool, str]:
        with psycopg.connect(ledger_database) as connection:
            check = doctor._written_ahead(connection, "WAGERLEDGER_DATABASE_URL", Settings())
        return check.ok, check.text

    assert found() == (True, "of 0 commands only: nothing can be told")
    monkeypatch.setattr(doctor, "TELLING_COMMANDS", 0)
    monkeypatch.setattr(doctor, "WAL_BYTES", 10**18)
    assert found()[0]
    monkeypatch.setattr(doctor, "WAL_BYTES", 0)
    ok, text = found()
    assert not ok
    assert "raise max_wal_size (2048 MB) and checkpoint_timeout (300 s)" in text


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


DROP_THIS_AND_NEXT = """
do $$ declare month text; begin
    set local role wagerledger_owner;
    for month in select to_char(date_trunc('month', now() at time zone 'UTC') + n * interval '1 month', 'YYYY_MM')
        from generate_series(0, 1) n
    loop execute format('drop table wagerledger.event_log_%s', month); end loop;
end $$
"""
ADOPT = """
do $$ begin
    set local role wagerledger_owner;
    perform wagerledger.adopt_event_log_default();
end $$
"""


def test_a_month_without_a_partition_is_named_until_it_has_one(ledger_database: str) -> None:
    """Events of this month came before its partition: doctor and `migrate` name the way out, and then doctor is content."""
    cli = Commands.on(ledger_database)

    def partitions() -> tuple[bool, str]:
        with psycopg.connect(ledger_database) as connection:
            check = doctor._partitions(connection, "WAGERLEDGER_DATABASE_URL", Settings())
        return check.ok, check.text

    with psycopg.connect(ledger_database, autocommit=True) as connection:
        connection.execute(DROP_THIS_AND_NEXT)
        cli("wallet", "open", "p_1", "EUR", *WALLET)
        ok, told = partitions()
        assert (ok, "run `wagerledger migrate`" in told) == (False, True)
        (month,) = cli.json("migrate")["months_without_partition"]
        assert month in cli("migrate")
        ok, told = partitions()
        assert (ok, "adopt_event_log_default()" in told) == (False, True)
        connection.execute(ADOPT)
    assert partitions() == (True, "next month's is there")
    assert cli.json("migrate")["months_without_partition"] == []
