"""The answers of the canonical API."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from ledger.core.money import format_minor
from ledger.outcome import Balances


class WalletBalances(BaseModel):
    """After the command. Decimals as strings, and the same in minor units; `available` is what a bet may stake: cash
    and bonus.
    """

    currency: str
    exponent: int
    cash: str
    bonus: str
    held: str
    receivable: str
    available: str
    cash_minor: int
    bonus_minor: int
    held_minor: int
    receivable_minor: int
    available_minor: int


class SessionStarted(BaseModel):
    status: Literal["started"]
    session_id: str
    expires_at: datetime
    player_id: str
    game_id: str
    currency: str
    mode: Literal["real", "demo"]
    integration_id: str = Field(description="Whose session it is: only this integration bets in it.")
    token: str | None = Field(description="What the provider sends back as its session token. None in demo mode.")
    launch_url: str | None = Field(description="Signed. None where the integration has no address.")
    launch_expires_at: datetime | None
    balances: WalletBalances


class SessionEnded(BaseModel):
    status: Literal["ended"]
    session_id: str
    balances: WalletBalances


class BetAuthorized(BaseModel):
    status: Literal["authorized"]
    hold_id: str
    session_id: str
    bet_id: str
    round_id: str
    balances: WalletBalances


class BetSettled(BaseModel):
    status: Literal["credited"]
    settlement_id: str
    bet_id: str
    round_id: str
    balances: WalletBalances


class BetRolledBack(BaseModel):
    status: Literal["rolled_back", "tombstoned"]
    rollback_id: str
    bet_id: str
    round_id: str | None = None
    balances: WalletBalances | None = Field(description="Null where the bet is not known and nothing names its player.")


class Wallet(BaseModel):
    player_id: str
    balances: WalletBalances


def render_balances(balances: Balances) -> dict[str, str | int]:
    """The content of WalletBalances. Spelled out, because every bet comes by here."""
    currency, exponent, cash, bonus, held, receivable = balances
    available = cash + bonus
    return {
        "currency": currency,
        "exponent": exponent,
        "cash": format_minor(cash, exponent),
        "bonus": format_minor(bonus, exponent),
        "held": format_minor(held, exponent),
        "receivable": format_minor(receivable, exponent),
        "available": format_minor(available, exponent),
        "cash_minor": cash,
        "bonus_minor": bonus,
        "held_minor": held,
        "receivable_minor": receivable,
        "available_minor": available,
    }
