"""Rollbacks of bets, wins and awards, and the rollback of a rollback."""

from ledger.core import postings
from ledger.core.commands import (
    ACKNOWLEDGE,
    AT_SETTLEMENT,
    DEMO,
    FREE,
    REFUSE,
    REVERSE,
    Policy,
    ReinstateBet,
    RollbackBet,
)
from ledger.core.decision import (
    Accepted,
    Decision,
    Refusal,
    accept,
    acknowledged,
    cannot_owe,
    integration_of,
    not_found,
    wallet_of,
)
from ledger.core.events import BetReinstated, BetRolledBack, BetTombstoned, WinReversed
from ledger.core.exchange import Conversion
from ledger.core.postings import Posting
from ledger.core.state import OPEN, ROLLED_BACK, SETTLED, TOMBSTONED, Bet, Settlement, State, Wallet

BET, WIN = "bet", "win"


def rollback(state: State, command: RollbackBet, policy: Policy) -> Decision:
    integration_id = integration_of(command)
    bet = state.bet(integration_id, command.bet_id)
    if command.target != WIN and bet and bet.status != TOMBSTONED:
        return _rollback_bet(state, command, policy, bet)
    win = state.settlement(integration_id, command.bet_id) if command.target != BET else None
    if win:
        return _rollback_win(state, command, policy, win)
    if bet is None:
        return _tombstone(state, command)
    if bet.status == TOMBSTONED:
        return Accepted((), {"status": bet.status, "rollback_id": str(bet.rollback_id)})
    return not_found(command.bet_id)  # a bet has the id that a win should have: no tombstone may take its place


def _rollback_bet(state: State, command: RollbackBet, policy: Policy, bet: Bet) -> Decision:
    if command.player not in (None, bet.player_id):
        return not_found(command.bet_id)
    if bet.status == ROLLED_BACK:
        return Accepted((), {"status": bet.status, "rollback_id": str(bet.rollback_id)})
    if command.currency not in (None, bet.currency, bet.asked_currency):
        return _other_currency(command, bet.asked_currency)
    if bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    wins = state.wins_beside(bet)
    if command.only_open and bet.status != OPEN:
        return Refusal("BET_ALREADY_SETTLED", {"bet_id": bet.bet_id})
    if bet.settlement_id is not None or wins:
        if policy.rollback_of_settled == REFUSE:
            return Refusal("BET_ALREADY_SETTLED", {"bet_id": bet.bet_id})
        if policy.rollback_of_settled == ACKNOWLEDGE:
            return acknowledged()
    if command.round_id is not None and command.round_id != bet.round_id:
        return Refusal("ROUND_MISMATCH", {"round_id": command.round_id, "expected": str(bet.round_id)})
    own = [win for win in wins if win.bet_id is not None] if policy.rollback_of_settled == REVERSE else []
    return _undo(state, command, policy, bet, own)


def _undo(state: State, command: RollbackBet, policy: Policy, bet: Bet, wins: list[Settlement]) -> Decision:
    """The stake goes back, the `wins` are taken back."""
    wallet = wallet_of(state, command, str(bet.player_id), str(bet.currency))
    assert isinstance(wallet, Wallet), f"bet {bet.bet_id} is {bet.status} without a wallet"
    win_minor = sum(win.win_minor for win in wins)
    moves: tuple[Posting, ...] = ()
    if bet.mode != DEMO:
        if refusal := cannot_owe(wallet, win_minor - bet.stake_cash_minor, policy):
            return refusal
        moves = postings.rollback(
            wallet.currency, bet.stake_cash_minor, bet.stake_bonus_minor, bet.held_minor, win_minor,
            wallet.cash_minor, wallet.receivable_minor,
        )  # fmt: skip
    if bet.conversion and bet.mode != DEMO:
        captured = bet.conversion.amount_minor if bet.paid_minor and not bet.held_minor else 0
        taken = sum(win.conversion.amount_minor for win in wins if win.conversion)
        moves = postings.exchanged(moves, {bet.conversion.currency: taken - captured})
    payload = BetRolledBack(
        command.named("rb"), bet.bet_id, bet.round_id, bet.session_id, bet.game_id, wallet.currency, wallet.exponent,
        _staked_minor(bet), win_minor, [win.win_id for win in wins], bet.status == OPEN, command.reason, str(bet.mode),
        Conversion.told(bet.conversion),
    )  # fmt: skip
    return accept(command, wallet.player_id, moves, payload)


