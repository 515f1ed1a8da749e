"""What the rules look at: immutable entities, found by key. A `State` may lie over another one, so that a trial costs
nothing to throw away.
"""

from typing import cast

from ledger.core.postings import WALLET_ACCOUNTS, Posting
from ledger.core.value import value

Key = tuple[object, ...]
"""(entity class, identifying values ...)"""

OPEN, SETTLED, ROLLED_BACK, TOMBSTONED = "open", "settled", "rolled_back", "tombstoned"


@value()
class Currency:
    """The decimals of a currency, fixed per tenant when its first wallet opens."""

    tenant_id: str
    currency: str
    exponent: int

    @property
    def key(self) -> Key:
        return (Currency, self.tenant_id, self.currency)


@value()
class Wallet:
    """One player's money in one currency. `receivable_minor` is never positive: it is what the player owes."""

    tenant_id: str
    player_id: str
    currency: str
    exponent: int
    cash_minor: int = 0
    bonus_minor: int = 0
    held_minor: int = 0
    receivable_minor: int = 0

    @property
    def key(self) -> Key:
        return (Wallet, self.tenant_id, self.player_id, self.currency)

    @property
    def wallet_id(self) -> str:
        return wallet_id(self.tenant_id, self.player_id, self.currency)

    @property
    def available_minor(self) -> int:
        """What a bet may stake."""
        return self.cash_minor + self.bonus_minor

    def after(self, postings: tuple[Posting, ...]) -> "Wallet":
        """The wallet once `postings` have moved its accounts."""
        cash, bonus, held, receivable = self.cash_minor, self.bonus_minor, self.held_minor, self.receivable_minor
        for account, amount, currency in postings:
            if account not in WALLET_ACCOUNTS:
                continue
            assert currency == self.currency, f"a posting in {currency} on wallet {self.wallet_id}"
            if account == "cash":
                cash += amount
            elif account == "held":
                held += amount
            elif account == "bonus":
                bonus += amount
            else:
                receivable += amount
        assert min(cash, bonus, held, -receivable) >= 0, (
            f"I3: {self.wallet_id} would become {cash, bonus, held, receivable}"
        )
        return Wallet(self.tenant_id, self.player_id, self.currency, self.exponent, cash, bonus, held, receivable)


@value()
class Session:
    session_id: str
    integration_id: str
    tenant_id: str
    player_id: str
    currency: str
    mode: str
    game_id: str
    expires_at: int
    """Microseconds since the epoch, UTC."""
    ended: bool = False

    @property
    def key(self) -> Key:
        return (Session, self.session_id)


@value()
class Bet:
    """A bet, or the tombstone of one (then nothing but its ids is known)."""

    integration_id: str
    bet_id: str
    tenant_id: str
    player_id: str | None
    status: str
    round_id: str | None = None
    session_id: str | None = None
    game_id: str | None = None
    currency: str | None = None
    mode: str | None = None
    hold_id: str | None = None
    stake_minor: int = 0
    stake_cash_minor: int = 0
    stake_bonus_minor: int = 0
    held_minor: int = 0
    """The uncaptured part of the stake: what this bet keeps in its wallet's `held`."""
    win_minor: int = 0
    settlement_id: str | None = None
    rollback_id: str | None = None

    @property
    def key(self) -> Key:
        return (Bet, self.integration_id, self.bet_id)

    def ended(self, status: str, *, win_minor: int, settlement_id: str | None, rollback_id: str | None = None) -> "Bet":
        """The bet at its end: nothing of it is held any more."""
        return Bet(
            self.integration_id, self.bet_id, self.tenant_id, self.player_id, status, self.round_id, self.session_id,
            self.game_id, self.currency, self.mode, self.hold_id, self.stake_minor, self.stake_cash_minor,
            self.stake_bonus_minor, 0, win_minor, settlement_id, rollback_id,
        )  # fmt: skip


@value()
class Settlement:
    """An entity of its own, because a bet may be settled, undone and settled again."""

    settlement_id: str
    integration_id: str
    bet_id: str
    win_minor: int
    undone_by: str | None = None
    """Id of the rollback that reversed it."""

    @property
    def key(self) -> Key:
        return (Settlement, self.settlement_id)


Entity = Currency | Wallet | Session | Bet | Settlement


class State:
    """Entities by key, laid over an optional base that is read and never changed."""

    __slots__ = ("base", "entities")

    def __init__(self, base: "State | None" = None) -> None:
        self.base = base
        self.entities: dict[Key, Entity] = {}

    def get(self, key: Key) -> Entity | None:
        found = self.entities.get(key)
        if found is None and self.base is not None:
            return self.base.get(key)
        return found

    def put(self, *entities: Entity) -> None:
        for entity in entities:
            self.entities[entity.key] = entity

    def currency(self, tenant_id: str, currency: str) -> Currency | None:
        return cast(Currency | None, self.get((Currency, tenant_id, currency)))

    def wallet(self, tenant_id: str, player_id: str, currency: str) -> Wallet | None:
        return cast(Wallet | None, self.get((Wallet, tenant_id, player_id, currency)))

    def session(self, session_id: str) -> Session | None:
        return cast(Session | None, self.get((Session, session_id)))

    def bet(self, integration_id: str, bet_id: str) -> Bet | None:
        return cast(Bet | None, self.get((Bet, integration_id, bet_id)))

    def settlement(self, settlement_id: str) -> Settlement | None:
        return cast(Settlement | None, self.get((Settlement, settlement_id)))


def wallet_id(tenant_id: str, player_id: str, currency: str) -> str:
    return f"{tenant_id}/{player_id}/{currency}"
