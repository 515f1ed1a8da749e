"""Wins and awards: money for the player. No session, restriction or end of a round ever stops it."""

from typing import NamedTuple

from ledger.core import postings
from ledger.core.commands import ACCEPT, DEMO, REAL, Award, Policy, SettleBet
from ledger.core.decision import (
    Decision,
    Refusal,
    accept,
    came_too_late,
    integration_of,
    known_already,
    minor,
    not_found,
    too_rich,
    wallet_of,
)
from ledger.core.events import Awarded, BetSettled
from ledger.core.exchange import Conversion
from ledger.core.money import MAX_BALANCE_MINOR
from ledger.core.postings import BONUS_COST, Posting
from ledger.core.state import OPEN, ROLLED_BACK, SETTLED, TOMBSTONED, Bet, State, Wallet

ACCOUNTS = {
    "promo": BONUS_COST,
    "tournament": BONUS_COST,
    "free_spins": BONUS_COST,
    "payout": postings.HOUSE,
    "correction": postings.ADJUSTMENT,
}
"""Who pays an award. A jackpot is paid by its provider's pool."""


class Win(NamedTuple):
    """What is won, in the wallet's minor units; and as it was asked for, where that is another currency."""

    amount_minor: int
    conversion: Conversion | None


def settle(state: State, command: SettleBet, policy: Policy) -> Decision:
    integration_id = integration_of(command)
    if command.win_id is not None:
        buried = state.bet(integration_id, command.win_id)
        if buried and buried.status == TOMBSTONED:
            return came_too_late(policy, command.win_id)
        if state.settlement(integration_id, command.win_id):
            return known_already(command.win_id)
    if command.bet_id is None:
        return _settle_round(state, command, policy)
    bet = state.bet(integration_id, command.bet_id)
    if bet and bet.status == TOMBSTONED:
        return came_too_late(policy, command.bet_id)
    if bet is None or command.player not in (None, bet.player_id):
        return not_found(command.bet_id)
    return _cannot_settle(bet, command, policy) or _settle_bet(state, command, bet)


def _cannot_settle(bet: Bet, command: SettleBet, policy: Policy) -> Refusal | None:
    if bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    if bet.status == ROLLED_BACK and (policy.win_after_rollback != ACCEPT or command.only_open):
        return Refusal("BET_ROLLED_BACK", {"bet_id": bet.bet_id})
    # The end of a round leaves room for the bet's own last word; and a win that ends nothing contradicts nothing.
    if bet.status == SETTLED and command.ends_bet and (bet.settlement_id is not None or command.only_open):
        return Refusal("BET_ALREADY_SETTLED", {"bet_id": bet.bet_id})
    if command.round_id is not None and command.round_id != bet.round_id:
        return Refusal("ROUND_MISMATCH", {"round_id": command.round_id, "expected": str(bet.round_id)})
    return None


def _settle_bet(state: State, command: SettleBet, bet: Bet) -> Decision:
    assert bet.player_id, "only tombstones have no player"
    wallet = wallet_of(state, command, bet.player_id, str(bet.currency))
    if isinstance(wallet, Refusal):
        return wallet
    if command.currency != bet.asked_currency:
        return _other_currency(command, bet)
    win = _win(command, wallet, bet.conversion)
    if isinstance(win, Refusal):
        return win
    if refusal := _no_room(wallet, win.amount_minor, bet.mode):
        return refusal
    was_open = bet.status == OPEN
    payload = BetSettled(
        command.named("st"), command.win_id, bet.bet_id, bet.round_id, bet.session_id, command.game_id or bet.game_id,
        command.win_kind, wallet.currency, wallet.exponent, bet.stake_minor, win.amount_minor, was_open,
        command.ends_bet, command.in_bonus, command.freespins_left, str(bet.mode), Conversion.told(win.conversion),
    )  # fmt: skip
    captured_minor = bet.held_minor if was_open and command.ends_bet else 0
    staked = bet.conversion.amount_minor if bet.conversion and captured_minor else 0
    moves = _moves(wallet, captured_minor, win, staked) if bet.mode != DEMO else ()
    return accept(command, wallet.player_id, moves, payload)


