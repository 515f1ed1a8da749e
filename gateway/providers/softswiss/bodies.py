"""The requests of the contract. Fields that it does not list are tolerated."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.dialect.bodies import Body
from gateway.dialect.fields import DecimalString, Flag, Noted, PlayerId, ProviderCurrency, ProviderId

MAX_TRANSACTIONS = 100


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
    amount: DecimalString


class BetWinRequest(Request):
    game_id: ProviderId
    round_id: ProviderId
    finished: Noted[Flag] = None
    transactions: Annotated[list[Transaction], Field(min_length=1, max_length=MAX_TRANSACTIONS)]


class Reversal(Body):
    id_provider: ProviderId
    type: Literal["rollback"]
    original_id_provider: ProviderId


class RollbackRequest(Request):
    """`game_id` and `finished` are always sent, but a rollback that can be served is served without them too."""

    game_id: Noted[ProviderId] = None
    round_id_provider: ProviderId
    finished: Noted[Flag] = None
    transactions: Annotated[list[Reversal], Field(min_length=1, max_length=MAX_TRANSACTIONS)]


class FinishRequest(Request):
    round_id: ProviderId
