"""One transaction, done once: whatever happens to the connection at its commit."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from patience import Patience
from patience.postgresql import UnknownOutcomeError, transact
from patience.session import connect_as_is

PATIENCE = Patience(30)


class LostBefore(psycopg.Connection[Any]):
    """The connection ends when the commit is asked for; the server has not heard of it."""

    def commit(self) -> None:
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


class LostAfter(psycopg.Connection[Any]):
    """The server has committed; its answer is lost."""

    def commit(self) -> None:
        super().commit()
        self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def counted(empty_database: str) -> Iterator[str]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("create table counted (n integer)")
    return empty_database


def connections(url: str, *kinds: type[psycopg.Connection[Any]]):
    """Connections of these kinds, one after the other; then sound ones."""
    waiting = list(kinds)
    return lambda: (waiting.pop(0) if waiting else psycopg.Connection[Any]).connect(url)


def count(connection: psycopg.Connection[Any]) -> str:
    connection.execute("insert into counted values (1)")
    return "counted"


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        return len(connection.execute("select from counted").fetchall())


@pytest.mark.parametrize("lost", [(), (LostBefore,), (LostAfter,), (LostBefore, psycopg.Connection, LostAfter)])
def test_it_is_done_once(counted: str, lost: tuple[type[psycopg.Connection[Any]], ...]):
    """A connection that is lost at the commit, before or after it happened, makes a transaction neither vanish nor happen twice."""
    assert transact(connections(counted, *lost), count, PATIENCE) == "counted"
    assert rows(counted) == 1


def test_it_is_done_again_after_trouble_on_the_way(counted: str):
    """What fails before the commit is undone and done again as a whole."""
    attempts = []

    def flawed(connection: psycopg.Connection[Any]) -> str:
        attempts.append(1)
        count(connection)
        if len(attempts) == 1:
            connection.execute("select pg_terminate_backend(pg_backend_pid())")
        return "counted"

    assert transact(connections(counted), flawed, PATIENCE) == "counted"
    assert (len(attempts), rows(counted)) == (2, 1)


def test_a_block_of_its_own_commits_nothing(counted: str):
    """What an action wraps in psycopg's `transaction()` is a part of the whole: trouble behind it undoes it too."""
    attempts = []

    def blocked(connection: psycopg.Connection[Any]) -> str:
        attempts.append(1)
        with connection.transaction():
            count(connection)
        if len(attempts) == 1:
            connection.execute("select pg_terminate_backend(pg_backend_pid())")
        return "counted"

    assert transact(connections(counted, psycopg.Connection, LostAfter), blocked, PATIENCE) == "counted"
    assert (len(attempts), rows(counted)) == (2, 1)


def test_a_command_does_not_wait_for_a_machine_that_is_gone(empty_database: str):
    """The system looks after each connection of a command: a peer that went without a word ends it within half a minute."""
    with connect_as_is(empty_database) as connection, socket.socket(fileno=os.dup(connection.fileno())) as opened:
        if opened.family == socket.AF_UNIX or not hasattr(socket, "TCP_USER_TIMEOUT"):
            pytest.skip("no network between, or no Linux")
        idle_s, interval_s, times = (
            opened.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert idle_s + interval_s * times <= 30
        assert 0 < opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000


def test_what_is_no_trouble_is_raised(counted: str):
    """A refusal undoes the transaction and is not tried again."""
    attempts = []

    def refused(connection: psycopg.Connection[Any]) -> None:
        attempts.append(1)
        count(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        transact(connections(counted), refused, PATIENCE)
    assert (len(attempts), rows(counted)) == (1, 0)


def test_an_outcome_that_cannot_be_asked_is_said(counted: str):
    """Where the server stays away after the commit was asked for, nobody claims to know."""
    waiting = [LostAfter.connect]

    def connect() -> psycopg.Connection[Any]:
        if not waiting:
            raise psycopg.OperationalError("connection refused")
        return waiting.pop()(counted)

    with pytest.raises(UnknownOutcomeError, match="look before you repeat it"):
        transact(connect, count, Patience(0))
    assert rows(counted) == 1


def test_an_action_may_choose_its_isolation(counted: str):
    """Whoever reads one unchanging state says so first, as in any transaction."""

    def look(connection: psycopg.Connection[Any]) -> tuple[str, str]:
        connection.execute("set transaction isolation level repeatable read, read only")
        row = connection.execute(
            "select current_setting('transaction_isolation'), current_setting('transaction_read_only')"
        ).fetchone()
        assert row
        return row

    assert transact(connections(counted), look, PATIENCE) == ("repeatable read", "on")
