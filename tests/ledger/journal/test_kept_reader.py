"""Waiting for PostgreSQL with a reader that stays: nothing is left behind, whatever ends the wait."""

import asyncio

import psycopg
import pytest

from ledger.journal.pipeline import Connection
from ledger.store.statement import Statement
from tests.support.waiting import until

SLEEP = Statement("select pg_sleep(60)", ())
ONE = Statement("select 1", ())


def is_read(fileno: int) -> bool:
    """Whether the event loop still waits for this socket; it does not any more afterwards."""
    return asyncio.get_running_loop().remove_reader(fileno)


async def test_who_is_cancelled_leaves_a_closed_connection(ledger_database):
    """In the midst of a statement nothing else can be done with it, and its socket's number is soon another's."""
    connection = await Connection.connect(ledger_database)
    await connection.run([ONE])
    fileno = connection.pgconn.socket
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await connection.run([SLEEP])
    assert connection.closed
    assert not is_read(fileno)


async def test_who_closes_lets_go(ledger_database):
    """A closed connection is waited for by nobody."""
    connection = await Connection.connect(ledger_database)
    await connection.run([ONE])
    fileno = connection.pgconn.socket
    await connection.close()
    assert not is_read(fileno)


async def test_a_session_that_ends_while_idle_keeps_nobody_busy(ledger_database):
    """What is there to read and read by nobody would wake the event loop for ever: it is heard once. Whoever writes next
    finds out."""
    connection = await Connection.connect(ledger_database, autocommit=True)
    await connection.run([ONE])
    await connection.commit()
    fileno, pid = connection.pgconn.socket, connection.pgconn.backend_pid
    assert connection._reader._reads
    async with await psycopg.AsyncConnection.connect(ledger_database, autocommit=True) as other:
        await other.execute("select pg_terminate_backend(%s, 10000)", [pid])
    await asyncio.to_thread(until, lambda: not connection._reader._reads, "a reader that was taken away")
    assert not is_read(fileno)
    with pytest.raises(psycopg.OperationalError):
        await connection.run([ONE])
    await connection.close()


async def test_an_error_of_the_server_leaves_the_reader(ledger_database):
    """The next statement is waited for as before."""
    async with await Connection.connect(ledger_database) as connection:
        for _ in range(3):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.run([Statement("select 1 / 0", ())])
            await connection.rollback()
            assert await connection.run([ONE]) == [[(1,)]]
            await connection.rollback()
