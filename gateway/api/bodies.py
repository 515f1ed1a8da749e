"""The bodies of the canonical API's writes."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.dialect.bodies import Body
from gateway.dialect.fields import Count, CurrencyCode, Decimal, Id, PlayerId, Reason

_INTEGRATION_ID = r"^[A-Za-z0-9_:.\-]{1,128}(/[A-Za-z0-9_:.\-]{1,128}){2}$"
_RETURN_URL = r"^https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%\-]{1,1024}$"


class Money(Body):
    amount: Decimal
    currency: CurrencyCode


class BonusState(Body):
    in_bonus: bool = False
    freespins_left: Count | None = None


class SessionStart(Body):
    player_id: PlayerId
    game_id: Id = Field(description="The operator's id, as the catalogue has it.")
    currency: CurrencyCode
    locale: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,35}$", examples=["de-DE"])] | None = None
    mode: Literal["real", "demo"] = Field("real", description="A demo session moves no money.")
    integration_id: Annotated[str, Field(pattern=_INTEGRATION_ID, examples=["brand-7/EU/studio"])] | None = Field(
        None, description="Launch into this integration's game. Default: the one whose catalogue has it, or one's own."
    )
    jurisdiction: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{2,35}$", examples=["MT"])] | None = Field(
        None, description="ISO 3166 or the operator's word; a must where the provider has a list."
    )
    return_url: Annotated[str, Field(pattern=_RETURN_URL, examples=["https://brand.example/lobby"])] | None = Field(
        None, description="Where the game lets the player out."
    )


class SessionEnd(Body):
    reason: Reason = "requested"


class BetAuthorize(Body):
    session_id: Id
    bet_id: Id
    round_id: Id
    amount: Money


class BetSettle(Body):
    bet_id: Id
    round_id: Id
    win: Money = Field(description="All that the bet pays; 0 closes it without a win.")
    bonus_state: BonusState | None = None


class BetRollback(Body):
    bet_id: Id
    round_id: Id | None = None
    session_id: Id | None = Field(None, description="Tells the player of a bet that has not arrived yet.")
    reason: Reason = "unspecified"
