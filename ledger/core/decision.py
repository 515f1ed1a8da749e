"""What a rule answers: a yes with its events, or a no with its code. And the judgements that many rules share."""

from collections.abc import Mapping
from dataclasses import field

from ledger.core.commands import Command
from ledger.core.events import Event, Payload
from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, Amount, format_minor
from ledger.core.policy import ACKNOWLEDGE, REFUSE, Policy
from ledger.core.postings import Posting
from ledger.core.state import State, Wallet
from ledger.core.value import value


@value()
class Accepted:
    """A yes: the events that make it true, and the ids that the answer names. No events: it was true already, or the
    policy says to acknowledge it without effect.
    """

    events: tuple[Event, ...]
    result: Mapping[str, str]


@value()
class Refusal:
    """A no by a rule. `code` is one of the error catalogue; `details` fill its message."""

    code: str
    details: Mapping[str, str | int] = field(default_factory=dict)


Decision = Accepted | Refusal


def accept(command: Command, player_id: str | None, moves: tuple[Posting, ...], payload: Payload, at: int) -> Accepted:
    """A yes with one event at the time `at`: `moves` is its journal entry."""
    origin = command.origin
    event = Event(payload, origin.tenant_id, player_id, origin.integration_id, at, moves, origin.region)
    return Accepted((event,), payload.result)


def acknowledged() -> Accepted:
    """A yes without effect: no event, and nothing moves."""
    return Accepted((), {"status": "acknowledged"})


def late_bet(policy: Policy, bet_id: str) -> Decision:
    """The answer to a bet, a win or an award that was rolled back before it arrived: as the policy says."""
    return acknowledged() if policy.late_bet == ACKNOWLEDGE else Refusal("BET_TOMBSTONED", {"bet_id": bet_id})


def duplicate(bet_id: str) -> Refusal:
    """A no to a bet, win or award whose id is known under another key."""
    return Refusal("DUPLICATE", {"bet_id": bet_id})


def not_found(bet_id: str) -> Refusal:
    """A no to what names a bet or a win that is not there, or is another player's."""
    return Refusal("BET_NOT_FOUND", {"bet_id": bet_id})


def integration_of(command: Command) -> str:
    """Whose bets and wins the command means: that of the integration which sends it."""
    assert command.origin.integration_id, f"{command.kind} is asked by an integration"
    return command.origin.integration_id


def positive(amount: Amount, currency: str, exponent: int) -> int | Refusal:
    """The amount of a payment in minor units; a no where it is 0, no whole number of them, or beyond the cap."""
    return minor(amount, currency, exponent) or Refusal("AMOUNT_NOT_POSITIVE")


def minor(amount: Amount, currency: str, exponent: int) -> int | Refusal:
    """An amount in minor units at `exponent` decimals; a no where that is not a whole number or beyond the cap."""
    amount_minor = amount.to_minor(exponent)
    if amount_minor is None:
        return Refusal("AMOUNT_SCALE", {"amount": str(amount), "currency": currency, "exponent": exponent})
    if amount_minor > MAX_AMOUNT_MINOR:
        return Refusal("AMOUNT_TOO_LARGE", {"amount": str(amount), "maximum": format_minor(MAX_AMOUNT_MINOR, exponent)})
    return amount_minor


def wallet_of(state: State, command: Command, player_id: str, currency: str) -> Wallet | Refusal:
    """The player's wallet in `currency`, or a no."""
    wallet = state.wallet(command.origin.tenant_id, player_id, currency)
    return wallet or Refusal("WALLET_NOT_FOUND", {"player_id": player_id, "currency": currency})


def insufficient_funds(wallet: Wallet, needed_minor: int, available_minor: int) -> Refusal:
    """A no to what costs more than is available. Both amounts are minor units of the wallet."""
    asked, available = format_minor(needed_minor, wallet.exponent), format_minor(available_minor, wallet.exponent)
    return Refusal("INSUFFICIENT_FUNDS", {"asked": asked, "available": available, "currency": wallet.currency})


def balance_too_large(wallet: Wallet) -> Refusal:
    """A no to what would lift an account of the wallet above the cap."""
    return Refusal(
        "BALANCE_TOO_LARGE", {"maximum": format_minor(MAX_BALANCE_MINOR, wallet.exponent), "currency": wallet.currency}
    )


def reason_missing(actor: str, reason: str) -> Refusal | None:
    """A no to what a person does by hand without a name or a reason."""
    missing = [name for name, said in (("actor", actor), ("reason", reason)) if not said.strip()]
    return Refusal("REASON_MISSING", {"field": missing[0]}) if missing else None


def shortfall_refusal(wallet: Wallet, lost_minor: int, policy: Policy) -> Refusal | None:
    """A no to taking `lost_minor` back, where the cash does not cover it and the policy lets nobody owe."""
    if policy.shortfall == REFUSE and lost_minor > wallet.cash_minor:
        return insufficient_funds(wallet, lost_minor, wallet.cash_minor)
    return None
