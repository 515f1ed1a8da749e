"""The requests. `game_id` is the older name of `game_code`; fields that are not listed change nothing."""

from gateway.dialect.bodies import Body
from gateway.dialect.call import Call
from gateway.dialect.fields import Flag, Integer, Noted, PlayerId, ProviderCurrency, ProviderId, Units


class UserRequest(Body):
    user: PlayerId
    request_uuid: ProviderId


class BalanceRequest(Body):
    user: PlayerId | None = None
    """Older calls leave it out: the token says who it is."""
    token: ProviderId
    request_uuid: ProviderId


class _Transaction(UserRequest):
    transaction_uuid: ProviderId
    round: ProviderId | None = None
    round_closed: Noted[Flag] = None
    game_code: Noted[ProviderId] = None
    game_id: Noted[Integer] = None

    def game(self, call: Call) -> str | None:
        code = self.game_code or (str(self.game_id) if self.game_id is not None else None)
        return call.game(code) if code else None


class MoneyRequest(_Transaction):
    currency: ProviderCurrency
    amount: Units
    """The amount in 1/100,000 of the currency's unit."""
    is_free: Flag | None = None
    is_supplier_promo: Flag | None = None


class BetRequest(MoneyRequest):
    token: ProviderId


class WinRequest(MoneyRequest):
    token: ProviderId | None = None
    reference_transaction_uuid: ProviderId | None = None
    reward_uuid: Noted[ProviderId] = None

    @property
    def is_promotion(self) -> bool:
        return bool(self.is_supplier_promo or self.reward_uuid)


class RollbackRequest(_Transaction):
    reference_transaction_uuid: ProviderId
