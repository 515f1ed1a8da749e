"""What each call's payload has. Amounts are whole cents; times are Unix seconds with a fraction."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AliasChoices, Field, PlainValidator
from pydantic_core import PydanticCustomError

from gateway.fields import Body, PlayerId, ProviderCurrency, Units
from gateway.strict_json import Number

CENTS = 2
"""Decimals of their amounts, whatever the currency."""

BetbyId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
SessionKey = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
OurId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,120}$")]
"""What we told as the id of a bet, a win, a loss, or a refund."""

_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,20})?")


def _microseconds(value: object) -> int:
    if not isinstance(value, Number) or _SECONDS.fullmatch(value.token) is None:
        raise PydanticCustomError("timestamp", "must be Unix seconds")
    return int(Decimal(value.token) * 1_000_000)


Timestamp = Annotated[int, PlainValidator(_microseconds)]


class Transaction(Body):
    """Theirs. `amount` is the stake where the call is about a bet; what a win pays stands beside it."""

    id: BetbyId
    ext_player_id: PlayerId
    timestamp: Timestamp | None = None
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
    is_cashout: bool | None = None
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


class Rollback(Body):
    bet_transaction_id: OurId
    parent_transaction_id: OurId
    transaction: Transaction


class Commit(Body):
    """One source names our id as `transaction_id`."""

    bet_transaction_id: Annotated[OurId, Field(validation_alias=AliasChoices("bet_transaction_id", "transaction_id"))]


class Settled(Body):
    bet_transaction_id: OurId
    status: BetbyId
