"""The gateway's own reads: keys, balances, readiness. They have one connection of their own, so that none ever waits
for a writer's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.errors import UndefinedColumn, UndefinedTable

from ledger.journal.writer import DeadlineExceeded, Unavailable
from patience import session
from runtime.settings import Settings


class Unmigrated(Unavailable):
    """The database is there, its tables are not, or not as this version knows them."""


Connect = Callable[[Settings], Awaitable[AsyncConnection[Any]]]


async def reading(settings: Settings) -> AsyncConnection[Any]:
    """A session that cannot write, in autocommit."""
    wanted = {"default_transaction_read_only": "on", "statement_timeout": str(settings.journal_deadline_ms)}
    url = settings.database_url.get_secret_value()
    return await session.connect_async(url, wanted, AsyncConnection, application_name="wagerledger gateway")


class ReadConnection:
    """Short reads, one after the other, in a session as `connect` opens it. Use as an async context manager."""

    def __init__(self, settings: Settings, connect: Connect = reading) -> None:
        self._settings = settings
        self._connect = connect
        self._timeout_s = settings.journal_deadline_ms / 1000
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection[tuple[Any, ...]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises Unavailable (Unmigrated where a table is missing) or DeadlineExceeded."""
        try:
            async with asyncio.timeout(self._timeout_s), self._turn:
                return await self._fetch(sql, params)
        except TimeoutError as error:
            raise DeadlineExceeded from error

    async def forget(self) -> None:
        """Ask on a new connection next time."""
        async with self._turn:
            await self._disconnect()

    async def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        # An idle connection may have died long ago: that costs a second try, not an answer.
        reused = self._connection is not None
        try:
            return await self._run(sql, params)
        except (OperationalError, InterfaceError) as error:
            await self._disconnect()
            if not reused:
                raise Unavailable(str(error)) from error
        except (UndefinedTable, UndefinedColumn) as error:
            raise Unmigrated(str(error)) from error
        except BaseException:
            await self._disconnect()
            raise
        return await self._fetch(sql, params)

    async def _run(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await self._connect(self._settings)
        return await (await self._connection.execute(sql, params, prepare=True)).fetchall()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
