"""The fields of each action. An empty one counts as absent; those that are not listed move no money."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.dialect.bodies import Body, form_fields
from gateway.dialect.errors import Unreadable
from gateway.dialect.fields import DecimalString, Flag, Noted, PlayerId, ProviderCurrency, ProviderId
from gateway.dialect.strict_json import parse_object

MAX_ROLLED_BACK = 500

ROLLED_BACK = "rollback_transactions"
_IN_ARRAY = re.compile(r"rollback_transactions\[([0-9]{1,9})\]\[([a-z_]{1,40})\]")


class Request(Body):
    player_id: PlayerId
    currency: ProviderCurrency
    session_id: ProviderId | None = None


class Transaction(Request):
    transaction_id: ProviderId
    game_uuid: Noted[ProviderId] = None
    round_id: ProviderId | None = None
    finished: Noted[Flag] = None

    @property
    def ends_round(self) -> bool:
        return self.round_id is not None and self.finished is True


class Bet(Transaction):
    amount: DecimalString
    type: Annotated[str, Field(max_length=40)] = "bet"


class Win(Transaction):
    amount: DecimalString
    type: Annotated[str, Field(max_length=40)] = "win"


class Refund(Transaction):
    """A refund, whose amount is always the whole bet's."""

    bet_transaction_id: ProviderId


class RolledBack(Body):
    action: Literal["bet", "win", "refund"]
    transaction_id: ProviderId


class RollbackRequest(Transaction):
    rollback_transactions: Annotated[list[RolledBack], Field(min_length=1, max_length=MAX_ROLLED_BACK)]

    @model_validator(mode="after")
    def _refunds_with_their_bets(self) -> Self:
        """A refund is undone together with its bet, which comes to nothing; alone it names nothing that we know."""
        actions = {one.action for one in self.rollback_transactions}
        if "refund" in actions and "bet" not in actions:
            raise PydanticCustomError("refund", "a refund is rolled back only together with its bet")
        return self


class Settle(Transaction):
    """Sports: nothing about the bet changes any more."""

    bet_transaction_id: ProviderId


def read_fields(raw: bytes) -> Mapping[str, Any]:
    """The form, with rollback_transactions as a list: from rollback_transactions[0][action] and so on, or from the JSON
    that is its text. Raises Rejected MALFORMED_REQUEST.
    """
    fields: dict[str, Any] = {}
    listed: dict[int, dict[str, str]] = {}
    for name, value in form_fields(raw).items():
        if element := _IN_ARRAY.fullmatch(name):
            listed.setdefault(int(element[1]), {})[element[2]] = value
        elif value:
            fields[name] = _listed(value) if name == ROLLED_BACK else value
    if listed:
        fields[ROLLED_BACK] = [listed[index] for index in sorted(listed)]
    return fields


def _listed(text: str) -> object:
    try:
        (listed,) = parse_object(f'{{"listed":{text}}}'.encode()).values()
    except ValueError as error:
        raise Unreadable("FIELD_INVALID", field=ROLLED_BACK, reason="is neither fields nor JSON") from error
    return listed
