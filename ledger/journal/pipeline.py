"""Many statements in one exchange with PostgreSQL: all are sent at once, and waited for once.

psycopg's own pipeline turns to the event loop at every statement, which costs a lone bet more than all that is decided
about it. So its connection is driven one level deeper here; connecting, cancelling, COMMIT and ROLLBACK stay its own.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from psycopg import AsyncConnection, OperationalError, errors
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from ledger.journal.kept_reader import RV, KeptReader
from ledger.store.statement import Statement
from patience.postgresql import UnknownOutcomeError
from runtime import arrays

Row = tuple[Any, ...]


class Connection(AsyncConnection[Any]):
    """A connection of the journal's. Statements are prepared the first time that they run, and stay so."""

    def __init__(self, pgconn: PGconn, *args: Any, **kwargs: Any) -> None:
        super().__init__(pgconn, *args, **kwargs)
        arrays.register(self)
        self.prepare_threshold = None  # psycopg's ROLLBACK would drop our statements with its own
        self._names: dict[str, bytes] = {}
        self._numbers = count(1)
        self._transformer = Transformer(self)
        self._reader: KeptReader | None = None

    async def run(self, statements: Sequence[Statement], *, commits: bool = False) -> list[list[Row]]:
        """Run statements in order, after a BEGIN where no transaction is open; the rows of each. `commits`: followed by
        a COMMIT, which is sent with them, and does nothing where one of them fails.

        Raises what the database raises about the first that failed; in what `commits`, also where a statement touched
        another number of rows than it must, else AssertionError for that; UnknownOutcomeError where the connection was
        lost with a COMMIT under way.
        """
        if commits:
            statements = [statement.raising for statement in statements]
        if unknown := {statement.sql for statement in statements} - self._names.keys():
            await self.wait(self._prepare(unknown))
        results = await self.wait(self._execute(statements, commits=commits))
        for statement, result in zip(statements, results, strict=True):
            assert statement.rows in (None, result.command_tuples), (
                f"{result.command_tuples} rows instead of {statement.rows}: {statement.sql}"
            )
        return [self._rows(result) for result in results]

    async def wait(self, gen: PQGen[RV], interval: float = 0, timeout: float | None = None) -> RV:  # noqa: ASYNC109  # the base class's signature
        """Run a generator of libpq's calls to its end. Who is cancelled here leaves a connection that is closed, unless
        nothing was under way.
        """
        self._reader = self._reader or KeptReader(self.pgconn.socket)
        try:
            return await self._reader.run(gen)
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self.cancel_safe()
            raise

    async def close(self) -> None:
        self._let_go()
        await super().close()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def cancel_safe(self, *, timeout: float = 0) -> None:  # noqa: ASYNC109  # the base class's signature
        """Given up by closing it, never by a cancel request: a cancelled COMMIT may be half a yes (see
        LET_COMMIT_WAIT).
        """
        self._let_go()
        self.pgconn.finish()

    def _prepare(self, unknown: Iterable[str]) -> PQGen[None]:
        # Types are left to the server: each parameter has a cast, or a place that takes one type.
        names = {sql: b"journal_%d" % next(self._numbers) for sql in unknown}
        self.pgconn.enter_pipeline_mode()
        for sql, name in names.items():
            self.pgconn.send_prepare(name, _numbered(sql))
        yield from _answers(self.pgconn, len(names))
        self._names |= names

    def _execute(self, statements: Sequence[Statement], *, commits: bool) -> PQGen[list[PGresult]]:
        pgconn = self.pgconn
        # Before anything is sent: a value that cannot be, fails its transaction and not the connection.
        ready = [(self._names[sql], self._dump(params)) for sql, params, _ in statements]
        begins = pgconn.transaction_status == TransactionStatus.IDLE
        pgconn.enter_pipeline_mode()
        if begins:
            pgconn.send_query_params(b"BEGIN", None)
        for name, values in ready:
            pgconn.send_query_prepared(name, values, [Format.BINARY] * len(values), result_format=Format.BINARY)
        if commits:
            pgconn.send_query_params(b"COMMIT", None)
        results = yield from _answers(pgconn, begins + len(ready), commits=commits)
        return results[begins : begins + len(ready)]

    def _dump(self, params: Sequence[Any]) -> Sequence[Buffer | None]:
        return self._transformer.dump_sequence(params, [PyFormat.BINARY] * len(params))

    def _rows(self, result: PGresult) -> list[Row]:
        if not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)


def _numbered(sql: str) -> bytes:
    """With PostgreSQL's own placeholders instead of psycopg's."""
    numbers = count(1)
    return re.sub("%b", lambda _: f"${next(numbers)}", sql).encode()


def _answers(pgconn: PGconn, sent: int, *, commits: bool = False) -> PQGen[list[PGresult]]:
    """End the pipeline: what came of each of the statements that were `sent`, and of a COMMIT behind them. Raises the
    first error among them; UnknownOutcomeError where the connection was lost and none of them is known to have failed.
    """
    pgconn.pipeline_sync()
    results: list[PGresult] = []
    try:
        while pgconn.flush():  # more than the socket takes at once
            if (yield Wait.RW) & Ready.R:
                pgconn.consume_input()
        yield from _results(pgconn, results)
    except OperationalError as error:
        if (refused := _refused(results[:sent])) is not None:  # so the COMMIT did nothing
            raise errors.error_from_result(refused) from error
        if commits:
            raise UnknownOutcomeError("the connection was lost while the callbacks were committed") from error
        raise
    pgconn.exit_pipeline_mode()
    if (refused := _refused(results)) is not None:
        raise errors.error_from_result(refused)
    return results


def _results(pgconn: PGconn, results: list[PGresult]) -> PQGen[None]:
    """Collect what comes until the pipeline's end. Raises OperationalError where the connection is lost before it."""
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # follows each result, and is all that comes from a lost connection
            if pgconn.status != ConnStatus.OK:
                raise OperationalError("the connection was lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return
        else:
            results.append(result)


def _refused(results: Iterable[PGresult]) -> PGresult | None:
    """The first that the server refused. What libpq itself says of a connection that is gone has no code."""
    failed = (result for result in results if result.status == ExecStatus.FATAL_ERROR)
    return next((result for result in failed if result.error_field(DiagnosticField.SQLSTATE)), None)
