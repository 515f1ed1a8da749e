"""Wallets, and money that moves outside of play."""

from ledger.core import postings
from ledger.core.commands import Adjust, Deposit, OpenWallet, Policy, Withdraw
from ledger.core.decision import (
    Decision,
    Refusal,
    accept,
    cannot_owe,
    minor,
    positive,
    too_poor,
    too_rich,
    unexplained,
    wallet_of,
)
from ledger.core.events import AdjustedDown, AdjustedUp, Deposited, WalletOpened, Withdrawn
from ledger.core.money import MAX_BALANCE_MINOR, MAX_EXPONENT
from ledger.core.state import State


def open_wallet(state: State, command: OpenWallet, _: Policy) -> Decision:
    tenant_id, currency = command.origin.tenant_id, command.currency
    if state.wallet(tenant_id, command.player, currency):
        return Refusal("WALLET_EXISTS", {"player_id": command.player, "currency": currency})
    if not 0 <= command.exponent <= MAX_EXPONENT:
        return Refusal("EXPONENT_INVALID", {"exponent": command.exponent, "maximum": MAX_EXPONENT})
    known = state.currency(tenant_id, currency)
    # Converted bets have posted to the tenant's accounts in the decimals of their rate.
    fixed = [known.exponent] if known else [rate.base_exponent for rate in state.rates_from(tenant_id, currency)]
    if fixed and fixed[0] != command.exponent:
        return Refusal("EXPONENT_FIXED", {"currency": currency, "exponent": fixed[0], "asked": command.exponent})
    return accept(command, command.player, (), WalletOpened(currency, command.exponent))


def deposit(state: State, command: Deposit, _: Policy) -> Decision:
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = positive(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR:
        return too_rich(wallet)
    payload = Deposited(wallet.currency, wallet.exponent, amount_minor, command.reference, command.actor)
    return accept(command, command.player, postings.deposit(wallet.currency, amount_minor), payload)


def withdraw(state: State, command: Withdraw, _: Policy) -> Decision:
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = positive(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if amount_minor > wallet.cash_minor:
        return too_poor(wallet, amount_minor, wallet.cash_minor)
    payload = Withdrawn(wallet.currency, wallet.exponent, amount_minor, command.reference, command.actor)
    return accept(command, command.player, postings.withdrawal(wallet.currency, amount_minor), payload)


def adjust(state: State, command: Adjust, policy: Policy) -> Decision:
    """A person's adjustment says who and why, and needs a second person; a provider's does not."""
    if command.origin.integration_id is None:
        if refusal := unexplained(command.actor, command.reason):
            return refusal
        if _name(command.approver) in ("", _name(command.actor)):
            return Refusal("APPROVAL_MISSING", {"actor": command.actor})
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = minor(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if command.negative:
        refusal = cannot_owe(wallet, amount_minor, policy)
        moves = postings.debit(wallet.currency, postings.ADJUSTMENT, amount_minor, wallet.cash_minor)
    else:
        refusal = too_rich(wallet) if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR else None
        moves = postings.credit(wallet.currency, postings.ADJUSTMENT, amount_minor, wallet.receivable_minor)
    if refusal:
        return refusal
    direction = AdjustedDown if command.negative else AdjustedUp
    payload = direction(
        command.named("adj"), wallet.currency, wallet.exponent, amount_minor, command.reason, command.reference,
        command.actor, command.approver, command.round_id, command.game_id,
    )  # fmt: skip
    return accept(command, command.player, moves, payload)


def _name(person: str | None) -> str:
    """However it is written, it is one person."""
    return (person or "").strip().casefold()
