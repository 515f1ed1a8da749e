"""The requests of the contract. Fields that it does not list are tolerated."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from gateway.fields import Body, DecimalString, PlayerId, ProviderCurrency, ProviderId
from ledger.core.money import Amount

MAX_TRANSACTIONS = 100

_AMOUNT = re.compile(r"(?=.{1,40}$)[0-9]+(?:\.[0-9]{1,16})?")
_ZEROS_AHEAD = re.compile(r"^0+(?=[0-9])")


def _as_published(value: object) -> object:
    """Zeros ahead are of the published form, and mean nothing."""
    if not isinstance(value, str):
        return value
    if _AMOUNT.fullmatch(value) is None:
        raise PydanticCustomError("amount", "must be a plain decimal: at most 16 decimals, at most 40 characters")
    return _ZEROS_AHEAD.sub("", value)


def _positive(amount: Amount) -> Amount:
    if not amount.unscaled:
        raise PydanticCustomError("amount", "must be greater than zero")
    return amount


class Request(Body):
    account_id: PlayerId
    currency: ProviderCurrency
    session_id: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,200}$")] | None = None
    """Empty counts as absent."""


class BalanceRequest(Request):
    game_id: ProviderId


class Transaction(Body):
    id_provider: ProviderId
    type: Literal["bet", "win"]
    amount: Annotated[DecimalString, BeforeValidator(_as_published), AfterValidator(_positive)]


class BetWinRequest(Request):
    game_id: ProviderId
    round_id: ProviderId
    finished: bool | None = None
    transactions: Annotated[list[Transaction], Field(min_length=1, max_length=MAX_TRANSACTIONS)]


class Reversal(Body):
    id_provider: ProviderId
    type: Literal["rollback"]
    original_id_provider: ProviderId


class RollbackRequest(Request):
    """`game_id` and `finished` are always sent, but a rollback that can be served is served without them too."""

    game_id: ProviderId | None = None
    round_id_provider: ProviderId
    finished: bool | None = None
    transactions: Annotated[list[Reversal], Field(min_length=1, max_length=MAX_TRANSACTIONS)]


class FinishRequest(Request):
    round_id: ProviderId
