"""What a correction corrects: when a bet began, and when and what a win was. Read from the models of bets and wins."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from projector.projection import Rows, incoming, write

NEEDS = "bets", "wins"
CORRECTIONS = "bet.rolled_back", "bet.reinstated", "wallet.debit.reversal"

BETS = f"""
select integration_id, bet_id, (extract(epoch from authorized_at) * 1000000)::bigint, game_id
from {incoming("integration_id text, bet_id text")} join bets using (integration_id, bet_id)
"""  # noqa: S608  # our own constants

WINS = f"""
select integration_id, win_id, (extract(epoch from won_at) * 1000000)::bigint, game_id, award, account, amount_minor,
    coalesce(asked_amount_minor, amount_minor)
from {incoming("integration_id text, win_id text")} join wins using (integration_id, win_id)
"""  # noqa: S608  # our own constants

Key = tuple[str, str]
"""Integration, and the provider's id in it."""


class Began(NamedTuple):
    """A bet's beginning."""

    at: int
    game_id: str | None


class Won(NamedTuple):
    """A win or award; amounts are minor units, in the wallet's currency and in the one it was asked in."""

    at: int
    game_id: str | None
    award: bool
    account: str
    amount_minor: int
    asked_minor: int


class Origins:
    """What the corrections among some events correct."""

    def __init__(self, cursor: Rows, corrections: Iterable[dict[str, Any]]) -> None:
        bets: set[Key] = set()
        wins: set[Key] = set()
        for record in corrections:
            integration_id, (bet_id, win_ids) = record["integration_id"], corrected(record)
            bets |= {(integration_id, bet_id)} if bet_id else set()
            wins |= {(integration_id, win_id) for win_id in win_ids}
        self._bets: dict[Key, Began] = {}
        self._wins: dict[Key, Won] = {}
        if write(cursor, BETS, bets):
            self._bets = {(integration_id, bet_id): Began(*rest) for integration_id, bet_id, *rest in cursor}
        if write(cursor, WINS, wins):
            self._wins = {(integration_id, win_id): Won(*rest) for integration_id, win_id, *rest in cursor}

    def bet(self, record: dict[str, Any]) -> tuple[str, Began] | None:
        """The bet whose stake goes back, or is taken again."""
        bet_id, _ = corrected(record)
        return (bet_id, self._bets[record["integration_id"], bet_id]) if bet_id else None

    def wins(self, record: dict[str, Any]) -> list[tuple[str, Won]]:
        """The wins and awards that are taken back; those of zero are left out."""
        keys = [(record["integration_id"], win_id) for win_id in corrected(record)[1]]
        return [(key[1], self._wins[key]) for key in keys if key in self._wins]


def corrected(record: dict[str, Any]) -> tuple[str | None, Sequence[str]]:
    """Which bet, and which wins, a correction names."""
    payload = record["payload"]
    match record["event_type"]:
        case "bet.rolled_back":
            return payload["bet_id"], payload["undoes"]
        case "bet.reinstated":
            return payload["bet_id"], ()
    return None, (payload["win_id"],)
