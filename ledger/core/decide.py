"""The rules. `decide(state, command, policy)` answers with events or with a refusal and changes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import field

from ledger.core import postings
from ledger.core.commands import (
    AT_SETTLEMENT,
    DEMO,
    REVERSE,
    AuthorizeBet,
    Command,
    Deposit,
    EndSession,
    OpenWallet,
    Policy,
    RollbackBet,
    SettleBet,
    StartSession,
    Withdraw,
)
from ledger.core.events import (
    BetAuthorized,
    BetRolledBack,
    BetSettled,
    BetTombstoned,
    Deposited,
    Event,
    Payload,
    SessionEnded,
    SessionStarted,
    WalletOpened,
    Withdrawn,
)
from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, MAX_EXPONENT, Amount, format_minor
from ledger.core.postings import Posting
from ledger.core.state import OPEN, ROLLED_BACK, SETTLED, TOMBSTONED, Bet, Session, State, Wallet
from ledger.core.value import value


@value()
class Accepted:
    """A yes: the events that make it true, and the ids that the answer names. No events: it was true already."""

    events: tuple[Event, ...]
    result: Mapping[str, str]


@value()
class Refusal:
    """A no by a rule. `code` is one of the error catalogue; `details` fill its message."""

    code: str
    details: Mapping[str, str | int] = field(default_factory=dict)


Decision = Accepted | Refusal


def decide(state: State, command: Command, policy: Policy) -> Decision:
    """Judge `command` on `state`, which holds the player's wallets and all that the command says it needs."""
    return _RULES[type(command)](state, command, policy)


def _open_wallet(state: State, command: OpenWallet, _: Policy) -> Decision:
    tenant_id, currency = command.origin.tenant_id, command.currency
    if state.wallet(tenant_id, command.player, currency):
        return Refusal("WALLET_EXISTS", {"player_id": command.player, "currency": currency})
    if not 0 <= command.exponent <= MAX_EXPONENT:
        return Refusal("EXPONENT_INVALID", {"exponent": command.exponent, "maximum": MAX_EXPONENT})
    known = state.currency(tenant_id, currency)
    if known and known.exponent != command.exponent:
        return Refusal("EXPONENT_FIXED", {"currency": currency, "exponent": known.exponent, "asked": command.exponent})
    return _accept(command, command.player, (), WalletOpened(currency, command.exponent))


def _deposit(state: State, command: Deposit, _: Policy) -> Decision:
    wallet = state.wallet(command.origin.tenant_id, command.player, command.currency)
    if wallet is None:
        return _no_wallet(command.player, command.currency)
    amount_minor = _positive_minor(command.amount, wallet)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR:
        return _too_rich(wallet)
    payload = Deposited(wallet.currency, wallet.exponent, amount_minor, command.reference, command.actor)
    return _accept(command, command.player, postings.deposit(wallet.currency, amount_minor), payload)


def _withdraw(state: State, command: Withdraw, _: Policy) -> Decision:
    wallet = state.wallet(command.origin.tenant_id, command.player, command.currency)
    if wallet is None:
        return _no_wallet(command.player, command.currency)
    amount_minor = _positive_minor(command.amount, wallet)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if amount_minor > wallet.cash_minor:
        return _too_poor(wallet, amount_minor, wallet.cash_minor)
    payload = Withdrawn(wallet.currency, wallet.exponent, amount_minor, command.reference, command.actor)
    return _accept(command, command.player, postings.withdrawal(wallet.currency, amount_minor), payload)


def _start_session(state: State, command: StartSession, _: Policy) -> Decision:
    if state.wallet(command.origin.tenant_id, command.player, command.currency) is None:
        return _no_wallet(command.player, command.currency)
    session_id = command.named("s")
    payload = SessionStarted(
        session_id, command.currency, command.mode, command.game_id, command.locale, command.expires_at
    )
    return _accept(command, command.player, (), payload)


def _end_session(state: State, command: EndSession, _: Policy) -> Decision:
    session = state.session(command.session_id)
    if session is None or session.integration_id != command.origin.integration_id:
        return Refusal("SESSION_NOT_FOUND", {"session_id": command.session_id})
    if session.ended:
        return Accepted((), {"status": "ended", "session_id": session.session_id})
    payload = SessionEnded(session.session_id, session.currency, session.mode, command.reason)
    return _accept(command, session.player_id, (), payload)


