"""Bets: how they begin, and when nothing about them changes any more."""

from typing import NamedTuple

from ledger.core import postings
from ledger.core.commands import (
    AT_SETTLEMENT,
    DEMO,
    FREE,
    IGNORED,
    REAL,
    REFUSE,
    REQUIRED,
    AuthorizeBet,
    FinalizeBet,
    Policy,
)
from ledger.core.decision import (
    Accepted,
    Decision,
    Refusal,
    accept,
    came_too_late,
    integration_of,
    known_already,
    minor,
    not_found,
    too_poor,
    too_rich,
    wallet_of,
)
from ledger.core.events import BetAuthorized, BetFinalized
from ledger.core.exchange import Conversion
from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, format_minor
from ledger.core.postings import Posting
from ledger.core.state import OPEN, TOMBSTONED, Session, State, Wallet


class Stake(NamedTuple):
    """What is staked, in the wallet's minor units; and as it was asked for, where that is another currency."""

    amount_minor: int
    conversion: Conversion | None
    cash_minor: int = 0
    bonus_minor: int = 0


def authorize(state: State, command: AuthorizeBet, policy: Policy) -> Decision:
    bet = state.bet(integration_of(command), command.bet_id)
    if bet:
        late = bet.status == TOMBSTONED
        return came_too_late(policy, command.bet_id) if late else known_already(command.bet_id)
    session = _session(state, command, policy)
    if isinstance(session, Refusal):
        return session
    player_id = session.player_id if session else str(command.player)
    wallet = wallet_of(state, command, player_id, command.wallet_currency or command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    if refusal := _barred(state, command, policy, player_id):
        return refusal
    mode = session.mode if session else REAL
    stake = _stake(state, command, policy, wallet)
    if isinstance(stake, Stake) and mode != DEMO and command.stake_kind != FREE:
        stake = _paid(stake, wallet)
    if isinstance(stake, Refusal):
        return stake
    payload = BetAuthorized(
        command.bet_id, command.named("h"), command.round_id, session.session_id if session else None,
        command.game_id or (session.game_id if session else None), command.stake_kind, wallet.currency,
        wallet.exponent, stake.amount_minor, stake.cash_minor, stake.bonus_minor, policy.capture, mode,
        Conversion.told(stake.conversion), _moved_end(session, command, policy) if session else None,
    )  # fmt: skip
    return accept(command, player_id, _moves(wallet, stake, policy), payload)


def _session(state: State, command: AuthorizeBet, policy: Policy) -> Session | Refusal | None:
    """The session that the bet is placed in; None where the policy needs none."""
    session = state.session(command.session_id) if command.session_id else None
    if session and session.integration_id != command.origin.integration_id:
        session = None
    required = policy.session == REQUIRED and command.stake_kind != FREE
    if session is None and command.player and not required:
        return None
    if session is None or command.player not in (None, session.player_id):
        return Refusal("SESSION_NOT_FOUND", {"session_id": str(command.session_id)})
    if session.ended and policy.session != IGNORED:
        return Refusal("SESSION_ENDED", {"session_id": session.session_id})
    if command.received_at >= session.expires_at and policy.session != IGNORED:
        return Refusal("SESSION_EXPIRED", {"session_id": session.session_id})
    currency = command.wallet_currency or command.currency
    if session.currency != currency:
        return Refusal("CURRENCY_MISMATCH", {"currency": currency, "expected": session.currency})
    return session


def _moved_end(session: Session, command: AuthorizeBet, policy: Policy) -> int | None:
    """The new end of a session that the bet keeps alive; None where it stays. It moves when less than half of the idle
    time is left, so that hardly any bet writes its session's row. What is over stays over.
    """
    left_us, idle_us = session.expires_at - command.received_at, policy.session_idle_s * 1_000_000
    if session.ended or left_us <= 0 or 2 * left_us >= idle_us:
        return None
    last_end = session.expires_at - session.extended_us + policy.session_overtime_s * 1_000_000
    end = min(command.received_at + idle_us, last_end)
    return end if end > session.expires_at else None


def _barred(state: State, command: AuthorizeBet, policy: Policy, player_id: str) -> Refusal | None:
    """What stops stakes, and nothing else."""
    player = state.player(command.origin.tenant_id, player_id)
    if player and player.restriction:
        return Refusal("PLAYER_RESTRICTED", {"player_id": player_id, "restriction": player.restriction})
    # Only a command that names its player has its round loaded.
    round_id = command.round_id if command.player and policy.bet_after_round_end == REFUSE else None
    if round_id and state.round(integration_of(command), player_id, round_id):
        return Refusal("ROUND_FINISHED", {"round_id": round_id})
    return None


def _stake(state: State, command: AuthorizeBet, policy: Policy, wallet: Wallet) -> Stake | Refusal:
    if command.currency == wallet.currency:
        stake_minor = minor(command.amount, wallet.currency, wallet.exponent)
        stake = stake_minor if isinstance(stake_minor, Refusal) else Stake(stake_minor, None)
    else:
        stake = _converted(state, command, policy, wallet)
    if isinstance(stake, Stake) and stake.amount_minor == 0 and policy.zero_stake == REFUSE:
        return Refusal("AMOUNT_NOT_POSITIVE")
    return stake


def _converted(state: State, command: AuthorizeBet, policy: Policy, wallet: Wallet) -> Stake | Refusal:
    rate = _rate(state, command, policy, wallet)
    if rate is None:
        return Refusal("RATE_NOT_AVAILABLE", {"currency": command.currency, "wallet_currency": wallet.currency})
    asked_minor = minor(command.amount, rate.currency, rate.exponent)
    if isinstance(asked_minor, Refusal):
        return asked_minor
    conversion = rate.asking(asked_minor)
    stake_minor = conversion.stake_minor(wallet.exponent)
    if stake_minor > MAX_AMOUNT_MINOR:
        maximum = format_minor(MAX_AMOUNT_MINOR, wallet.exponent)
        return Refusal("AMOUNT_TOO_LARGE", {"amount": str(command.amount), "maximum": maximum})
    return Stake(stake_minor, conversion)


def _rate(state: State, command: AuthorizeBet, policy: Policy, wallet: Wallet) -> Conversion | None:
    """The rate that the round has locked already, else today's, if it is young enough."""
    if command.player and command.round_id:
        for bet in state.bets_of_round(integration_of(command), command.player, command.round_id):
            if bet.conversion and (bet.asked_currency, bet.currency) == (command.currency, wallet.currency):
                return bet.conversion
    rate = state.rate(command.origin.tenant_id, command.currency, wallet.currency)
    if rate is None or command.received_at - rate.as_of >= policy.rate_max_age_s * 1_000_000:
        return None
    return rate.locked


def _paid(stake: Stake, wallet: Wallet) -> Stake | Refusal:
    """The stake with the money that it is paid with: cash first."""
    if stake.amount_minor > wallet.available_minor:
        return too_poor(wallet, stake.amount_minor, wallet.available_minor)
    if wallet.held_minor + stake.amount_minor > MAX_BALANCE_MINOR:
        return too_rich(wallet)
    cash_minor = min(stake.amount_minor, wallet.cash_minor)
    return stake._replace(cash_minor=cash_minor, bonus_minor=stake.amount_minor - cash_minor)


def _moves(wallet: Wallet, stake: Stake, policy: Policy) -> tuple[Posting, ...]:
    held = policy.capture == AT_SETTLEMENT
    moves = postings.stake(wallet.currency, stake.cash_minor, stake.bonus_minor, held=held)
    if stake.conversion and moves and not held:
        return postings.exchanged(moves, {stake.conversion.currency: stake.conversion.amount_minor})
    return moves


def finalize(state: State, command: FinalizeBet, _: Policy) -> Decision:
    bet = state.bet(integration_of(command), command.bet_id)
    if bet is None or bet.status == TOMBSTONED:
        return Refusal("BET_TOMBSTONED", {"bet_id": command.bet_id}) if bet else not_found(command.bet_id)
    if bet.final:
        return Accepted((), {"status": "finalized"})
    if bet.status == OPEN:
        return Refusal("BET_OPEN", {"bet_id": command.bet_id})
    payload = BetFinalized(bet.bet_id, bet.round_id, bet.session_id, bet.game_id, str(bet.currency), str(bet.mode))
    return accept(command, bet.player_id, (), payload)
