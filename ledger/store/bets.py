"""Table `bets`: each bet, and the tombstones of those that must never begin."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Bet, Key
from ledger.store.arrays import Int8, Text, columns
from ledger.store.statement import Statement

LOAD = """
select b.integration_id, b.bet_id, b.tenant_id, b.player_id, b.status, b.round_id, b.session_id, b.game_id,
    b.currency, b.mode, b.hold_id,
       b.stake_minor, b.stake_cash_minor, b.stake_bonus_minor, b.held_minor, b.win_minor, b.settlement_id, b.rollback_id
from unnest(%b::text[], %b::text[]) k(integration_id, bet_id)
join wagerledger.bets b using (integration_id, bet_id)
"""

INSERT = """
insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id,
    currency, mode, hold_id,
    stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id, rollback_id)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[],
    %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::text[], %b::text[])
"""

UPDATE = """
update wagerledger.bets b
set status = n.status, held_minor = n.held_minor, win_minor = n.win_minor, settlement_id = n.settlement_id,
    rollback_id = n.rollback_id
from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[])
    n(integration_id, bet_id, status, held_minor, win_minor, settlement_id, rollback_id)
where b.integration_id = n.integration_id and b.bet_id = n.bet_id
"""

_inserted = attrgetter(
    "integration_id", "bet_id", "tenant_id", "player_id", "status", "round_id", "session_id", "game_id",
    "currency", "mode", "hold_id", "stake_minor", "stake_cash_minor", "stake_bonus_minor", "held_minor",
    "win_minor", "settlement_id", "rollback_id",
)  # fmt: skip
_updated = attrgetter("integration_id", "bet_id", "status", "held_minor", "win_minor", "settlement_id", "rollback_id")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, columns((Text, Text), (key[1:] for key in keys)))


def entity(row: Sequence[Any]) -> Bet:
    return Bet(*row)


def insert(bets: Sequence[Bet]) -> Statement:
    return Statement(INSERT, columns((*[Text] * 11, *[Int8] * 5, Text, Text), map(_inserted, bets)), len(bets))


def update(bets: Sequence[Bet]) -> Statement:
    return Statement(UPDATE, columns((Text, Text, Text, Int8, Int8, Text, Text), map(_updated, bets)), len(bets))