def _authorize(state: State, command: AuthorizeBet, policy: Policy) -> Decision:
    integration_id = command.origin.integration_id
    assert integration_id, "only an integration bets"
    bet = state.bet(integration_id, command.bet_id)
    if bet:
        return Refusal("BET_TOMBSTONED" if bet.status == TOMBSTONED else "DUPLICATE", {"bet_id": command.bet_id})
    session = _live_session(state, command)
    if isinstance(session, Refusal):
        return session
    wallet = state.wallet(session.tenant_id, session.player_id, session.currency)
    if wallet is None:
        return _no_wallet(session.player_id, session.currency)
    stake_minor = _positive_minor(command.amount, wallet)
    if isinstance(stake_minor, Refusal):
        return stake_minor
    cash_minor = bonus_minor = 0
    if session.mode != DEMO:
        if stake_minor > wallet.available_minor:
            return _too_poor(wallet, stake_minor, wallet.available_minor)
        if wallet.held_minor + stake_minor > MAX_BALANCE_MINOR:
            return _too_rich(wallet)
        cash_minor = min(stake_minor, wallet.cash_minor)
        bonus_minor = stake_minor - cash_minor
    hold_id = command.named("h")
    payload = BetAuthorized(
        command.bet_id, hold_id, command.round_id, session.session_id, session.game_id, wallet.currency,
        wallet.exponent, stake_minor, cash_minor, bonus_minor, policy.capture, session.mode,
    )  # fmt: skip
    moves = postings.stake(wallet.currency, cash_minor, bonus_minor, held=policy.capture == AT_SETTLEMENT)
    return _accept(command, session.player_id, moves, payload)


def _live_session(state: State, command: AuthorizeBet) -> Session | Refusal:
    session = state.session(command.session_id)
    if session is None or session.integration_id != command.origin.integration_id:
        return Refusal("SESSION_NOT_FOUND", {"session_id": command.session_id})
    if session.ended:
        return Refusal("SESSION_ENDED", {"session_id": command.session_id})
    if command.received_at >= session.expires_at:
        return Refusal("SESSION_EXPIRED", {"session_id": command.session_id})
    if session.currency != command.currency:
        return Refusal("CURRENCY_MISMATCH", {"currency": command.currency, "expected": session.currency})
    return session


def _settle(state: State, command: SettleBet, _: Policy) -> Decision:
    bet, wallet = _bet_and_wallet(state, command)
    if bet is None or bet.status == TOMBSTONED or wallet is None:
        return Refusal("BET_TOMBSTONED" if bet else "BET_NOT_FOUND", {"bet_id": command.bet_id})
    if bet.status != OPEN:
        return Refusal(
            "BET_ROLLED_BACK" if bet.status == ROLLED_BACK else "BET_ALREADY_SETTLED", {"bet_id": command.bet_id}
        )
    if command.round_id != bet.round_id:
        return Refusal("ROUND_MISMATCH", {"round_id": command.round_id, "expected": str(bet.round_id)})
    if command.currency != bet.currency:
        return Refusal("CURRENCY_MISMATCH", {"currency": command.currency, "expected": wallet.currency})
    win_minor = _minor(command.win, wallet)
    if isinstance(win_minor, Refusal):
        return win_minor
    if bet.mode != DEMO and wallet.cash_minor + win_minor > MAX_BALANCE_MINOR:
        return _too_rich(wallet)
    settlement_id = command.named("st")
    payload = BetSettled(
        settlement_id, bet.bet_id, command.round_id, str(bet.game_id), wallet.currency, wallet.exponent,
        bet.stake_minor, win_minor, command.in_bonus, command.freespins_left, str(bet.mode),
    )  # fmt: skip
    moves: tuple[Posting, ...] = ()
    if bet.mode != DEMO:
        moves = postings.settlement(wallet.currency, bet.held_minor, win_minor, wallet.receivable_minor)
    return _accept(command, wallet.player_id, moves, payload)


