"""Table `bets`: each bet, and the tombstones of those that must never begin."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Bet, Key
from ledger.store.conversions import from_text, to_text
from ledger.store.statement import Statement, by_key
from runtime.arrays import Bool, Column, Int8, Text, columns

COLUMNS = """
    b.integration_id, b.bet_id, b.tenant_id, b.player_id, b.status, b.round_id, b.session_id, b.game_id,
    b.currency, b.mode, b.hold_id, b.stake_minor, b.stake_cash_minor, b.stake_bonus_minor, b.held_minor, b.win_minor,
    b.settlement_id, b.rollback_id, b.stake_kind, b.final, b.conversion::text
"""
"""The fields of an entity, in their order."""

LOAD = f"""
select {COLUMNS}
from unnest(%b::text[], %b::text[]) k(integration_id, bet_id)
{by_key("bets", "integration_id", "bet_id")}
"""  # noqa: S608  # our own constants

LOAD_OF_ROUNDS = f"""
select {COLUMNS}
from unnest(%b::text[], %b::text[], %b::text[]) k(integration_id, player_id, round_id)
{by_key("bets", "integration_id", "player_id", "round_id")}
"""  # noqa: S608  # our own constants

LOAD_OF_WINS = f"""
select {COLUMNS}
from unnest(%b::text[], %b::text[]) k(integration_id, win_id)
{by_key("settlements", "integration_id", "win_id")}
{by_key("bets", "integration_id", "bet_id", of="s")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id,
    currency, mode, hold_id, stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id,
    rollback_id, stake_kind, final, conversion)
select integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode, hold_id,
    stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id, rollback_id, stake_kind,
    final, conversion::json
from unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],
    %b::text[], %b::text[], %b::text[], %b::boolean[], %b::text[])
    n(integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode, hold_id,
    stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id, rollback_id, stake_kind,
    final, conversion)
"""

UPDATE = """
update wagerledger.bets b
set status = n.status, held_minor = n.held_minor, win_minor = n.win_minor, settlement_id = n.settlement_id,
    rollback_id = n.rollback_id, final = n.final
from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::boolean[])
    n(integration_id, bet_id, status, held_minor, win_minor, settlement_id, rollback_id, final)
where b.integration_id = any(array[n.integration_id]) and b.bet_id = any(array[n.bet_id])
"""

_KINDS: tuple[type[Column], ...] = (*[Text] * 11, *[Int8] * 5, Text, Text, Text, Bool)
_inserted = attrgetter(
    "integration_id", "bet_id", "tenant_id", "player_id", "status", "round_id", "session_id", "game_id",
    "currency", "mode", "hold_id", "stake_minor", "stake_cash_minor", "stake_bonus_minor", "held_minor",
    "win_minor", "settlement_id", "rollback_id", "stake_kind", "final",
)  # fmt: skip
_updated = attrgetter(
    "integration_id", "bet_id", "status", "held_minor", "win_minor", "settlement_id", "rollback_id", "final"
)


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, columns((Text, Text), (key[1:] for key in keys)))


def load_of_rounds(keys: Iterable[Key]) -> Statement:
    """For keys (BetsOfRound, integration, player, round)."""
    return Statement(LOAD_OF_ROUNDS, columns((Text, Text, Text), (key[1:] for key in keys)))


def load_of_wins(keys: Iterable[Key]) -> Statement:
    """For keys (BetOfWin, integration, win)."""
    return Statement(LOAD_OF_WINS, columns((Text, Text), (key[1:] for key in keys)))


def entity(row: Sequence[Any]) -> Bet:
    fields = [*row[:-1], from_text(row[-1])]
    return Bet(*fields)


def insert(bets: Sequence[Bet]) -> Statement:
    conversions = Text(to_text(bet.conversion) for bet in bets)
    return Statement(INSERT, [*columns(_KINDS, map(_inserted, bets)), conversions], len(bets))


def update(bets: Sequence[Bet]) -> Statement:
    return Statement(UPDATE, columns((Text, Text, Text, Int8, Int8, Text, Text, Bool), map(_updated, bets)), len(bets))
