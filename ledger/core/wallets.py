"""Wallets, and money that moves outside of play."""

from ledger.core import folds, limits, postings
from ledger.core.commands import PlayerCommand
from ledger.core.decision import (
    Decision,
    Refusal,
    accept,
    balance_too_large,
    insufficient_funds,
    minor,
    positive,
    reason_missing,
    shortfall_refusal,
    wallet_of,
)
from ledger.core.events import Event, Payload
from ledger.core.folds import Touched
from ledger.core.money import MAX_BALANCE_MINOR, MAX_EXPONENT, Amount
from ledger.core.policy import Policy
from ledger.core.state import Currency, Key, RatesFrom, State, Wallet
from ledger.core.tallies import Tally
from ledger.core.value import value


@value()
class OpenWallet(PlayerCommand):
    """Open a player's wallet in a currency, empty, with `exponent` decimals: one more of it is 10^-exponent units."""

    kind = "OpenWallet"
    exponent: int

    @property
    def needs(self) -> tuple[Key, ...]:
        tenant_id = self.origin.tenant_id
        return (Currency, tenant_id, self.currency), (RatesFrom, tenant_id, self.currency)


@value()
class Deposit(PlayerCommand):
    """Money from the outside comes to a wallet. The operator's cashier orders it; `reference` is the payment's id
    there.
    """

    kind = "Deposit"
    obeys_limits = True
    amount: Amount
    reference: str
    actor: str


@value()
class Withdraw(PlayerCommand):
    """Money of a wallet goes to the outside: cash only, never bonus. `reference` is the payment's id at the cashier."""

    kind = "Withdraw"
    amount: Amount
    reference: str
    actor: str


@value()
class Adjust(PlayerCommand):
    """A correction up or down. There is no other way to change a balance."""

    kind = "Adjust"
    amount: Amount
    negative: bool
    reason: str
    reference: str
    """The provider's id of it, or the operator's."""
    actor: str
    """The provider, or the person who asked."""
    approver: str | None = None
    """A second person; a must where a person asks."""
    round_id: str | None = None
    game_id: str | None = None


@value(slots=False)
class WalletOpened(Payload):
    """A player has an empty wallet in a currency, whose decimals are fixed for the tenant from the first one on."""

    event_type = "wallet.opened"
    command_kind = "OpenWallet"
    currency: str
    exponent: int

    @property
    def result(self) -> dict[str, str]:
        return {"status": "opened"}

    def needs(self, event: Event) -> tuple[Key, ...]:
        return ((Currency, event.tenant_id, self.currency),)


@value(slots=False)
class Deposited(Payload):
    """Money from the outside has come to the player's cash, `amount_minor` in minor units."""

    event_type = "wallet.credit.deposit"
    command_kind = "Deposit"
    currency: str
    exponent: int
    amount_minor: int
    reference: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "deposited"}


@value(slots=False)
class Withdrawn(Payload):
    """Cash of the player has gone to the outside, `amount_minor` in minor units."""

    event_type = "wallet.debit.withdrawal"
    command_kind = "Withdraw"
    currency: str
    exponent: int
    amount_minor: int
    reference: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "withdrawn"}


@value(slots=False)
class Adjusted(Payload):
    """What both directions of an adjustment say; `amount_minor` is never negative."""

    command_kind = "Adjust"
    adjustment_id: str
    currency: str
    exponent: int
    amount_minor: int
    reason: str
    reference: str
    actor: str
    approver: str | None
    round_id: str | None
    game_id: str | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "adjusted", "adjustment_id": self.adjustment_id}


@value(slots=False)
class AdjustedUp(Adjusted):
    """A correction has added to the player's cash, once a debt was paid."""

    event_type = "wallet.credit.adjustment"


@value(slots=False)
class AdjustedDown(Adjusted):
    """A correction has taken from the player's cash; what was not there has become a receivable."""

    event_type = "wallet.debit.adjustment"


