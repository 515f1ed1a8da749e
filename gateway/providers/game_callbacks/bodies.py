"""The fields of the published tables, by their own names."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel

from gateway.dialect.bodies import Body
from gateway.dialect.fields import (
    Decimal,
    Moment,
    Natural,
    Noted,
    PlayerId,
    ProviderCurrency,
    ProviderId,
    signed_amount,
)
from ledger.core.money import Amount

SessionId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
Text = Annotated[str, Field(max_length=2000)]


SignedDecimal = Annotated[tuple[bool, Amount], PlainValidator(signed_amount)]
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
    device_info: Noted[Text] = None


class GameResult(Callback):
    game_id: ProviderId
    round_id: Noted[ProviderId] = None
    bet_amount: Decimal
    win_amount: Decimal
    currency: ProviderCurrency
    round_start_time: Noted[Moment] = None
    round_end_time: Noted[Moment] = None
    round_status: Annotated[str, Field(pattern=r"^COMPLETED$")] = "COMPLETED"
    game_data: Noted[dict[str, Any]] = None
    provider_transaction_id: ProviderId | None = None
    additional_info: Noted[dict[str, Any]] = None


class BalanceUpdate(Callback):
    game_id: ProviderId
    amount: SignedDecimal
    currency: ProviderCurrency
    transaction_type: Annotated[str, Field(pattern=r"^[A-Za-z_]{1,32}$")]
    round_id: Noted[ProviderId] = None
    provider_transaction_id: ProviderId | None = None
    reason: Noted[Text] = None


class GameError(Callback):
    session_id: SessionId | None = None  # type: ignore[assignment]  # the one callback that may have none
    game_id: Noted[ProviderId] = None
    error_code: ProviderId
    error_message: Noted[Text] = None
    error_data: Noted[dict[str, Any]] = None
    round_id: Noted[ProviderId] = None
    severity: Noted[Text] = "ERROR"


class JackpotWin(Callback):
    game_id: ProviderId
    amount: Decimal
    currency: ProviderCurrency
    jackpot_type: Noted[ProviderId] = None
    round_id: Noted[ProviderId] = None
    provider_transaction_id: ProviderId | None = None
    jackpot_id: Noted[ProviderId] = None
    jackpot_level: Noted[ProviderId] = None


class SessionRecovery(Callback):
    device_id: Noted[Text] = None
    browser_info: Noted[Text] = None
    ip_address: Noted[Text] = None


class SessionTransfer(Callback):
    new_device_id: Annotated[Text, Field(min_length=1)]
    previous_device_id: Noted[Text] = None
    browser_info: Noted[Text] = None
    ip_address: Noted[Text] = None
