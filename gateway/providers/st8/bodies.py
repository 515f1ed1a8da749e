"""The requests. Fields that are not listed change nothing."""

from typing import Literal

from gateway.dialect.bodies import Body
from gateway.dialect.fields import DecimalString, Flag, Noted, PlayerId, ProviderCurrency, ProviderId

DebitKind = Literal["debit", "free_debit", "bonus_buy_debit", "correction_debit"]
CreditKind = Literal[
    "credit", "free_credit", "bonus_buy_credit", "correction_credit", "jackpot_credit", "promo_credit"
]  # fmt: skip


class ProfileRequest(Body):
    player: PlayerId
    site: ProviderId


class BalanceRequest(ProfileRequest):
    currency: ProviderCurrency


class Bonus(Body):
    """A campaign's bonus. It only informs, and no spelling of it stands in the way of money."""

    bonus_id: Noted[ProviderId] = None


class _Transaction(BalanceRequest):
    transaction_id: ProviderId
    amount: DecimalString
    game_code: Noted[ProviderId] = None
    bonus: Noted[Bonus] = None

    @property
    def campaign_id(self) -> str | None:
        return self.bonus.bonus_id if self.bonus else None


class BuyinRequest(_Transaction):
    provider_kind: DebitKind


class PayoutRequest(_Transaction):
    provider_kind: CreditKind


class DebitRequest(BuyinRequest):
    token: ProviderId
    round: ProviderId
    round_closed: Noted[Flag] = None


class CreditRequest(PayoutRequest):
    round: ProviderId
    round_closed: Noted[Flag] = None


class CancelRequest(BalanceRequest):
    """A cancel of any transaction. Its amount and its round are the transaction's, whatever the request says."""

    cancel_id: ProviderId
    transaction_id: ProviderId
