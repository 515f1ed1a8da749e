"""Origins of corrections: when the bet began, and when and how much the win was, that an event takes back. Read from
the models of bets and wins.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from projector.projection import incoming
from projector.tables import Tables

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
"""The integration, and the provider's id of a bet or win in it."""


class Began(NamedTuple):
    """The beginning of a bet, whose stake a correction gives back or takes again."""

    at: int
    game_id: str | None


class Won(NamedTuple):
    """A win or award that a correction takes back; amounts are minor units, in the wallet's currency and in the one
    that the provider named.
    """

    at: int
    game_id: str | None
    award: bool
    account: str
    amount_minor: int
    asked_minor: int


class Origins:
    """The bets and wins that the corrections among some events name: asked for at once, and waited for where needed."""

    def __init__(self, tables: Tables, corrections: Iterable[dict[str, Any]]) -> None:
        bets: set[Key] = set()
        wins: set[Key] = set()
        for record in corrections:
            integration_id, (bet_id, win_ids) = record["integration_id"], corrected(record)
            bets |= {(integration_id, bet_id)} if bet_id else set()
            wins |= {(integration_id, win_id) for win_id in win_ids}
        self._answers = tables.ask(BETS, bets), tables.ask(WINS, wins)

    @cached_property
    def _bets(self) -> dict[Key, Began]:
        return {(integration_id, bet_id): Began(*rest) for integration_id, bet_id, *rest in self._answers[0]()}

    @cached_property
    def _wins(self) -> dict[Key, Won]:
        return {(integration_id, win_id): Won(*rest) for integration_id, win_id, *rest in self._answers[1]()}

    def bet(self, record: dict[str, Any]) -> tuple[str, Began] | None:
        """The id and beginning of the bet whose stake an event gives back, or takes again; None where it names none."""
        bet_id, _ = corrected(record)
        return (bet_id, self._bets[record["integration_id"], bet_id]) if bet_id else None

    def wins(self, record: dict[str, Any]) -> list[tuple[str, Won]]:
        """The ids and amounts of the wins and awards that an event takes back; those of zero are left out."""
        keys = [(record["integration_id"], win_id) for win_id in corrected(record)[1]]
        return [(key[1], self._wins[key]) for key in keys if key in self._wins]


def corrected(record: dict[str, Any]) -> tuple[str | None, Sequence[str]]:
    """The ids that a correction names: of a bet (or None), and of wins."""
    payload = record["payload"]
    match record["event_type"]:
        case "bet.rolled_back":
            return payload["bet_id"], payload["undoes"]
        case "bet.reinstated":
            return payload["bet_id"], ()
    return None, (payload["win_id"],)
