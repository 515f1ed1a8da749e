"""What an aggregator's calls have. The guide names only `transaction_id` and `mode`; the other names are ours."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.dialect.bodies import Body
from gateway.dialect.fields import Decimal, Noted, PlayerId, ProviderCurrency, ProviderId

SessionId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
Mode = Literal["real", "demo"]


class PlayerRequest(Body):
    """What all requests say: who plays, in which currency, and whether for money."""

    player_id: PlayerId
    currency: ProviderCurrency
    mode: Mode = "real"


class Balance(PlayerRequest):
    pass


class Bet(PlayerRequest):
    transaction_id: ProviderId
    session_id: SessionId | None = None
    game_id: Noted[ProviderId] = None
    round_id: ProviderId | None = None
    amount: Decimal


class Win(PlayerRequest):
    """A win: of a bet, where it names one; else of the round."""

    transaction_id: ProviderId
    bet_transaction_id: ProviderId | None = None
    game_id: Noted[ProviderId] = None
    round_id: ProviderId | None = None
    amount: Decimal


class Refund(PlayerRequest):
    transaction_id: ProviderId
    bet_transaction_id: ProviderId
    round_id: ProviderId | None = None


class Action(Body):
    """The body of a call to the one callback URL, which names its action."""

    action: Literal["balance", "bet", "win", "refund", "settlement"]


class ActionIfAny(Body):
    """The body of a call to a path of its own, which may name its action too."""

    action: str | None = None


class Item(Body):
    """One transaction of a settlement. Who plays, and in which currency, stands once beside them."""

    transaction_id: ProviderId
    type: Literal["bet", "win", "refund"]


class Settlement(PlayerRequest):
    settlement_id: ProviderId
    session_id: SessionId | None = None
    transactions: Annotated[list[dict[str, object]], Field(max_length=500)]
