"""One unchanging view of a database, read in stream order."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel, sql
from psycopg.types.numeric import Int8BinaryLoader
from pydantic import SecretStr

from audit.findings import CannotCheckError
from ledger.streams import StreamKey
from patience import session

Row = Sequence[Any]

FETCHED_ROWS = 1000
XID8_OID = 5069

CODE_POINT_ORDER = """
select datlocprovider = 'b' or (datlocprovider = 'c' and datcollate in ('C', 'POSIX'))
from pg_database where datname = current_database()
"""

# Sorting by stream wants memory. A reader may wait long for its next row while another one is read.
SESSION = {
    "work_mem": "65536", "idle_in_transaction_session_timeout": "0", "statement_timeout": "0", "timezone": "UTC",
}  # fmt: skip

_stream = itemgetter(0, 1, 2)


class Snapshot:
    """A REPEATABLE READ, read-only transaction, shared by several connections. Times are microseconds since 2000."""

    def __init__(self, url: SecretStr, variable: str, connections: ExitStack) -> None:
        self._url = url
        self._variable = variable
        self._connections = connections
        with self._reading():
            self._connection = self._connect()
        # Tables are merged by comparing keys here: the database must sort as Python does. Its own order is used where
        # it is that one, because then an index may serve.
        self._collation = "" if self.one(CODE_POINT_ORDER) else ' collate "C"'
        self._id = self.one("select pg_export_snapshot()")

    def rows(self, query: str, params: Sequence[object] = ()) -> Generator[Row]:
        """The rows of `query`, while the server makes the next ones. `{c}` in it is the collation of a sort key."""
        with self._reading():
            connection = self._connect()
            connection.execute(sql.SQL("set transaction snapshot {}").format(self._id))
            cursor = connection.cursor(binary=True)
            yield from cursor.stream(query.format(c=self._collation), params, binary=True, size=FETCHED_ROWS)

    def all(self, query: str, params: Sequence[object] = ()) -> list[Any]:
        """All rows of a query whose answer is small."""
        with self._reading():
            return self._connection.execute(query, params, binary=True).fetchall()

    def one(self, query: str, params: Sequence[object] = ()) -> Any:
        """The only value of a query."""
        ((value,),) = self.all(query, params)
        return value

    def _connect(self) -> Connection[Any]:
        connection = session.connect(self._url.get_secret_value(), SESSION, application_name="wagerledger audit")
        self._connections.callback(connection.close)
        connection.autocommit = False
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        for type_ in ("timestamptz", XID8_OID):
            connection.adapters.register_loader(type_, Int8BinaryLoader)
        return connection

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            reason = str(error).strip() or type(error).__name__
            text = (
                f"the database of {self._variable} cannot be read: {reason}; check the variable and the role's grants"
            )
            raise CannotCheckError(text) from error


@contextmanager
def snapshot(url: SecretStr, variable: str) -> Iterator[Snapshot]:
    """Open a snapshot of the database of `variable`. It raises CannotCheckError where that cannot be read."""
    with ExitStack() as connections:
        yield Snapshot(url, variable, connections)


class Merged:
    """Rows that begin with their stream, taken stream by stream, in step with another reader of the same order."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._groups = groupby(rows, _stream)
        self._taken = True
        self._key: tuple[str, str, str] | None = None
        self._group: Iterator[Row] = iter(())

    def of(self, stream: StreamKey) -> Iterator[Row]:
        """The rows of `stream`, if they come next. They must be used before the next call."""
        if self._next() != stream:
            return iter(())
        self._taken = True
        return self._group

    def before(self, stream: StreamKey | None) -> Iterable[Row]:
        """The rows of earlier streams, which the other reader does not know; all that are left for None."""
        while (key := self._next()) is not None and (stream is None or key < stream):
            self._taken = True
            yield from self._group

    def _next(self) -> tuple[str, str, str] | None:
        if self._taken:
            self._key, self._group = next(self._groups, (None, iter(())))
            self._taken = False
        return self._key
