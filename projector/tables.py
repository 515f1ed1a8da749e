"""The read models' tables, as the folds write and read them within one database transaction."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from psycopg import Connection, Cursor, generators

from runtime.arrays import array_of

UNANSWERED = -1
"""The number of rows of a statement that is under way, has failed, or came after one that did."""

Row = tuple[Any, ...]
Answer = Callable[[], list[Row]]
Otherwise = Callable[[int], Exception]
"""The error to raise where some rows were not found, from how many they are."""


class Tables:
    """What is written is sent and not waited for: PostgreSQL works on it while the next model folds. What it says to
    that is heard where something is read, and before the commit.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._expected: list[tuple[Cursor[Row], int, Otherwise]] = []

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor[Row]:
        """Send a statement. To fetch its rows waits for them and for all that was sent before."""
        return self._connection.cursor(binary=True).execute(statement, parameters or None)

    def write(self, statement: str, rows: Collection[Sequence[Any]], otherwise: Otherwise | None = None) -> None:
        """Send a statement for many rows at once, one array per column (see `projection.incoming`).

        With `otherwise` each of the rows must touch one of the table, else its error is raised before the commit.
        """
        if not rows:
            return
        cursor = self._send(statement, rows)
        if otherwise:
            self._expected.append((cursor, len(rows), otherwise))

    def ask(self, statement: str, rows: Collection[Sequence[Any]]) -> Answer:
        """Send a statement that gives rows for many rows at once; none for none. To call what is returned waits for
        them, and raises what `write` was told to.
        """
        cursor = self._send(statement, rows) if rows else None
        self._connection.pgconn.send_flush_request()

        def answer() -> list[Row]:
            found = cursor.fetchall() if cursor else []
            self.check()
            return found

        return answer

    def read(self, statement: str, rows: Collection[Sequence[Any]]) -> list[Row]:
        """The rows that a statement gives, at once: see `ask`."""
        return self.ask(statement, rows)()

    def check(self) -> None:
        """Raise the error of the first statement that touched too few rows, of those that the server has answered."""
        for cursor, rows, otherwise in self._expected:
            if cursor.rowcount not in {rows, UNANSWERED}:
                raise otherwise(rows - cursor.rowcount)
        self._expected = [one for one in self._expected if one[0].rowcount == UNANSWERED]

    def flush(self) -> None:
        """Give the server all that was sent: the end of a large statement may be in our buffers still."""
        self._connection.wait(generators.send(self._connection.pgconn))

    def _send(self, statement: str, rows: Collection[Sequence[Any]]) -> Cursor[Row]:
        return self.execute(statement, [array_of(column) for column in zip(*rows, strict=True)])
