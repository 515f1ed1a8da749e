"""What each call's payload has. Amounts are whole cents; times are Unix seconds with a fraction."""

from typing import Annotated

from pydantic import AliasChoices, Field

from gateway.dialect.bodies import Body
from gateway.dialect.fields import Flag, Moment, Noted, PlayerId, ProviderCurrency, Units

CENTS = 2
"""Decimals of their amounts, whatever the currency."""

BetbyId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
SessionKey = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
OurId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,120}$")]
"""The id that we gave to a bet, a win, a loss, or a refund."""


class Transaction(Body):
    """Theirs. `amount` is the stake where the call is about a bet; what a win pays stands beside it."""

    id: BetbyId
    ext_player_id: PlayerId
    timestamp: Noted[Moment] = None
    amount: Units | None = None
    currency: ProviderCurrency | None = None


class Identify(Body):
    key: SessionKey


class Make(Body):
    amount: Units
    currency: ProviderCurrency
    player_id: PlayerId
    session_id: SessionKey | None = None
    bonus_type: BetbyId | None = None
    transaction: Transaction


class Win(Body):
    amount: Units
    currency: ProviderCurrency
    is_cashout: Noted[Flag] = None
    bet_transaction_id: OurId
    bonus_type: BetbyId | None = None
    transaction: Transaction


class Lost(Body):
    bet_transaction_id: OurId
    currency: ProviderCurrency
    amount: Annotated[Units, Field(le=0)] = 0
    transaction: Transaction


class Refunded(Transaction):
    amount: Units
    currency: ProviderCurrency


class Refund(Body):
    bet_transaction_id: OurId
    transaction: Refunded


class Discard(Body):
    ext_player_id: PlayerId
    transaction_id: BetbyId


class RollbackRequest(Body):
    bet_transaction_id: OurId
    parent_transaction_id: OurId
    transaction: Transaction


class Commit(Body):
    """One source names our id as `transaction_id`."""

    bet_transaction_id: Annotated[OurId, Field(validation_alias=AliasChoices("bet_transaction_id", "transaction_id"))]


class Settled(Body):
    bet_transaction_id: OurId
    status: BetbyId
