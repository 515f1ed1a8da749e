"""What the rules look at: immutable entities, found by key. A `State` may lie over another one, so that a trial costs
nothing to throw away.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

from ledger.core.calendars import UTC
from ledger.core.exchange import Conversion
from ledger.core.postings import WALLET_ACCOUNTS, Posting
from ledger.core.tallies import Tallies
from ledger.core.value import value

Key = tuple[object, ...]
"""(entity class, identifying values ...)"""

REAL, DEMO = "real", "demo"
FREE = "free"
"""Kind of a stake that moves no money."""
LOCKED, SELF_EXCLUDED = "locked", "self_excluded"
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
    tallies: Tallies = Tallies()
    """What its money did in the running day, week and month."""

    @property
    def key(self) -> Key:
        return (Wallet, self.tenant_id, self.player_id, self.currency)

    @property
    def place(self) -> Key:
        """Where it is found besides its key: with all wallets of its player."""
        return (self.tenant_id, self.player_id)

    @property
    def wallet_id(self) -> str:
        return wallet_id(self.tenant_id, self.player_id, self.currency)

    @property
    def available_minor(self) -> int:
        """What a bet may stake."""
        return self.cash_minor + self.bonus_minor

    def after(self, postings: tuple[Posting, ...], tallies: Tallies) -> "Wallet":
        """The wallet once `postings` have moved its accounts, with its new `tallies`."""
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
        # By position: a line of every bet (see `value`).
        return Wallet(
            self.tenant_id, self.player_id, self.currency, self.exponent, cash, bonus, held, receivable, tallies
        )


@value()
class Session:
    """A player's time in a game, with one wallet: what a bet may name."""

    session_id: str
    integration_id: str
    tenant_id: str
    player_id: str
    currency: str
    mode: str
    game_id: str
    expires_at: int
    """Microseconds since the epoch, UTC. Bets move it."""
    ended: bool = False
    extended_us: int = 0
    """How far bets have moved its end, microseconds."""

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
    """What its own wins pay, less what was taken back."""
    settlement_id: str | None = None
    """Of the settlement that ended it; None while it is open, and where the end of its round ended it."""
    rollback_id: str | None = None
    stake_kind: str = "bet"
    final: bool = False
    """Nothing about it changes any more."""
    placed_at: int = 0
    """When it began, microseconds since the epoch: in the windows of that time it counts, with all that undoes it."""
    conversion: Conversion | None = None
    """Its stake as it was asked for, with the rate that it locked; None in the wallet's own currency."""

    @property
    def key(self) -> Key:
        return (Bet, self.integration_id, self.bet_id)

    @property
    def place(self) -> Key | None:
        """Where it is found besides its key: in its player's round."""
        return (self.integration_id, self.player_id, self.round_id) if self.round_id and self.player_id else None

    @property
    def stake_currency(self) -> str | None:
        """The currency that the bet was staked in, in which its wins come too."""
        return self.conversion.currency if self.conversion else self.currency

    @property
    def paid_minor(self) -> int:
        """What the player gave for it: nothing in demo mode, and for a free bet."""
        return self.stake_cash_minor + self.stake_bonus_minor

    def ended(self, status: str, *, win_minor: int, settlement_id: str | None, rollback_id: str | None = None) -> "Bet":
        """The bet at its end: nothing of it is held any more."""
        # By position: a line of every bet (see `value`).
        return Bet(
            self.integration_id, self.bet_id, self.tenant_id, self.player_id, status, self.round_id, self.session_id,
            self.game_id, self.currency, self.mode, self.hold_id, self.stake_minor, self.stake_cash_minor,
            self.stake_bonus_minor, 0, win_minor, settlement_id, rollback_id, self.stake_kind, self.final,
            self.placed_at, self.conversion,
        )  # fmt: skip


