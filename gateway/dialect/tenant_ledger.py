"""The ledger, as an endpoint of a dialect sees it."""

from typing import Protocol

from ledger.core.commands import Command
from ledger.core.state import Bet, Session, Settlement
from ledger.outcome import Balances, Outcome


class TenantLedger(Protocol):
    """The ledger, as an endpoint sees it: the players of the integration's own tenant and region, and the sessions,
    bets and wins of the integration itself.

    Every method may raise the gateway's own errors where the database cannot answer in time; an endpoint lets them
    pass, and the provider hears its word for *repeat* from the dialect's `refuse`.
    """

    async def submit(self, *commands: Command) -> tuple[Outcome, ...]:
        """Commit the commands, all or none, in order; return when they are durable. One outcome for each.

        A command whose key was seen before moves nothing, and has the outcome of the first time. Raises Rejected, with
        the code, details and balances of the refusal, where a rule says no: then nothing has moved.
        """

    async def wallet(self, player_id: str, currency: str) -> Balances:
        """Today's balances of the player's wallet in our `currency`. Raises Rejected WALLET_NOT_FOUND."""

    async def wallets(self, player_id: str) -> list[Balances]:
        """Today's balances of all wallets of a player, sorted by currency; none of an unknown player."""

    async def currency_of(self, player_id: str) -> str:
        """Our code of the currency that a player plays in, for protocols that name none: that of the only wallet, else
        the integration's option `currency`. Raises Rejected WALLET_NOT_FOUND, or CURRENCY_MISMATCH where there are
        several wallets and no option.
        """

    async def session(self, session_id: str, *, live: bool = True) -> Session:
        """The integration's session with this token. It must still take bets; with `live=False` it may be over, for
        what only needs its player. Raises Rejected SESSION_NOT_FOUND, SESSION_ENDED or SESSION_EXPIRED.
        """

    async def bet(self, bet_id: str) -> Bet | None:
        """The integration's bet with the provider's id, as it stands, or None. A tombstone, which a rollback of an
        unknown bet leaves, is one too.
        """

    async def win(self, win_id: str) -> Settlement | None:
        """The integration's win or award with the provider's id, as it stands, or None."""