def open_wallet(state: State, command: OpenWallet, _: Policy, at: int) -> Decision:
    """A wallet is opened once; its decimals are those that the tenant's currency has already."""
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
    return accept(command, command.player, (), WalletOpened(currency, command.exponent), at)


def deposit(state: State, command: Deposit, policy: Policy, at: int) -> Decision:
    """Any positive amount is taken, up to the cap of a balance and the player's limits. No restriction stops it."""
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = positive(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR:
        return balance_too_large(wallet)
    player = state.player(wallet.tenant_id, wallet.player_id)
    if player and player.limits:
        amounts_minor = {limits.DEPOSIT: amount_minor, limits.NET_DEPOSIT: amount_minor}
        if over := limits.exceeded(state, limits.Asked(player, wallet, amounts_minor), policy, at):
            return over
    payload = Deposited(
        currency=wallet.currency,
        exponent=wallet.exponent,
        amount_minor=amount_minor,
        reference=command.reference,
        actor=command.actor,
    )
    return accept(command, command.player, postings.deposit(wallet.currency, amount_minor), payload, at)


def withdraw(state: State, command: Withdraw, _: Policy, at: int) -> Decision:
    """Cash is paid out, and nothing that is not there."""
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = positive(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if amount_minor > wallet.cash_minor:
        return insufficient_funds(wallet, amount_minor, wallet.cash_minor)
    payload = Withdrawn(
        currency=wallet.currency,
        exponent=wallet.exponent,
        amount_minor=amount_minor,
        reference=command.reference,
        actor=command.actor,
    )
    return accept(command, command.player, postings.withdrawal(wallet.currency, amount_minor), payload, at)


def adjust(state: State, command: Adjust, policy: Policy, at: int) -> Decision:
    """A person's adjustment says who and why, and needs a second person; a provider's does not."""
    if command.origin.integration_id is None:
        if refusal := reason_missing(command.actor, command.reason):
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
        refusal = shortfall_refusal(wallet, amount_minor, policy)
        moves = postings.debit(wallet.currency, postings.ADJUSTMENT, amount_minor, wallet.cash_minor)
    else:
        refusal = balance_too_large(wallet) if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR else None
        moves = postings.credit(wallet.currency, postings.ADJUSTMENT, amount_minor, wallet.receivable_minor)
    if refusal:
        return refusal
    direction = AdjustedDown if command.negative else AdjustedUp
    payload = direction(
        adjustment_id=command.named("adj"),
        currency=wallet.currency,
        exponent=wallet.exponent,
        amount_minor=amount_minor,
        reason=command.reason,
        reference=command.reference,
        actor=command.actor,
        approver=command.approver,
        round_id=command.round_id,
        game_id=command.game_id,
    )
    return accept(command, command.player, moves, payload, at)


def _name(person: str | None) -> str:
    """However it is written, it is one person."""
    return (person or "").strip().casefold()


def wallet_opened(state: State, event: Event, payload: WalletOpened) -> Touched:
    """The wallet is there and empty; a first one makes the player, and fixes the currency's decimals."""
    return (
        Currency(event.tenant_id, payload.currency, payload.exponent),
        folds.player(state, event),
        Wallet(
            tenant_id=event.tenant_id,
            player_id=folds.player_id(event),
            currency=payload.currency,
            exponent=payload.exponent,
        ),
    )


def deposited(state: State, event: Event, payload: Deposited) -> Touched:
    """The money is there, and counts as deposited."""
    moved = Tally(deposit_minor=payload.amount_minor)
    return (folds.wallet_after(state, event, payload.currency, moved, event.at),)


def withdrawn(state: State, event: Event, payload: Withdrawn) -> Touched:
    """The money is gone, and counts as withdrawn."""
    moved = Tally(withdrawal_minor=payload.amount_minor)
    return (folds.wallet_after(state, event, payload.currency, moved, event.at),)


def adjusted(state: State, event: Event, payload: AdjustedUp | AdjustedDown) -> Touched:
    """The postings say all: a correction counts as nothing that the player did."""
    return (folds.wallet_after(state, event, payload.currency),)
