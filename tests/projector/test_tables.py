"""What a fold is promised of the tables that it writes to without waiting."""

import contextlib

import psycopg
import pytest
from pydantic import SecretStr

from projector import database
from projector.checkpoint import Checkpoint
from projector.folding import Folder, Underway
from projector.gate import Verdict
from projector.projection import incoming
from projector.records import Records

NUMBERS = f"select number from {incoming('number bigint')}"
MISSED = f"update known k set number = e.number from {incoming('number bigint')} where k.number = e.number"
CLASH = f"insert into known select number from {incoming('number bigint')}"


class MissedError(Exception):
    """Rows were not there."""


@pytest.fixture
def connection(bi_database_of_module: str):
    with contextlib.closing(database.connect(SecretStr(bi_database_of_module))) as connection:
        connection.execute("create temporary table known as select 1::bigint as number")
        connection.execute("create unique index on known (number)")
        yield connection


def test_a_row_that_was_missed_is_told_before_the_commit(connection):
    """Nothing of a transaction stays in which a write missed a row, also where an answer was there before its own."""
    with pytest.raises(MissedError, match="1 missed"), database.transaction(connection) as tables:  # noqa: PT012, what comes of several
        asked = tables.ask(NUMBERS, [[7]])
        tables.write(CLASH, [[2]])
        tables.read(NUMBERS, [[8]])
        tables.write(MISSED, [[1], [5]], lambda missed: MissedError(f"{missed} missed"))
        assert asked() == [(7,)]
    assert connection.execute("select number from known").fetchall() == [(1,)]


def test_a_row_that_was_missed_is_told_rather_than_what_came_of_it(connection):
    """Who lost a race hears that, and not that a row is there already, which would be an event's own fault."""
    with pytest.raises(MissedError), database.transaction(connection) as tables:  # noqa: PT012, what comes of several
        tables.write(MISSED, [[5]], lambda _: MissedError())
        tables.write(CLASH, [[1]])
    with pytest.raises(MissedError), database.transaction(connection) as tables:  # noqa: PT012, what comes of several
        tables.write(MISSED, [[5]], lambda _: MissedError())
        raise ValueError("a fold's")
    with pytest.raises(psycopg.errors.UniqueViolation), database.transaction(connection) as tables:  # noqa: PT012, what comes of several
        tables.write(MISSED, [[1]], lambda _: MissedError())
        tables.write(CLASH, [[1]])


def test_what_is_under_way_is_rolled_back_when_it_is_dropped(connection):
    """Nothing of it stays, also where the server has refused a part of it, and the connection is good for the next."""
    folder = Folder(connection, Checkpoint(), [], Records.__new__(Records), lambda *_: None)
    for numbers in ([[2]], [[1]]):
        with contextlib.ExitStack() as transaction:
            tables = transaction.enter_context(database.transaction(connection))
            tables.write(CLASH, numbers)
            folder.underway = Underway([], {}, {}, Verdict(), transaction.pop_all(), 0.0)
        folder.drop()
        assert folder.underway is None
        assert connection.execute("select number from known").fetchall() == [(1,)]
