"""One unchanging view of a database, read in stream order."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
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

STREAM = "stream_tenant{c}, stream_kind{c}, stream_name{c}"
"""What a query of rows in stream order calls their stream, its first three columns."""

# The first stream of each part but the first: that with which its share of all events is reached.
CUTS = """
select distinct on (part) tenant_id, stream_type, stream_id from (
    select tenant_id, stream_type, stream_id,
        div((sum(version) over (order by tenant_id{c}, stream_type{c}, stream_id{c}) - version) * %(parts)s,
            sum(version) over ()) as part
    from wagerledger.streams where version > 0
) s
where part > 0 order by part, tenant_id{c}, stream_type{c}, stream_id{c}
"""

# Sorting by stream wants memory. A reader may wait long for its next row while another one is read.
SESSION = {
    "work_mem": "65536", "idle_in_transaction_session_timeout": "0", "statement_timeout": "0", "timezone": "UTC",
}  # fmt: skip

_stream = itemgetter(0, 1, 2)


@dataclass(frozen=True)
class SnapshotPart:
    """The streams of a snapshot from `low` (None: the first) to before `high` (None: to the last), for a process of its
    own. The snapshot must stay open as long as that reads.
    """

    url: SecretStr
    variable: str
    snapshot_id: str
    low: StreamKey | None = None
    high: StreamKey | None = None

    @contextmanager
    def opened(self) -> "Iterator[Snapshot]":
        """The part, to be read. It raises CannotCheckError where that cannot be."""
        with ExitStack() as connections:
            yield Snapshot(self.url, self.variable, connections, self)


class Snapshot:
    """A REPEATABLE READ, read-only transaction, shared by several connections. Times are microseconds since 2000."""

    def __init__(self, url: SecretStr, variable: str, connections: ExitStack, part: SnapshotPart | None = None) -> None:
        self._url = url
        self._variable = variable
        self._connections = connections
        with self._reading():
            self._connection = self._connect()
            if part:
                self._connection.execute(sql.SQL("set transaction snapshot {}").format(part.snapshot_id))
        # Tables are merged by comparing keys here: the database must sort as Python does. Its own order is used where
        # it is that one, because then an index may serve.
        self._collation = "" if self.one(CODE_POINT_ORDER) else ' collate "C"'
        self._id = part.snapshot_id if part else self.one("select pg_export_snapshot()")
        self._bounds = {">=": part and part.low, "<": part and part.high}

    @property
    def connection(self) -> Connection[Any]:
        """For readers that know of nothing but a connection. Their errors are psycopg's."""
        return self._connection

    def rows(self, query: str, params: Sequence[object] = ()) -> Generator[Row]:
        """The rows of `query`, while the server makes the next ones. `{c}` in it is the collation of a sort key,
        `{part}` the condition on `STREAM` that keeps it to the snapshot's part.
        """
        with self._reading():
            connection = self._connect()
            connection.execute(sql.SQL("set transaction snapshot {}").format(self._id))
            cursor = connection.cursor(binary=True)
            stream = STREAM.format(c=self._collation)
            conditions = [f"({stream}) {sign} (%s, %s, %s)" for sign, bound in self._bounds.items() if bound]
            part = f"where {' and '.join(conditions)}" if conditions else ""
            bounds = [text for bound in self._bounds.values() if bound for text in bound] if "{part}" in query else []
            whole = query.format(c=self._collation, part=part)
            yield from cursor.stream(whole, [*params, *bounds], binary=True, size=FETCHED_ROWS)

    def parts(self, many: int) -> list[SnapshotPart]:
        """The snapshot in `many` parts at most, about as many events in each."""
        cuts = [StreamKey(*row) for row in self.all(CUTS.format(c=self._collation), {"parts": many})]
        edges = [None, *cuts, None]
        return [self.part(low, high) for low, high in pairwise(edges)]

    def part(self, low: StreamKey | None, high: StreamKey | None) -> SnapshotPart:
        """The streams from `low` to before `high`."""
        return SnapshotPart(self._url, self._variable, self._id, low, high)

    def all(self, query: str, params: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
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
