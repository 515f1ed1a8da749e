"""The fields of the published tables, by their own names."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from gateway.fields import Body, Decimal, Natural, PlayerId, ProviderCurrency, ProviderId
from gateway.strict_json import Number
from ledger.core.money import Amount, parse_amount

SessionId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
Text = Annotated[str, Field(max_length=2000)]


def _microseconds(value: object) -> int:
    """A time without a zone is UTC."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise PydanticCustomError("time", "must be an ISO 8601 date-time") from error
    if not 2000 <= at.year < 2200:
        raise PydanticCustomError("time", "must be of the years 2000 to 2199")
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _signed(value: object) -> tuple[bool, Amount]:
    text = value.token if isinstance(value, Number) else value
    amount = parse_amount(text.removeprefix("-")) if isinstance(text, str) else None
    if amount is None or not isinstance(text, str):
        raise PydanticCustomError("amount", "must be a plain decimal such as 2.00 or -2.00")
    return text.startswith("-"), amount


Time = Annotated[int, PlainValidator(_microseconds)]
"""An ISO date-time as microseconds since the epoch."""
SignedDecimal = Annotated[tuple[bool, Amount], PlainValidator(_signed)]
"""Whether it is negative, and how much."""


class CamelCase(Body):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


class Player(CamelCase):
    """Ours, made of their number."""

    player_id: PlayerId


class Key(Body):
    key: Annotated[ProviderId, Field(validation_alias="x-idempotency-key")]


class Callback(CamelCase):
    """What all of them have. `playerId` is a number."""

    session_id: SessionId
    player_id: Natural | None = None
    device_info: Text | None = None


class GameResult(Callback):
    game_id: ProviderId
    round_id: ProviderId | None = None
    bet_amount: Decimal
    win_amount: Decimal
    currency: ProviderCurrency
    round_start_time: Time | None = None
    round_end_time: Time | None = None
    round_status: Annotated[str, Field(pattern=r"^COMPLETED$")] = "COMPLETED"
    game_data: dict[str, Any] | None = None
    provider_transaction_id: ProviderId | None = None
    additional_info: dict[str, Any] | None = None


class BalanceUpdate(Callback):
    game_id: ProviderId
    amount: SignedDecimal
    currency: ProviderCurrency
    transaction_type: Annotated[str, Field(pattern=r"^[A-Za-z_]{1,32}$")]
    round_id: ProviderId | None = None
    provider_transaction_id: ProviderId | None = None
    reason: Text | None = None


class GameError(Callback):
    session_id: SessionId | None = None  # type: ignore[assignment]  # the one callback that may have none
    game_id: ProviderId | None = None
    error_code: ProviderId
    error_message: Text | None = None
    error_data: dict[str, Any] | None = None
    round_id: ProviderId | None = None
    severity: Annotated[str, Field(max_length=32)] = "ERROR"


class JackpotWin(Callback):
    game_id: ProviderId
    amount: Decimal
    currency: ProviderCurrency
    jackpot_type: ProviderId
    round_id: ProviderId | None = None
    provider_transaction_id: ProviderId | None = None
    jackpot_id: ProviderId | None = None
    jackpot_level: ProviderId | None = None


class SessionRecovery(Callback):
    device_id: Text | None = None
    browser_info: Text | None = None
    ip_address: Text | None = None


class SessionTransfer(Callback):
    new_device_id: Annotated[Text, Field(min_length=1)]
    previous_device_id: Text | None = None
    browser_info: Text | None = None
    ip_address: Text | None = None
