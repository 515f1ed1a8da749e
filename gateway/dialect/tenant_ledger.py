"""The ledger, as an endpoint of a dialect sees it."""

from typing import Protocol

from ledger.core.commands import Command
from ledger.core.state import Bet, Session, Settlement
from ledger.outcome import Balances, Outcome


class TenantLedger(Protocol):
    """The ledger, as an endpoint sees it: only the integration's own tenant, only its own bets."""

    async def submit(self, *commands: Command) -> tuple[Outcome, ...]:
        """Commit the commands, all or none, in order. One outcome for each. Raises Rejected with the code, details and
        balances of the refusal where a rule says no.
        """

    async def wallet(self, player_id: str, currency: str) -> Balances:
        """Raises Rejected WALLET_NOT_FOUND."""

    async def wallets(self, player_id: str) -> list[Balances]:
        """All of a player's, by currency; empty for an unknown player."""

    async def currency_of(self, player_id: str) -> str:
        """For protocols that name no currency: the player's only one, else the integration's option `currency`. Raises
        Rejected WALLET_NOT_FOUND or CURRENCY_MISMATCH.
        """

    async def session(self, session_id: str, *, live: bool = True) -> Session:
        """A live session of this integration, by its token; or any, for what only needs its player. Raises Rejected
        SESSION_NOT_FOUND, SESSION_ENDED or SESSION_EXPIRED.
        """

    async def bet(self, bet_id: str) -> Bet | None:
        """What the ledger knows under the provider's id, tombstones included."""

    async def win(self, win_id: str) -> Settlement | None:
        """Likewise of wins and awards."""
