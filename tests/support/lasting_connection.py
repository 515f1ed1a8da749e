"""Connections that outlive a test, and so a server that another test stops."""

import gc
from collections.abc import Callable

import psycopg
from psycopg import Connection

from sandbox.servers.stack import Stack


class LastingConnection:
    """A connection for what many tests share, made anew where a test has stopped its server meanwhile."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection = connect()

    def __call__(self) -> Connection:
        """One that works now."""
        try:
            self._connection.execute("select")
        except psycopg.OperationalError:
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        self._connection.close()


def assert_none_dies_with(stack: Stack) -> None:
    """A server that is stopped ends every connection to it, also those of tests that run later: a fixture of theirs that
    is open now has a `LastingConnection`.
    """
    ports = {database.port for database in (stack.ledger_database, stack.bi_database)}
    found = gc.get_objects()
    lasting = {id(one._connection) for one in found if type(one) is LastingConnection}
    dying = [
        connection.info.dsn
        for connection in found
        if isinstance(connection, Connection) and not connection.closed and id(connection) not in lasting
        if connection.info.port in ports
    ]
    assert dying == [], "these connections would be dead for the tests that share them: open a LastingConnection"
