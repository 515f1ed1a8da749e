"""The requests. Fields that are not listed change nothing."""

from pydantic import Field

from gateway.dialect.bodies import CamelBody
from gateway.dialect.fields import Decimal, Noted, PlayerId, ProviderCurrency, ProviderId


class PlayerRequest(CamelBody):
    user_id: PlayerId
    uuid: Noted[ProviderId] = None
    """The call's own id; its answer echoes it."""


class CheckRequest(PlayerRequest):
    sid: ProviderId


class SidRequest(PlayerRequest):
    sid: Noted[ProviderId] = None
    """Empty: a new one is wanted."""


class BalanceRequest(CheckRequest):
    currency: ProviderCurrency


class Table(CamelBody):
    id: Noted[ProviderId] = None


class Details(CamelBody):
    table: Noted[Table] = None


class Game(CamelBody):
    id: Noted[ProviderId] = None
    """The id of the game round."""
    details: Noted[Details] = None


class MoneyRequest(PlayerRequest):
    """What pays, and needs no session."""

    currency: ProviderCurrency
    game: Noted[Game] = None

    @property
    def round_id(self) -> str | None:
        return self.game.id if self.game else None

    @property
    def table_id(self) -> str | None:
        details = self.game.details if self.game else None
        return details.table.id if details and details.table else None


class Transaction(CamelBody):
    id: ProviderId
    ref_id: ProviderId
    """The bet's id: its debit, its credit and its cancel share it."""
    amount: Decimal


class TransactionRequest(MoneyRequest):
    """A credit or a cancel."""

    transaction: Transaction


class DebitRequest(TransactionRequest):
    sid: ProviderId


class Jackpot(CamelBody):
    win_amount: Decimal


class PromoTransaction(CamelBody):
    id: ProviderId
    type: Noted[str] = None
    amount: Decimal | None = None
    voucher_id: Noted[ProviderId] = None
    jackpots: list[Jackpot] | None = Field(default=None, max_length=100)


class PromoRequest(MoneyRequest):
    promo_transaction: PromoTransaction
