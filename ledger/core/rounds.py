"""The end of a round."""

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.core import folds, postings
from ledger.core.commands import PlayerCommand
from ledger.core.decision import Accepted, Decision, Refusal, accept, integration_of, wallet_of
from ledger.core.events import Event, Payload
from ledger.core.exchange import Conversion
from ledger.core.folds import Touched
from ledger.core.policy import Policy
from ledger.core.postings import Posting
from ledger.core.state import OPEN, SETTLED, TOMBSTONED, Bet, BetsOfRound, Key, Round, State, Wallet
from ledger.core.value import value


@value()
class FinishRound(PlayerCommand):
    """The end of a round: what its open bets still hold goes to the house."""

    kind = "FinishRound"
    round_id: str
    game_id: str | None = None

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        return (
            (Round, integration_id, self.player, self.round_id),
            (BetsOfRound, integration_id, self.player, self.round_id),
        )


@value(slots=False)
class RoundFinished(Payload):
    """A player's round is over; `bets` are those that it ended, each with what it still held, minor units."""

    event_type = "round.finished"
    command_kind = "FinishRound"
    round_id: str
    game_id: str | None
    currency: str
    exponent: int
    bets: Sequence[Mapping[str, Any]]
    """Those that it ended."""

    @property
    def result(self) -> dict[str, str]:
        return {"status": "finished"}

    def needs(self, event: Event) -> tuple[Key, ...]:
        ended = ((Bet, event.integration_id, bet["bet_id"]) for bet in self.bets)
        return (Round, event.integration_id, event.player_id, self.round_id), *ended


def finish(state: State, command: FinishRound, _: Policy, at: int) -> Decision:
    """A round that nobody has bet in, or that is over, stays as it is; bets that were opened again since are ended."""
    integration_id = integration_of(command)
    bets = state.bets_of_round(integration_id, command.player, command.round_id)
    bets = [bet for bet in bets if bet.status != TOMBSTONED and command.currency in (bet.currency, bet.stake_currency)]
    still_open = [bet for bet in bets if bet.status == OPEN]
    if not bets or (state.round(integration_id, command.player, command.round_id) and not still_open):
        return Accepted((), {"status": "finished"})
    # One event moves one wallet: a round that was played from two needs a command for each.
    wallet = wallet_of(state, command, command.player, str((still_open or bets)[0].currency))
    if isinstance(wallet, Refusal):
        return wallet
    ended = [bet for bet in still_open if bet.currency == wallet.currency]
    payload = RoundFinished(
        round_id=command.round_id,
        game_id=command.game_id,
        currency=wallet.currency,
        exponent=wallet.exponent,
        bets=[_told(bet) for bet in ended],
    )
    return accept(command, command.player, _captured(wallet, ended), payload, at)


def _captured(wallet: Wallet, bets: list[Bet]) -> tuple[Posting, ...]:
    moves = postings.capture(wallet.currency, sum(bet.held_minor for bet in bets if not bet.conversion))
    for bet in bets:
        if bet.conversion and bet.held_minor:
            captured = postings.capture(wallet.currency, bet.held_minor)
            moves += postings.exchanged(captured, {bet.conversion.currency: bet.conversion.amount_minor})
    return postings.merged(moves)


def _told(bet: Bet) -> dict[str, object]:
    return {
        "bet_id": bet.bet_id,
        "session_id": bet.session_id,
        "game_id": bet.game_id,
        "mode": str(bet.mode),
        "held_minor": bet.held_minor,
        "conversion": Conversion.to_record(bet.conversion),
    }


def round_finished(state: State, event: Event, payload: RoundFinished) -> Touched:
    """The bets of the event have ended without a settlement of their own, and the round is over for the player."""
    bets = [folds.known_bet(state, event, ended["bet_id"], OPEN) for ended in payload.bets]
    ended = [bet.ended(SETTLED, win_minor=bet.win_minor, settlement_id=None) for bet in bets]
    over = Round(
        integration_id=folds.integration_id(event),
        player_id=folds.player_id(event),
        round_id=payload.round_id,
        tenant_id=event.tenant_id,
    )
    return over, *ended, folds.wallet_after(state, event, payload.currency)