def _settle_round(state: State, command: SettleBet, policy: Policy) -> Decision:
    """A win that names only its round: beside the round's bets, and beside their state."""
    assert command.player, "a win names its bet or its player"
    bet = _bet_of_round(state, command, policy)
    if isinstance(bet, Refusal):
        return bet
    currency = str(bet.currency) if bet else command.wallet_currency or command.currency
    wallet = wallet_of(state, command, command.player, currency)
    if isinstance(wallet, Refusal):
        return wallet
    if bet is None and command.currency != currency:
        return _not_locked(command, currency)
    win = _win(command, wallet, bet.conversion if bet else None)
    if isinstance(win, Refusal):
        return win
    mode = str(bet.mode) if bet else REAL
    if refusal := _no_room(wallet, win.amount_minor, mode):
        return refusal
    payload = BetSettled(
        command.named("st"), command.win_id, None, command.round_id, bet.session_id if bet else None,
        command.game_id or (bet.game_id if bet else None), command.win_kind, wallet.currency, wallet.exponent, 0,
        win.amount_minor, False, False, command.in_bonus, command.freespins_left, mode, Conversion.told(win.conversion),
    )  # fmt: skip
    return accept(command, wallet.player_id, _moves(wallet, 0, win, 0) if mode != DEMO else (), payload)


def _bet_of_round(state: State, command: SettleBet, policy: Policy) -> Bet | Refusal | None:
    """A bet that the win may stand beside; None where there is none and the policy needs none."""
    assert command.player, "a win of a round names its player"
    bets: list[Bet] = []
    if command.round_id:
        bets = state.bets_of_round(integration_of(command), command.player, command.round_id)
    undone = policy.win_after_rollback != ACCEPT
    standing = [bet for bet in bets if bet.status in (OPEN, SETTLED) or (bet.status == ROLLED_BACK and not undone)]
    for bet in standing:
        if bet.asked_currency == command.currency:
            return bet
    if standing:
        return _other_currency(command, standing[0])
    named = f"of round {command.round_id}"
    if bets and undone:
        return Refusal("BET_ROLLED_BACK", {"bet_id": named})
    return not_found(named) if policy.win_needs_bet else None


def _other_currency(command: SettleBet, bet: Bet) -> Refusal:
    """The win of a bet in another currency than its stake; where that is the wallet's other one, no rate was locked."""
    if command.wallet_currency is not None and command.wallet_currency == bet.currency and bet.conversion is None:
        return _not_locked(command, bet.currency)
    return Refusal("CURRENCY_MISMATCH", {"currency": command.currency, "expected": str(bet.asked_currency)})


def _not_locked(command: SettleBet, wallet_currency: str) -> Refusal:
    return Refusal("RATE_NOT_LOCKED", {"currency": command.currency, "wallet_currency": wallet_currency})


def _win(command: SettleBet, wallet: Wallet, rate: Conversion | None) -> Win | Refusal:
    if rate is None:
        win_minor = minor(command.win, wallet.currency, wallet.exponent)
        return win_minor if isinstance(win_minor, Refusal) else Win(win_minor, None)
    asked_minor = minor(command.win, rate.currency, rate.exponent)
    if isinstance(asked_minor, Refusal):
        return asked_minor
    conversion = rate.asking(asked_minor)
    return Win(conversion.win_minor(wallet.exponent), conversion)


def _no_room(wallet: Wallet, win_minor: int, mode: str | None) -> Refusal | None:
    """A demo win meets an empty wallet; but no rate makes more of it than an event can say."""
    cash_minor = 0 if mode == DEMO else wallet.cash_minor
    return too_rich(wallet) if cash_minor + win_minor > MAX_BALANCE_MINOR else None


def _moves(wallet: Wallet, captured_minor: int, win: Win, staked_asked_minor: int) -> tuple[Posting, ...]:
    moves = postings.settlement(wallet.currency, captured_minor, win.amount_minor, wallet.receivable_minor)
    if win.conversion is None:
        return moves
    return postings.exchanged(moves, {win.conversion.currency: staked_asked_minor - win.conversion.amount_minor})


def award(state: State, command: Award, policy: Policy) -> Decision:
    integration_id = integration_of(command)
    buried = state.bet(integration_id, command.award_id)
    if buried and buried.status == TOMBSTONED:
        return came_too_late(policy, command.award_id)
    if state.settlement(integration_id, command.award_id):
        return known_already(command.award_id)
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = minor(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR:
        return too_rich(wallet)
    kind = command.award_kind
    account = f"jackpot:{command.origin.provider_id}" if kind == "jackpot" else ACCOUNTS[kind]
    payload = Awarded(
        command.named("st"), command.award_id, kind, command.campaign_id, command.round_id, command.game_id,
        wallet.currency, wallet.exponent, amount_minor, account,
    )  # fmt: skip
    moves = postings.credit(wallet.currency, account, amount_minor, wallet.receivable_minor)
    return accept(command, command.player, moves, payload)