def _rollback_win(state: State, command: RollbackBet, policy: Policy, win: Settlement) -> Decision:
    if command.player not in (None, win.player_id):
        return not_found(command.bet_id)
    if win.undone_by:
        return Accepted((), {"status": "rolled_back", "rollback_id": win.undone_by})
    asked_currency = win.conversion.currency if win.conversion else win.currency
    if command.currency not in (None, win.currency, asked_currency):
        return _other_currency(command, asked_currency)
    bet = state.bet(win.integration_id, win.bet_id) if win.bet_id else None
    if bet and bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    if policy.rollback_of_win == REFUSE:
        return Refusal("WIN_NOT_REVERSIBLE", {"win_id": win.win_id})
    if policy.rollback_of_win == ACKNOWLEDGE:
        return acknowledged()
    wallet = wallet_of(state, command, win.player_id, win.currency)
    assert isinstance(wallet, Wallet), f"win {win.win_id} was paid without a wallet"
    if win.mode != DEMO and (refusal := cannot_owe(wallet, win.win_minor, policy)):
        return refusal
    reopens = bet is not None and bet.status == SETTLED and bet.settlement_id == win.settlement_id
    held_minor = bet.paid_minor if bet and reopens and policy.capture == AT_SETTLEMENT else 0
    payload = WinReversed(
        command.named("rb"), win.win_id, win.settlement_id, win.bet_id, win.round_id, win.session_id, win.game_id,
        win.kind, wallet.currency, wallet.exponent, win.win_minor, win.account, reopens, held_minor, command.reason,
        win.mode, Conversion.told(win.conversion),
    )  # fmt: skip
    return accept(command, wallet.player_id, _taken_back(win, bet, held_minor, wallet), payload)


def _taken_back(win: Settlement, bet: Bet | None, held_minor: int, wallet: Wallet) -> tuple[Posting, ...]:
    if win.mode == DEMO:
        return ()
    moves = postings.win_reversal(wallet.currency, win.account, win.win_minor, held_minor, wallet.cash_minor)
    if win.conversion is None:
        return moves
    staked = bet.conversion.amount_minor if bet and bet.conversion and held_minor else 0
    return postings.exchanged(moves, {win.conversion.currency: win.conversion.amount_minor - staked})


def _other_currency(command: RollbackBet, expected: str | None) -> Refusal:
    return Refusal("CURRENCY_MISMATCH", {"currency": str(command.currency), "expected": str(expected)})


def _tombstone(state: State, command: RollbackBet) -> Decision:
    session = state.session(command.session_id) if command.session_id else None
    if session and session.integration_id != command.origin.integration_id:
        session = None
    player_id = command.player or (session.player_id if session else None)
    currency = command.currency or (session.currency if session else None)
    if player_id is None or state.wallet(command.origin.tenant_id, player_id, str(currency)) is None:
        currency = None
    payload = BetTombstoned(command.named("rb"), command.bet_id, command.round_id, currency, command.reason)
    return accept(command, player_id, (), payload)


def reinstate(state: State, command: ReinstateBet, policy: Policy) -> Decision:
    """What is not in the wallet any more becomes a receivable: the bet itself is older than that."""
    bet = state.bet(integration_of(command), command.bet_id)
    if bet is None or bet.status == TOMBSTONED:
        return Refusal("BET_TOMBSTONED", {"bet_id": command.bet_id}) if bet else not_found(command.bet_id)
    if bet.status != ROLLED_BACK or command.rollback_id not in (None, bet.rollback_id):
        return Accepted((), {"status": "reinstated"})
    if bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    wallet = wallet_of(state, command, str(bet.player_id), str(bet.currency))
    assert isinstance(wallet, Wallet), f"bet {bet.bet_id} was placed without a wallet"
    held = policy.capture == AT_SETTLEMENT
    cash_minor = min(bet.stake_cash_minor, wallet.cash_minor)
    bonus_minor = min(bet.stake_bonus_minor, wallet.bonus_minor)
    shortfall_minor = bet.paid_minor - cash_minor - bonus_minor
    moves = postings.reinstatement(wallet.currency, cash_minor, bonus_minor, shortfall_minor, held=held)
    if bet.conversion and moves and not held:
        moves = postings.exchanged(moves, {bet.conversion.currency: bet.conversion.amount_minor})
    payload = BetReinstated(
        bet.bet_id, str(bet.rollback_id), bet.round_id, bet.session_id, bet.game_id, wallet.currency, wallet.exponent,
        _staked_minor(bet), bet.paid_minor if held else 0, command.reason, str(bet.mode),
        Conversion.told(bet.conversion),
    )  # fmt: skip
    return accept(command, wallet.player_id, moves, payload)


def _staked_minor(bet: Bet) -> int:
    """What goes back and forth; in demo mode, what would."""
    return bet.stake_minor if bet.mode == DEMO and bet.stake_kind != FREE else bet.paid_minor
