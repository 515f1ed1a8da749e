"""Table `settlements`: every win and award, and what undid it."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Key, Settlement
from ledger.store.column_list import ColumnList
from ledger.store.conversions import from_text, to_text
from ledger.store.statement import Statement, by_key, is_found
from runtime.arrays import Text

COLUMNS = ColumnList("""
    integration_id text, win_id text, settlement_id text, tenant_id text, player_id text, currency text, bet_id text,
    round_id text, session_id text, game_id text, kind text, win_minor bigint, account text, mode text,
    undone_by text, counted_at bigint, conversion text::json
""")
"""The fields of an entity, in their order."""
KEY = COLUMNS.only("integration_id", "win_id")
OF_BET = COLUMNS.only("integration_id", "bet_id")
HASHED = "'win'", "integration_id", "win_id"
HASHED_BET = "'bet'", "integration_id", "bet_id"
HASHED_ROUND = "'round'", "integration_id", "round_id"
WITHOUT_ROUND = "round_id is null"
"""Wins that are found by their bet."""
CHANGED = COLUMNS.only(*KEY, "undone_by")

LOAD = f"""
select {COLUMNS.of("s")}
from {KEY.rows("k")}
{by_key("settlements", *KEY, hash_of=HASHED)}
"""  # noqa: S608  # our own constants

# A win that names a bet has the bet's round; a bet without a round has its wins under its own id.
LOAD_BESIDE_BETS = f"""
with b as (
    select b.integration_id, b.bet_id, b.player_id, b.round_id
    from {OF_BET.rows("k")}
    {by_key("bets", *OF_BET, hash_of=HASHED_BET)}
)
select {COLUMNS.of("s")}
from b
{by_key("settlements", "integration_id", "round_id", "player_id", of="b", hash_of=HASHED_ROUND)}
where s.undone_by is null and (s.bet_id is null or s.bet_id = b.bet_id)
union all
select {COLUMNS.of("s")}
from b
{by_key("settlements", *OF_BET, of="b", hash_of=HASHED_BET, only=WITHOUT_ROUND)}
where b.round_id is null and s.undone_by is null
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.settlements ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants

UPDATE = f"""
update wagerledger.settlements s set undone_by = n.undone_by
from {CHANGED.rows("n")}
where {is_found("s", "n", *KEY, hash_of=HASHED)}
"""  # noqa: S608  # our own constants

_PLAIN = COLUMNS.but("conversion")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, KEY.packed(key[1:] for key in keys))


def load_beside_bets(keys: Iterable[Key]) -> Statement:
    """For keys (SettlementsBesideBet, integration, bet)."""
    return Statement(LOAD_BESIDE_BETS, OF_BET.packed(key[1:] for key in keys))


def entity(row: Sequence[Any]) -> Settlement:
    fields = [*row[:-1], from_text(row[-1])]
    return Settlement(*fields)


def insert(settlements: Sequence[Settlement]) -> Statement:
    conversions = Text(to_text(win.conversion) for win in settlements)
    return Statement(INSERT, [*_PLAIN.packed(map(_PLAIN.row, settlements)), conversions], len(settlements))


def update(settlements: Sequence[Settlement]) -> Statement:
    """Settlements can only be undone."""
    return Statement(UPDATE, CHANGED.packed(map(CHANGED.row, settlements)), len(settlements))
