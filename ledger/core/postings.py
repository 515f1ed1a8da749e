"""Double entry: what each business fact moves between which accounts. Every function returns postings that sum to zero
per currency.

An account's balance is the sum of its postings. `cash`, `bonus` and `held` of a wallet are what the tenant owes the
player; a negative `receivable` is what the player owes the tenant. All other accounts are the tenant's.
"""

from collections.abc import Iterable
from typing import NamedTuple

WALLET_ACCOUNTS = frozenset({"cash", "bonus", "held", "receivable"})

HOUSE, FX, ADJUSTMENT, BONUS_COST = "house", "fx", "adjustment", "bonus_cost"


class Posting(NamedTuple):
    """One side of an entry: a positive amount adds to the account."""

    account: str
    amount_minor: int
    currency: str


def entry(currency: str, **amounts_minor: int) -> tuple[Posting, ...]:
    """The journal entry that moves `amounts_minor` per account; accounts that do not move are left out."""
    assert sum(amounts_minor.values()) == 0, f"a journal entry must sum to zero, not {amounts_minor}"
    return tuple([Posting(account, amount, currency) for account, amount in amounts_minor.items() if amount])


def deposit(currency: str, amount_minor: int) -> tuple[Posting, ...]:
    """Money comes from the outside, by way of the cashier, to the player's cash."""
    return entry(currency, cashier=-amount_minor, cash=amount_minor)


def withdrawal(currency: str, amount_minor: int) -> tuple[Posting, ...]:
    """The player's cash goes, by way of the cashier, to the outside."""
    return entry(currency, cash=-amount_minor, cashier=amount_minor)


def stake(currency: str, cash_minor: int, bonus_minor: int, *, held: bool) -> tuple[Posting, ...]:
    """A stake leaves the player's money: into `held` while the bet is open, or to the house at once."""
    total = cash_minor + bonus_minor
    return entry(currency, cash=-cash_minor, bonus=-bonus_minor, held=total if held else 0, house=0 if held else total)


def settlement(currency: str, held_minor: int, win_minor: int, receivable_minor: int) -> tuple[Posting, ...]:
    """The held stake goes to the house, the win to the player; a debt (a negative receivable) is netted before cash is
    paid.
    """
    netted = min(win_minor, -receivable_minor)
    return entry(currency, held=-held_minor, house=held_minor - win_minor, receivable=netted, cash=win_minor - netted)


def credit(currency: str, account: str, amount_minor: int, receivable_minor: int) -> tuple[Posting, ...]:
    """Money from a tenant's `account` to the player; a debt is netted first."""
    cash, receivable = _player_side(amount_minor, 0, receivable_minor)
    return entry(currency, **{account: -amount_minor}, receivable=receivable, cash=cash)


def debit(currency: str, account: str, amount_minor: int, available_minor: int) -> tuple[Posting, ...]:
    """Money back from the player to a tenant's `account`; what `available_minor` of cash does not cover becomes a
    receivable.
    """
    cash, receivable = _player_side(-amount_minor, available_minor, 0)
    return entry(currency, **{account: amount_minor}, receivable=receivable, cash=cash)


def rollback(
    currency: str,
    cash_minor: int,
    bonus_minor: int,
    held_minor: int,
    win_minor: int,
    available_minor: int,
    receivable_minor: int,
) -> tuple[Posting, ...]:
    """A bet is undone. Its stake returns to where it came from, out of `held` as far as it is there and out of the
    house; `win_minor` is taken back, and what the cash does not cover becomes a receivable.
    """
    cash, receivable = _player_side(cash_minor - win_minor, available_minor, receivable_minor)
    return entry(
        currency,
        held=-held_minor,
        house=held_minor + win_minor - cash_minor - bonus_minor,
        cash=cash,
        bonus=bonus_minor,
        receivable=receivable,
    )


def win_reversal(
    currency: str, account: str, win_minor: int, held_minor: int, available_minor: int
) -> tuple[Posting, ...]:
    """A win goes back to the account that paid it; where that opens its bet again, the house gives the stake back into
    `held`.
    """
    cash, receivable = _player_side(-win_minor, available_minor, 0)
    back = entry(currency, **{account: win_minor}, cash=cash, receivable=receivable)
    return merged(back + entry(currency, house=-held_minor, held=held_minor))


def reinstatement(
    currency: str, cash_minor: int, bonus_minor: int, shortfall_minor: int, *, held: bool
) -> tuple[Posting, ...]:
    """The stake of a bet is taken a second time; what is not there any more becomes a receivable."""
    total = cash_minor + bonus_minor + shortfall_minor
    return entry(
        currency,
        cash=-cash_minor,
        bonus=-bonus_minor,
        receivable=-shortfall_minor,
        held=total if held else 0,
        house=0 if held else total,
    )


def capture(currency: str, held_minor: int) -> tuple[Posting, ...]:
    """What open bets held goes to the house."""
    return entry(currency, held=-held_minor, house=held_minor)


def exchanged(moves: tuple[Posting, ...], owed_to_house: dict[str, int]) -> tuple[Posting, ...]:
    """Entries whose house side is in the currencies that were asked in: `fx` stands between them and the wallet's, and
    keeps what rounding leaves. `owed_to_house` is in minor units per currency, negative where the house pays.
    """
    wallet_side = tuple([move._replace(account=FX) if move.account == HOUSE else move for move in moves])
    house_side = [entry(currency, fx=-amount, house=amount) for currency, amount in owed_to_house.items()]
    return sum(house_side, wallet_side)


def merged(moves: tuple[Posting, ...]) -> tuple[Posting, ...]:
    """One posting per account and currency."""
    totals: dict[tuple[str, str], int] = {}
    for account, amount, currency in moves:
        totals[account, currency] = totals.get((account, currency), 0) + amount
    return tuple([Posting(account, amount, currency) for (account, currency), amount in totals.items() if amount])


def totals_by_currency(postings: Iterable[Posting]) -> dict[str, int]:
    """The sum of `postings` per currency, minor units: all zero where they are journal entries."""
    totals: dict[str, int] = {}
    for posting in postings:
        totals[posting.currency] = totals.get(posting.currency, 0) + posting.amount_minor
    return totals


def _player_side(amount_minor: int, available_minor: int, receivable_minor: int) -> tuple[int, int]:
    """What moves (cash, receivable): a gain pays a debt first, a loss takes the available cash first."""
    if amount_minor >= 0:
        netted = min(amount_minor, -receivable_minor)
        return amount_minor - netted, netted
    taken = min(-amount_minor, available_minor)
    return -taken, amount_minor + taken
