"""The journal's connection, on a real PostgreSQL: many statements in one exchange, and what stays of it when one fails."""

import asyncio

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from ledger.journal.pipeline import Connection
from ledger.store.statement import Statement
from runtime.arrays import Int8, Text
from tests.support.journals import run

NUMBERS = Statement("select unnest(%b::bigint[])", [Int8([1, 2, 3])])
DIVIDE = "select 1 / unnest(%b::bigint[])"


@pytest.fixture
def connected(ledger_database):
    """`connected(test)`: run a coroutine with a connection."""

    def with_connection(test):
        async def main():
            async with await Connection.connect(ledger_database) as connection:
                return await test(connection)

        return run(main)

    return with_connection


async def works(connection):
    """It answers, and nothing of an earlier transaction is left."""
    await connection.rollback()
    return (await connection.run([NUMBERS]))[0] == [(1,), (2,), (3,)]


def test_rows_come_in_the_order_of_the_statements(connected):
    """Each statement has its rows, none has none; the first one begins a transaction."""

    async def test(connection):
        nothing = Statement("select 1 where false", ())
        assert await connection.run([NUMBERS, nothing, NUMBERS]) == [[(1,), (2,), (3,)], [], [(1,), (2,), (3,)]]
        assert connection.pgconn.transaction_status == TransactionStatus.INTRANS
        await connection.commit()
        assert connection.pgconn.transaction_status == TransactionStatus.IDLE

    connected(test)


def test_an_exchange_larger_than_every_buffer(connected):
    """Megabytes both ways at once block nobody."""

    async def test(connection):
        texts = [f"{number:01000}" for number in range(10_000)]
        echo = Statement("select unnest(%b::text[])", [Text(texts)])
        for rows in await connection.run([echo] * 3):
            assert [text for (text,) in rows] == texts

    connected(test)


def test_the_first_error_is_raised(connected):
    """What follows it is not run, the transaction is undone, and the connection goes on."""

    async def test(connection):
        make = Statement("create temporary table made (n bigint)", ())
        statements = [make, Statement(DIVIDE, [Int8([0])]), Statement("select 'nonsense'::bigint", ())]
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.run(statements[:2])
            assert await works(connection)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await connection.run(statements)
        assert await works(connection)

    connected(test)


def test_a_statement_that_cannot_be_prepared_may_be_later(connected):
    """Neither it nor its neighbours are lost to the connection."""

    async def test(connection):
        reads = Statement("select n from later", ())
        with pytest.raises(psycopg.errors.UndefinedTable):
            await connection.run([NUMBERS, reads])
        await connection.rollback()
        await connection.execute("create temporary table later (n bigint)")
        assert await connection.run([reads, NUMBERS]) == [[], [(1,), (2,), (3,)]]

    connected(test)


@pytest.mark.parametrize("bad", [Text(["\ud800"]), Int8([2**63])])
def test_a_value_that_cannot_be_sent(connected, bad):
    """It fails before anything is sent: the connection goes on."""

    async def test(connection):
        with pytest.raises((UnicodeEncodeError, OverflowError)):
            await connection.run([NUMBERS, Statement(f"select %b::{bad.element}[]", [bad])])
        assert await works(connection)

    connected(test)


def test_the_number_of_rows_is_checked(connected):
    """More or fewer than must be is a bug, told before anything is committed."""

    async def test(connection):
        assert await connection.run([NUMBERS._replace(rows=3)])
        with pytest.raises(AssertionError, match="3 rows instead of 2"):
            await connection.run([NUMBERS._replace(rows=2)])
        assert await works(connection)

    connected(test)


def test_a_backend_that_ends_is_an_error(connected):
    """Whatever was under way: the caller hears it at once and does not wait."""

    async def test(connection):
        ends = Statement("select pg_terminate_backend(pg_backend_pid())", ())
        with pytest.raises(psycopg.OperationalError):
            await connection.run([NUMBERS, ends, NUMBERS])
        with pytest.raises(psycopg.OperationalError):
            await connection.run([NUMBERS])

    connected(test)


def test_who_stops_waiting_closes_the_connection(connected):
    """A deadline in the middle of an exchange: no cancel request, no half-read answer that the next caller would hear."""

    async def test(connection):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connection.run([NUMBERS, Statement("select pg_sleep(30)", ())])
        assert connection.closed
        with pytest.raises(psycopg.OperationalError):
            await connection.run([NUMBERS])

    connected(test)
