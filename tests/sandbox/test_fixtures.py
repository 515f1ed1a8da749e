"""What the shared fixtures promise to every other test."""

from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox.servers.process import StartError, silent
from sandbox.servers.stack import Stack
from tests.support import servers
from tests.support.lasting_connection import LastingConnection, assert_none_dies_with
from tests.support.servers import ServersError, running_servers


def test_ledger_database_is_migrated_and_empty(ledger_database):
    """A test gets the ledger's tables with nothing in them."""
    with psycopg.connect(ledger_database) as connection:
        assert connection.execute("SELECT count(*) FROM wagerledger.event_log").fetchone() == (0,)


def test_databases_of_two_tests_differ(ledger_database, empty_database):
    """What one test writes, no other test sees."""
    assert ledger_database != empty_database
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regclass('wagerledger.event_log')").fetchone() == (None,)


def test_bi_database_is_on_another_instance(ledger_database, bi_database):
    """A writing transaction of a read model cannot hold up the relay."""
    identities = []
    for url in (ledger_database, bi_database):
        with psycopg.connect(url) as connection:
            identities.append(connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone())
    assert identities[0] != identities[1]


def test_topic_prefix_makes_topics_possible(kafka_bootstrap_servers, topic_prefix):
    """The prefix is a legal beginning of a topic's name."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap_servers})
    created = admin.create_topics([NewTopic(f"{topic_prefix}x", 1, 1)])
    created[f"{topic_prefix}x"].result(timeout=30)


def test_half_configured_own_servers_are_refused(monkeypatch):
    """With some of the four variables set, the error names the others."""
    monkeypatch.delenv("WAGERLEDGER_TEST_SERVERS", raising=False)
    monkeypatch.setenv("WAGERLEDGER_DATABASE_URL", "postgresql://127.0.0.1/x")
    monkeypatch.delenv("WAGERLEDGER_SCHEMA_REGISTRY_URL", raising=False)
    with pytest.raises(ServersError, match="WAGERLEDGER_SCHEMA_REGISTRY_URL"), running_servers():
        pass


class Unlucky(Stack):
    """A stack that does not start `failures` times. Nothing is run."""

    failures = 0

    def start(self) -> None:
        if type(self).failures:
            type(self).failures -= 1
            raise StartError("the port was taken")


@pytest.mark.parametrize("failures", [2, 3])
def test_a_stack_that_does_not_start_is_tried_again(monkeypatch, tmp_path, failures):
    """Twice is bad luck on a busy machine; the third time is one clear error. The logs of each attempt are kept apart."""
    monkeypatch.setattr(servers, "Stack", Unlucky)
    monkeypatch.setattr(Unlucky, "failures", failures)
    monkeypatch.setenv("WAGERLEDGER_TEST_LOGS", str(tmp_path))
    with ExitStack() as opened:
        if failures == servers.START_ATTEMPTS:
            with pytest.raises(ServersError, match="did not start in 3 attempts: the port was taken"):
                servers._started(opened, silent)
        else:
            stack = servers._started(opened, silent)
            assert stack.kafka.start_timeout_s == servers.START_TIMEOUT_S
            assert Path(stack.root / "log").is_dir()
    assert len(list(tmp_path.glob("*/logs-*"))) == 3


def test_a_connection_that_would_die_with_a_server_is_found(stack: Stack):
    """What a fixture of many tests holds open is found before a test stops the servers, but for a connection that is made anew."""
    url = stack.ledger_database.url
    lasting = LastingConnection(lambda: psycopg.connect(url))
    assert_none_dies_with(stack)
    with psycopg.connect(url), pytest.raises(AssertionError, match="open a LastingConnection"):
        assert_none_dies_with(stack)
    lasting().close()
    assert lasting().execute("select 1").fetchone() == (1,)
    lasting.close()
