"""What `data` of each command has. Ids come as numbers or as texts and are taken as written; amounts are decimals."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.dialect.bodies import Body
from gateway.dialect.fields import Decimal, Flag, Moment, Noted, PlayerId, ProviderCurrency, ProviderId, digits

Id = ProviderId
UserId = Annotated[PlayerId, BeforeValidator(digits)]
Token = Annotated[str, Field(pattern=r"^[\x21-\x7e]{0,128}$")]
Kind = Literal["BET", "WIN", "REFUND"]

PROMO = "PROMO-FREESPIN"


class Authenticate(Body):
    token: Token


class Balance(Body):
    """Whose it is, the token knows; what else is there must fit."""

    token: Token
    user_id: UserId | None = None
    currency_code: ProviderCurrency | None = None


class Context(Body):
    """The context of a campaign. What is no object says nothing: some write an empty list for an empty object."""

    reason: Noted[str] = None


class ChangeBalance(Body):
    """`token` is a must of bets, but of those that a campaign pays for; an empty one is none."""

    token: Token | None = None
    user_id: UserId
    transaction_type: Kind
    transaction_id: Id
    round_id: Id
    round_finished: Noted[Flag] = None
    game_id: Id
    currency_code: ProviderCurrency
    amount: Decimal
    transaction_timestamp: Noted[Moment] = None
    context: Noted[Context] = None

    @property
    def is_promo(self) -> bool:
        return self.context is not None and self.context.reason == PROMO


class Status(Body):
    user_id: UserId
    transaction_id: Id
    transaction_type: Kind | None = None


class Cancel(Body):
    user_id: UserId
    transaction_id: Id
    round_id: Id | None = None


class FinishRound(Body):
    user_id: UserId
    round_id: Id