@value()
class Settlement:
    """A win or an award: an entity of its own, because a bet may have many, and each may be undone.

    `win_id` is the provider's id of it, or our settlement id where the provider has none.
    """

    integration_id: str
    win_id: str
    settlement_id: str
    tenant_id: str
    player_id: str
    currency: str
    bet_id: str | None
    """None: of the round as such, or an award."""
    round_id: str | None
    """Its bet's, where it names one."""
    session_id: str | None
    """Of the bet that it was paid for."""
    game_id: str | None
    kind: str
    win_minor: int
    account: str
    """The tenant's account that paid it."""
    mode: str
    undone_by: str | None = None
    """Id of the rollback that reversed it."""
    counted_at: int = 0
    """In the windows of which time it counts as won, microseconds since the epoch; 0: in none."""
    conversion: Conversion | None = None
    """The win as it was asked for, at the rate of its bet."""

    @property
    def key(self) -> Key:
        return (Settlement, self.integration_id, self.win_id)

    @property
    def place(self) -> Key | None:
        """Where it is found besides its key: in its player's round, or beside its bet where that has no round."""
        if self.round_id:
            return (self.integration_id, self.player_id, self.round_id)
        return (self.integration_id, self.bet_id) if self.bet_id else None


@value()
class Round:
    """A round that is over for one player. Others may play on: a live table's round has many players."""

    integration_id: str
    player_id: str
    round_id: str
    tenant_id: str

    @property
    def key(self) -> Key:
        return (Round, self.integration_id, self.player_id, self.round_id)


class Limit(NamedTuple):
    """A limit of a player, and the change of it that waits. Amounts are minor units; None is no limit."""

    limit_id: str
    """Its kind, its period and who set it, such as `loss/week/player`."""
    currency: str
    exponent: int
    amount_minor: int | None
    pending_minor: int | None = None
    """What it will be."""
    effective_at: int = 0
    """Since when, microseconds since the epoch; 0: nothing waits."""
    confirm_by: int = 0
    """Until when that has to be confirmed, microseconds since the epoch; 0: it just comes."""

    @property
    def kind(self) -> str:
        return self.limit_id.split("/")[0]

    @property
    def period(self) -> str:
        return self.limit_id.split("/")[1]


@value()
class Player:
    """Who has a wallet. The first one fixes the player's region for ever: no other region's data names the player."""

    tenant_id: str
    player_id: str
    region: str
    restriction: str | None = None
    """The player's restriction: locked or self_excluded."""
    calendar: str = UTC
    """By which days, weeks and months the player's limits count."""
    limits: tuple[Limit, ...] = ()
    """In the order of their ids."""

    @property
    def key(self) -> Key:
        return (Player, self.tenant_id, self.player_id)


@value()
class Rate:
    """The newest exchange rate: one unit of `base` is `numerator` / `denominator` units of `quote`."""

    tenant_id: str
    base: str
    quote: str
    numerator: int
    denominator: int
    base_exponent: int
    """Decimals of the currency `base`."""
    source: str
    as_of: int
    """Microseconds since the epoch."""

    @property
    def key(self) -> Key:
        return (Rate, self.tenant_id, self.base, self.quote)

    @property
    def place(self) -> Key:
        """Where it is found besides its key: with all rates of its tenant from this currency."""
        return (self.tenant_id, self.base)

    @property
    def locked(self) -> Conversion:
        """What a bet keeps of it."""
        return Conversion(
            currency=self.base,
            exponent=self.base_exponent,
            amount_minor=0,
            rate_numerator=self.numerator,
            rate_denominator=self.denominator,
            source=self.source,
            as_of=self.as_of,
        )


class BetsOfRound:
    """Key of a query: (BetsOfRound, integration, player, round) loads that player's bets of the round."""


class SettlementsBesideBet:
    """Key of a query: (SettlementsBesideBet, integration, bet) loads the live settlements that name the bet, and those
    of its round that name none.
    """


class BetOfSettlement:
    """Key of a query: (BetOfSettlement, integration, win) loads the bet that the settlement names."""


class RatesFrom:
    """Key of a query: (RatesFrom, tenant, base) loads the newest rates from a currency."""


Entity = Currency | Wallet | Session | Bet | Settlement | Round | Player | Rate


