"""The requests: forms, whose fields are all text. An empty field is absent; one that is not listed changes nothing."""

from typing import Annotated

from pydantic import Field, PlainValidator

from gateway.dialect.bodies import CamelBody
from gateway.dialect.fields import Decimal, Moment, Noted, PlayerId, ProviderCurrency, ProviderId, signed_amount
from ledger.core.money import Amount

SignedDecimal = Annotated[tuple[bool, Amount], PlainValidator(signed_amount)]
"""Whether it is below zero, and how much."""
GameList = Annotated[str, Field(pattern=r"^[^,]+(,[^,]+)*$", max_length=8_000)]


class AuthenticateRequest(CamelBody):
    token: ProviderId


class SessionRequest(CamelBody):
    session_id: ProviderId | None = None
    token: ProviderId | None = None


class PlayerRequest(CamelBody):
    user_id: PlayerId


class GamesRequest(PlayerRequest):
    game_id_list: GameList


class RoundRequest(PlayerRequest):
    game_id: ProviderId
    round_id: ProviderId


class Transaction(PlayerRequest):
    reference: ProviderId
    timestamp: Noted[Moment] = None


class BetRequest(Transaction, RoundRequest):
    token: ProviderId | None = None
    amount: Decimal


class ResultRequest(Transaction, RoundRequest):
    amount: Decimal
    promo_win_amount: Decimal | None = None
    promo_win_reference: ProviderId | None = None
    promo_campaign_id: Annotated[Noted[ProviderId], Field(alias="promoCampaignID")] = None


class BonusWinRequest(Transaction):
    amount: Decimal
    bonus_code: Noted[ProviderId] = None
    game_id: Noted[ProviderId] = None
    round_id: Noted[ProviderId] = None


class JackpotWinRequest(Transaction):
    amount: Decimal
    game_id: Noted[ProviderId] = None
    round_id: Noted[ProviderId] = None
    jackpot_id: ProviderId


class PromoWinRequest(Transaction):
    amount: Decimal
    campaign_id: ProviderId
    campaign_type: Noted[str] = None
    currency: ProviderCurrency | None = None


class AdjustmentRequest(Transaction, RoundRequest):
    amount: SignedDecimal
