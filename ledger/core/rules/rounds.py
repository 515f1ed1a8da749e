"""The end of a round."""

from ledger.core import postings
from ledger.core.commands import FinishRound, Policy
from ledger.core.decision import Accepted, Decision, Refusal, accept, integration_of, wallet_of
from ledger.core.events import RoundFinished
from ledger.core.exchange import Conversion
from ledger.core.postings import Posting
from ledger.core.state import OPEN, TOMBSTONED, Bet, State, Wallet


def finish(state: State, command: FinishRound, _: Policy) -> Decision:
    """A round that nobody has bet in, or that is over, stays as it is; bets that were opened again since are ended."""
    integration_id = integration_of(command)
    bets = state.bets_of_round(integration_id, command.player, command.round_id)
    bets = [bet for bet in bets if bet.status != TOMBSTONED and command.currency in (bet.currency, bet.asked_currency)]
    still_open = [bet for bet in bets if bet.status == OPEN]
    if not bets or (state.round(integration_id, command.player, command.round_id) and not still_open):
        return Accepted((), {"status": "finished"})
    # One event moves one wallet: a round that was played from two needs a command for each.
    wallet = wallet_of(state, command, command.player, str((still_open or bets)[0].currency))
    if isinstance(wallet, Refusal):
        return wallet
    ended = [bet for bet in still_open if bet.currency == wallet.currency]
    payload = RoundFinished(
        command.round_id, command.game_id, wallet.currency, wallet.exponent, [_told(bet) for bet in ended]
    )
    return accept(command, command.player, _captured(wallet, ended), payload)


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
        "conversion": Conversion.told(bet.conversion),
    }