class State:
    """Entities by key, laid over an optional base that is read and never changed."""

    __slots__ = ("_places", "base", "entities")

    def __init__(self, base: "State | None" = None) -> None:
        self.base = base
        self.entities: dict[Key, Entity] = {}
        self._places: dict[Key, set[Key]] | None = None
        """Keys of what is at each `place`; None until somebody asks, which plain bets never do."""

    def get(self, key: Key) -> Entity | None:
        """The entity under `key`, in the topmost layer that has it."""
        layer: State | None = self
        while layer is not None:
            found = layer.entities.get(key)
            if found is not None:
                return found
            layer = layer.base
        return None

    def put(self, *entities: Entity) -> None:
        """Keep `entities` in this layer, over what had their keys."""
        for entity in entities:
            self.entities[entity.key] = entity
            if self._places is not None:
                _place(self._places, entity)

    def absorb(self, other: "State") -> None:
        """Take over what lies in `other` (not in its base)."""
        self.entities.update(other.entities)
        if self._places is not None:
            for entity in other.entities.values():
                _place(self._places, entity)

    def at(self, place: Key) -> Iterator[Entity]:
        """What is at a `place`, in the order of their keys."""
        keys: set[Key] = set()
        layer: State | None = self
        while layer is not None:
            keys.update(layer._at(place))  # noqa: SLF001, its own class
            layer = layer.base
        for key in sorted(keys, key=lambda key: (key[0] is Settlement, *key[2:])):
            entity = self.get(key)
            assert entity, f"{key} is indexed and not there"
            yield entity

    def _at(self, place: Key) -> Iterable[Key]:
        if self._places is None:
            self._places = {}
            for entity in self.entities.values():
                _place(self._places, entity)
        return self._places.get(place, ())

    def bets_of_round(self, integration_id: str, player_id: str, round_id: str) -> list[Bet]:
        """The player's bets of the round, tombstones too, in the order of their ids."""
        return [bet for bet in self.at((integration_id, player_id, round_id)) if isinstance(bet, Bet)]

    def settlements_beside(self, bet: Bet) -> list[Settlement]:
        """The live settlements of `bet`, and those of its round that name no bet."""
        place = bet.place or (bet.integration_id, bet.bet_id)
        live = [one for one in self.at(place) if isinstance(one, Settlement) and one.undone_by is None]
        return [one for one in live if one.bet_id in (None, bet.bet_id)]

    def wallets_of(self, tenant_id: str, player_id: str) -> list[Wallet]:
        """All wallets of a player."""
        return [wallet for wallet in self.at((tenant_id, player_id)) if isinstance(wallet, Wallet)]

    def rates_from(self, tenant_id: str, base: str) -> list[Rate]:
        """The newest rates from a currency, one per wallet currency."""
        return [rate for rate in self.at((tenant_id, base)) if isinstance(rate, Rate)]

    def currency(self, tenant_id: str, currency: str) -> Currency | None:
        return cast(Currency | None, self.get((Currency, tenant_id, currency)))

    def wallet(self, tenant_id: str, player_id: str, currency: str) -> Wallet | None:
        return cast(Wallet | None, self.get((Wallet, tenant_id, player_id, currency)))

    def session(self, session_id: str) -> Session | None:
        return cast(Session | None, self.get((Session, session_id)))

    def bet(self, integration_id: str, bet_id: str) -> Bet | None:
        return cast(Bet | None, self.get((Bet, integration_id, bet_id)))

    def settlement(self, integration_id: str, win_id: str) -> Settlement | None:
        return cast(Settlement | None, self.get((Settlement, integration_id, win_id)))

    def round(self, integration_id: str, player_id: str, round_id: str) -> Round | None:
        return cast(Round | None, self.get((Round, integration_id, player_id, round_id)))

    def player(self, tenant_id: str, player_id: str) -> Player | None:
        return cast(Player | None, self.get((Player, tenant_id, player_id)))

    def rate(self, tenant_id: str, base: str, quote: str) -> Rate | None:
        return cast(Rate | None, self.get((Rate, tenant_id, base, quote)))


def _place(places: dict[Key, set[Key]], entity: Entity) -> None:
    if isinstance(entity, Bet | Settlement | Rate | Wallet) and (place := entity.place):
        places.setdefault(place, set()).add(entity.key)


def wallet_id(tenant_id: str, player_id: str, currency: str) -> str:
    """The id of a wallet as events and read models name it."""
    return f"{tenant_id}/{player_id}/{currency}"