def _rollback(state: State, command: RollbackBet, policy: Policy) -> Decision:
    bet, wallet = _bet_and_wallet(state, command)
    if bet is None:
        return _tombstone(state, command)
    if bet.status in (TOMBSTONED, ROLLED_BACK):
        return Accepted((), {"status": bet.status, "rollback_id": str(bet.rollback_id)})
    assert wallet, f"bet {bet.bet_id} is {bet.status} without a wallet"
    if bet.status == SETTLED and policy.rollback_of_settled != REVERSE:
        return Refusal("BET_ALREADY_SETTLED", {"bet_id": command.bet_id})
    if command.round_id is not None and command.round_id != bet.round_id:
        return Refusal("ROUND_MISMATCH", {"round_id": command.round_id, "expected": str(bet.round_id)})
    rollback_id = command.named("rb")
    payload = BetRolledBack(
        rollback_id, bet.bet_id, str(bet.round_id), str(bet.game_id), wallet.currency, wallet.exponent,
        bet.stake_minor, bet.win_minor, bet.settlement_id, command.reason, str(bet.mode),
    )  # fmt: skip
    return _accept(command, wallet.player_id, _undo(bet, wallet), payload)


def _undo(bet: Bet, wallet: Wallet) -> tuple[Posting, ...]:
    if bet.mode == DEMO:
        return ()
    if bet.status == SETTLED:
        return postings.reversal(
            wallet.currency, bet.stake_cash_minor, bet.stake_bonus_minor, bet.win_minor, wallet.cash_minor
        )
    return postings.refund(wallet.currency, bet.stake_cash_minor, bet.stake_bonus_minor, bet.held_minor)


def _tombstone(state: State, command: RollbackBet) -> Decision:
    session = state.session(command.session_id) if command.session_id else None
    if session and session.integration_id != command.origin.integration_id:
        session = None
    player_id, currency = (session.player_id, session.currency) if session else (None, None)
    payload = BetTombstoned(command.named("rb"), command.bet_id, command.round_id, currency, command.reason)
    return _accept(command, player_id, (), payload)


def _bet_and_wallet(state: State, command: SettleBet | RollbackBet) -> tuple[Bet | None, Wallet | None]:
    integration_id = command.origin.integration_id
    assert integration_id, "only an integration settles and rolls back"
    bet = state.bet(integration_id, command.bet_id)
    if bet is None or bet.player_id is None or bet.currency is None:
        return bet, None
    return bet, state.wallet(bet.tenant_id, bet.player_id, bet.currency)


def _positive_minor(amount: Amount, wallet: Wallet) -> int | Refusal:
    """What a stake or a payment must be."""
    return _minor(amount, wallet) or Refusal("AMOUNT_NOT_POSITIVE")


def _minor(amount: Amount, wallet: Wallet) -> int | Refusal:
    amount_minor = amount.to_minor(wallet.exponent)
    if amount_minor is None:
        return Refusal(
            "AMOUNT_SCALE", {"amount": str(amount), "currency": wallet.currency, "exponent": wallet.exponent}
        )
    if amount_minor > MAX_AMOUNT_MINOR:
        return Refusal(
            "AMOUNT_TOO_LARGE", {"amount": str(amount), "maximum": format_minor(MAX_AMOUNT_MINOR, wallet.exponent)}
        )
    return amount_minor


def _no_wallet(player_id: str, currency: str) -> Refusal:
    return Refusal("WALLET_NOT_FOUND", {"player_id": player_id, "currency": currency})


def _too_poor(wallet: Wallet, asked_minor: int, available_minor: int) -> Refusal:
    asked, available = format_minor(asked_minor, wallet.exponent), format_minor(available_minor, wallet.exponent)
    return Refusal("INSUFFICIENT_FUNDS", {"asked": asked, "available": available, "currency": wallet.currency})


def _too_rich(wallet: Wallet) -> Refusal:
    return Refusal(
        "BALANCE_TOO_LARGE", {"maximum": format_minor(MAX_BALANCE_MINOR, wallet.exponent), "currency": wallet.currency}
    )


def _accept(command: Command, player_id: str | None, moves: tuple[Posting, ...], payload: Payload) -> Accepted:
    event = Event(payload, command.origin.tenant_id, player_id, command.origin.integration_id, moves)
    return Accepted((event,), payload.result)


_RULES: dict[type[Command], Callable[..., Decision]] = {
    OpenWallet: _open_wallet,
    Deposit: _deposit,
    Withdraw: _withdraw,
    StartSession: _start_session,
    EndSession: _end_session,
    AuthorizeBet: _authorize,
    SettleBet: _settle,
    RollbackBet: _rollback,
}
