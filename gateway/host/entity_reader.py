"""What endpoints look up before they decide: wallets, sessions, bets, wins. Whoever asks while a query runs shares the
next one, so that a protocol that reads before every bet costs a query per batch and not per bet.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gateway.read_connection import ReadConnection
from ledger.core.state import Key, Wallet
from ledger.journal.writer import Retryable
from ledger.store import entities, wallets
from ledger.store.statement import Statement


class PendingRead(NamedTuple):
    """A look-up that waits for the next query."""

    key: Key
    found: asyncio.Future[list[Any]]

    def resolve(self, found: list[Any] | BaseException) -> None:
        """A caller that is gone hears nothing."""
        if self.found.done():
            return
        if isinstance(found, BaseException):
            self.found.set_exception(found if isinstance(found, Retryable) else RuntimeError("a look-up failed"))
        else:
            self.found.set_result(found)


class EntityReader:
    """Entities by their keys, all that wait at one moment with one query for each table."""

    def __init__(self, read_connection: ReadConnection) -> None:
        self._read_connection = read_connection
        self._pending: list[PendingRead] = []
        self._task: asyncio.Task[None] | None = None

    async def wallets(self, tenant_id: str, player_id: str, region: str) -> list[Wallet]:
        """All of a player's, by currency; none where the player is of another region. Raises Retryable, as `find`
        does.
        """
        found = await self._read((Wallet, tenant_id, player_id, region))
        return sorted(found, key=lambda wallet: wallet.currency)

    async def find(self, key: Key) -> Any:
        """The entity with this key, or None."""
        found = await self._read(key)
        return found[0] if found else None

    async def _read(self, key: Key) -> list[Any]:
        pending = PendingRead(key, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read_pending())
        return await pending.found

    async def _read_pending(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                found = await self._load({pending.key for pending in batch})
            except Retryable as error:
                _fail(batch, error)
            except BaseException as error:
                _fail(batch, error)
                raise
            else:
                for pending in batch:
                    pending.resolve(found.get(pending.key, []))

    async def _load(self, keys: set[Key]) -> dict[Key, list[Any]]:
        found: dict[Key, list[Any]] = {}
        for table, statement in _statements(keys):
            for row in await self._read_connection.fetch(statement.sql, statement.params):
                if table is wallets:  # a player's come together, whatever their currency
                    *fields, region = row
                    wallet = wallets.entity(fields)
                    found.setdefault((Wallet, wallet.tenant_id, wallet.player_id, region), []).append(wallet)
                else:
                    entity = table.entity(row)
                    found.setdefault(entity.key, []).append(entity)
        return found


def _fail(batch: Sequence[PendingRead], error: BaseException) -> None:
    for pending in batch:
        pending.resolve(error)


def _statements(keys: set[Key]) -> Iterable[tuple[Any, Statement]]:
    players = [(str(key[1]), str(key[2])) for key in keys if key[0] is Wallet]
    if players:
        yield wallets, wallets.load_with_region(players)
    yield from entities.load(key for key in keys if key[0] is not Wallet)
