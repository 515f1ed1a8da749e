"""Table `bets`: each bet, and the tombstones of those that must never begin."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Bet, Key
from ledger.store import settlements
from ledger.store.column_list import ColumnList
from ledger.store.conversions import from_text, to_text
from ledger.store.statement import Statement, by_key, is_found
from runtime.arrays import Text

COLUMNS = ColumnList("""
    integration_id text, bet_id text, tenant_id text, player_id text, status text, round_id text, session_id text,
    game_id text, currency text, mode text, hold_id text, stake_minor bigint, stake_cash_minor bigint,
    stake_bonus_minor bigint, held_minor bigint, win_minor bigint, settlement_id text, rollback_id text,
    stake_kind text, final boolean, placed_at bigint, conversion text::json
""")
"""The fields of an entity, in their order."""
KEY = COLUMNS.only("integration_id", "bet_id")
OF_ROUND = COLUMNS.only("integration_id", "player_id", "round_id")
HASHED = "'bet'", "integration_id", "bet_id"
HASHED_ROUND = "'round'", "integration_id", "round_id"
CHANGING = COLUMNS.only("status", "held_minor", "win_minor", "settlement_id", "rollback_id", "final")
CHANGED = KEY + CHANGING

LOAD = f"""
select {COLUMNS.of("b")}
from {KEY.rows("k")}
{by_key("bets", *KEY, hash_of=HASHED)}
"""  # noqa: S608  # our own constants

LOAD_OF_ROUNDS = f"""
select {COLUMNS.of("b")}
from {OF_ROUND.rows("k")}
{by_key("bets", *OF_ROUND, hash_of=HASHED_ROUND)}
"""  # noqa: S608  # our own constants

LOAD_OF_WINS = f"""
select {COLUMNS.of("b")}
from {settlements.KEY.rows("k")}
{by_key("settlements", *settlements.KEY, hash_of=settlements.HASHED)}
{by_key("bets", *KEY, of="s", hash_of=HASHED)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.bets ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants

UPDATE = f"""
update wagerledger.bets b
set {CHANGING.assigned("n")}
from {CHANGED.rows("n")}
where {is_found("b", "n", *KEY, hash_of=HASHED)}
"""  # noqa: S608  # our own constants

_PLAIN = COLUMNS.but("conversion")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, KEY.packed(key[1:] for key in keys))


def load_of_rounds(keys: Iterable[Key]) -> Statement:
    """For keys (BetsOfRound, integration, player, round)."""
    return Statement(LOAD_OF_ROUNDS, OF_ROUND.packed(key[1:] for key in keys))


def load_of_wins(keys: Iterable[Key]) -> Statement:
    """For keys (BetOfSettlement, integration, win)."""
    return Statement(LOAD_OF_WINS, settlements.KEY.packed(key[1:] for key in keys))


def entity(row: Sequence[Any]) -> Bet:
    fields = [*row[:-1], from_text(row[-1])]
    return Bet(*fields)


def insert(bets: Sequence[Bet]) -> Statement:
    conversions = Text(to_text(bet.conversion) for bet in bets)
    return Statement(INSERT, [*_PLAIN.packed(map(_PLAIN.row, bets)), conversions], len(bets))


def update(bets: Sequence[Bet]) -> Statement:
    return Statement(UPDATE, CHANGED.packed(map(CHANGED.row, bets)), len(bets))
