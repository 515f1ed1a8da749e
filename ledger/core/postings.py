"""Double entry: what each business fact moves between which accounts. Every function returns postings that sum to zero.

An account's balance is the sum of its postings. `cash`, `bonus` and `held` of a wallet are what the tenant owes the
player; a negative
`receivable` is what the player owes the tenant. `house` and `cashier` are the tenant's.
"""

from collections.abc import Iterable
from typing import NamedTuple

WALLET_ACCOUNTS = frozenset({"cash", "bonus", "held", "receivable"})


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
    return entry(currency, cashier=-amount_minor, cash=amount_minor)


def withdrawal(currency: str, amount_minor: int) -> tuple[Posting, ...]:
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


def refund(currency: str, cash_minor: int, bonus_minor: int, held_minor: int) -> tuple[Posting, ...]:
    """An open bet's stake returns to where it came from: out of `held`, or out of the house where it was captured."""
    total = cash_minor + bonus_minor
    return entry(currency, held=-held_minor, house=held_minor - total, cash=cash_minor, bonus=bonus_minor)


def reversal(
    currency: str, cash_minor: int, bonus_minor: int, win_minor: int, available_minor: int
) -> tuple[Posting, ...]:
    """A settled bet is undone: the stake returns, the win is taken back; what `available_minor` of cash does not cover
    becomes a receivable.
    """
    taken = min(win_minor, available_minor + cash_minor)
    shortfall = win_minor - taken
    return entry(
        currency,
        house=win_minor - cash_minor - bonus_minor,
        cash=cash_minor - taken,
        bonus=bonus_minor,
        receivable=-shortfall,
    )


def totals_by_currency(postings: Iterable[Posting]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for posting in postings:
        totals[posting.currency] = totals.get(posting.currency, 0) + posting.amount_minor
    return totals
