"""The requests: forms, whose fields are all text. An empty field is absent; one that is not listed changes nothing."""

from typing import Annotated

from pydantic import Field

from gateway.fields import CamelBody, Decimal, PlayerId, ProviderCurrency, ProviderId

Timestamp = Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]
"""Milliseconds since the epoch."""
SignedDecimal = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$")]
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
    timestamp: Timestamp | None = None

    @property
    def occurred_at(self) -> int | None:
        """Microseconds since the epoch."""
        return int(self.timestamp) * 1000 if self.timestamp else None


class BetRequest(Transaction, RoundRequest):
    token: ProviderId | None = None
    amount: Decimal


class ResultRequest(Transaction, RoundRequest):
    amount: Decimal
    promo_win_amount: Decimal | None = None
    promo_win_reference: ProviderId | None = None
    promo_campaign_id: Annotated[ProviderId | None, Field(alias="promoCampaignID")] = None


class JackpotWinRequest(Transaction):
    amount: Decimal
    game_id: ProviderId | None = None
    round_id: ProviderId | None = None
    jackpot_id: ProviderId


class PromoWinRequest(Transaction):
    amount: Decimal
    campaign_id: ProviderId
    campaign_type: str | None = None
    currency: ProviderCurrency | None = None


class AdjustmentRequest(Transaction, RoundRequest):
    amount: SignedDecimal
