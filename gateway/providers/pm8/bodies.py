"""The requests. Amounts are minor units of the currency; fields that are not listed change nothing."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.dialect.bodies import CamelBody
from gateway.dialect.errors import Rejected
from gateway.dialect.fields import Noted, PlayerId, ProviderCurrency, ProviderId, Units


class Transaction(CamelBody):
    player_id: PlayerId
    tx_id: ProviderId
    currency: ProviderCurrency
    amount: Units


class RoundTransaction(Transaction):
    session_token: ProviderId | None = None
    game_id: Noted[ProviderId] = None
    round_id: ProviderId
    free_spin_data: Noted[dict[str, Any]] = None
    """There where the stake, or what was won with it, is a free spin's."""


class RefundRequest(CamelBody):
    """`tx_id` is the bet's. Its amount and its round are the bet's too, whatever the request says."""

    player_id: PlayerId
    tx_id: ProviderId
    currency: ProviderCurrency


class PromoRequest(Transaction):
    game_id: Noted[ProviderId] = None
    round_id: Noted[ProviderId] = None
    promo_id: Noted[ProviderId] = None
    tournament_id: Noted[ProviderId] = None


_player_id: TypeAdapter[str] = TypeAdapter(PlayerId)


def player_in_path(text: str) -> str:
    try:
        return _player_id.validate_python(text)
    except ValidationError as error:
        raise Rejected("FIELD_INVALID", field="playerId", reason="is no player's id") from error
