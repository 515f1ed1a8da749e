"""Entities as rows: which table each kind lives in, how to load what a command needs, how to save what an event
changed.
"""

from collections.abc import Iterable
from typing import Any

from ledger.core.state import Bet, Currency, Entity, Key, Session, Settlement, State, Wallet
from ledger.store import bets, currencies, sessions, settlements, wallets
from ledger.store.statement import Statement

TABLES: dict[object, Any] = {
    Wallet: wallets,
    Bet: bets,
    Session: sessions,
    Currency: currencies,
    Settlement: settlements,
}
"""A new kind of entity is a line here and a file with `load`, `entity`, `insert` and `update`."""


def load(keys: Iterable[Key]) -> list[tuple[Any, Statement]]:
    """For each table with some of `keys`: the table, whose `entity` reads the rows, and the query. Wallets are loaded
    per player, not by key.
    """
    by_kind: dict[object, list[Key]] = {}
    for key in keys:
        by_kind.setdefault(key[0], []).append(key)
    return [(TABLES[kind], TABLES[kind].load(found)) for kind, found in by_kind.items()]


def save(loaded: State, changed: State) -> Iterable[Statement]:
    """Bring the rows from `loaded` to `changed`."""
    inserted: dict[object, list[Entity]] = {}
    updated: dict[object, list[Entity]] = {}
    for key, entity in changed.entities.items():
        before = loaded.get(key)
        if before is None:
            inserted.setdefault(type(entity), []).append(entity)
        elif before != entity:
            updated.setdefault(type(entity), []).append(entity)
    for kind, entities in inserted.items():
        yield TABLES[kind].insert(entities)
    for kind, entities in updated.items():
        yield TABLES[kind].update(entities)
