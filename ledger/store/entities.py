"""Entities as rows: which table each kind lives in, how to load what a command needs, how to save what an event
changed.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ledger.core.state import (
    Bet,
    BetOfSettlement,
    BetsOfRound,
    Currency,
    Entity,
    Key,
    Player,
    Rate,
    RatesFrom,
    Round,
    Session,
    Settlement,
    SettlementsBesideBet,
    State,
    Wallet,
)
from ledger.store import bets, currencies, players, rates, rounds, sessions, settlements, wallets
from ledger.store.statement import Statement

TABLES: dict[object, Any] = {
    Wallet: wallets,
    Bet: bets,
    Session: sessions,
    Currency: currencies,
    Settlement: settlements,
    Round: rounds,
    Player: players,
    Rate: rates,
}
"""A new kind of entity is a line here and a file with `load`, `entity`, `insert` and `update`."""

QUERIES: dict[object, tuple[Any, Callable[[Iterable[Key]], Statement]]] = {
    BetsOfRound: (bets, bets.load_of_rounds),
    BetOfSettlement: (bets, bets.load_of_wins),
    SettlementsBesideBet: (settlements, settlements.load_beside_bets),
    RatesFrom: (rates, rates.load_from),
}
"""Keys that do not name what they load: the table whose rows they give, and the query."""


def load(keys: Iterable[Key]) -> list[tuple[Any, Statement]]:
    """For each kind with some of `keys`: the table, whose `entity` reads the rows, and the query. Players and their
    wallets are loaded per stream, not by key.
    """
    by_kind: dict[object, list[Key]] = {}
    for key in keys:
        by_kind.setdefault(key[0], []).append(key)
    statements = []
    for kind, found in by_kind.items():
        table, query = QUERIES[kind] if kind in QUERIES else (TABLES[kind], TABLES[kind].load)
        statements.append((table, query(found)))
    return statements


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
