"""What endpoints look up before they decide: wallets, sessions, bets, wins. Whoever asks while a query runs shares the
next one, so that a protocol that reads before every bet costs a query per batch and not per bet.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from gateway.read_connection import Lookups
from ledger.core.state import Key, Wallet
from ledger.journal.writer import Retryable
from ledger.store import entities, wallets
from ledger.store.statement import Statement

Asked = list[tuple[Key, asyncio.Future[list[Any]]]]


class Reads:
    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._asked: Asked = []
        self._reader: asyncio.Task[None] | None = None

    async def wallets(self, tenant_id: str, player_id: str, region: str) -> list[Wallet]:
        """All of a player's, by currency; none where the player is of another region. Raises Retryable, as `find`
        does.
        """
        found = await self._ask((Wallet, tenant_id, player_id, region))
        return sorted(found, key=lambda wallet: wallet.currency)

    async def find(self, key: Key) -> Any:
        """The entity with this key, or None."""
        found = await self._ask(key)
        return found[0] if found else None

    async def _ask(self, key: Key) -> list[Any]:
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answer))
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        return await answer

    async def _read(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                found = await self._load({key for key, _ in asked})
            except Retryable as error:
                _tell(asked, error)
            except BaseException as error:
                _tell(asked, error)
                raise
            else:
                _tell(asked, found)

    async def _load(self, keys: set[Key]) -> dict[Key, list[Any]]:
        found: dict[Key, list[Any]] = {}
        for table, statement in _statements(keys):
            for row in await self._lookups.fetch(statement.sql, statement.params):
                if table is wallets:  # a player's come together, whatever their currency
                    *fields, region = row
                    wallet = wallets.entity(fields)
                    found.setdefault((Wallet, wallet.tenant_id, wallet.player_id, region), []).append(wallet)
                else:
                    entity = table.entity(row)
                    found.setdefault(entity.key, []).append(entity)
        return found


def _statements(keys: set[Key]) -> Iterable[tuple[Any, Statement]]:
    players = [(str(key[1]), str(key[2])) for key in keys if key[0] is Wallet]
    if players:
        yield wallets, wallets.load_with_region(players)
    yield from entities.load(key for key in keys if key[0] is not Wallet)


def _tell(asked: Asked, answer: dict[Key, list[Any]] | BaseException) -> None:
    """A caller that is gone hears nothing."""
    for key, future in asked:
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer if isinstance(answer, Retryable) else RuntimeError("a look-up failed"))
        else:
            future.set_result(answer.get(key, []))
