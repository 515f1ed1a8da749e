"""The requests. Fields that are not listed, such as jackpot contributions, move no money."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.dialect.bodies import Body
from gateway.dialect.fields import Flag, Noted, PlayerId, ProviderCurrency, ProviderId, Units

MAX_ACTIONS = 100


def _absent_where_empty(value: object) -> object:
    """A request for a balance has fields that say nothing."""
    return None if value == "" else value


MaybeId = Annotated[ProviderId | None, BeforeValidator(_absent_where_empty)]


class Action(Body):
    action: Literal["bet", "win", "rollback"]
    action_id: ProviderId
    amount: Units | None = None
    """The amount of a bet or win, in subunits."""
    original_action_id: ProviderId | None = None
    """The id of the action that a rollback undoes."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = "original_action_id" if self.action == "rollback" else "amount"
        if getattr(self, missing) is None:
            raise PydanticCustomError("missing", "{field} is missing", {"field": missing})
        return self


class Play(Body):
    """Without actions it is a request for the balance; without actions but `finished` it ends the round."""

    user_id: PlayerId
    currency: ProviderCurrency
    game: Noted[ProviderId] = None
    game_id: MaybeId = None
    """The id of the round, in the provider's word."""
    finished: Noted[Flag] = None
    session_id: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,200}$")] | None = None
    actions: Annotated[list[Action], Field(max_length=MAX_ACTIONS)] | None = None

    @model_validator(mode="after")
    def _in_a_round(self) -> Self:
        if self.actions and self.game_id is None:
            raise PydanticCustomError("missing", "game_id is missing")
        return self


class FreeSpins(Body):
    """The state of an issue of free spins. Where it names no player, the issue id does: player/currency/name."""

    issue_id: ProviderId
    status: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    total_amount: Units = 0
    user_id: str | None = None
    currency: ProviderCurrency | None = None


class Winner(Body):
    """Who gets what an issue of free spins made."""

    user_id: PlayerId
    currency: ProviderCurrency
