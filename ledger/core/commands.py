"""What may be asked of the ledger. A command declares the entities that it is decided on; the journal loads and locks
exactly those.
"""

from typing import ClassVar

from ledger.core.money import Amount
from ledger.core.state import (
    Bet,
    BetOfWin,
    BetsOfRound,
    Currency,
    Key,
    Rate,
    RatesFrom,
    Round,
    Session,
    Settlement,
    WinsBesideBet,
)
from ledger.core.value import value

REAL, DEMO = "real", "demo"
AT_SETTLEMENT, AT_AUTHORIZATION = "settlement", "authorization"
REFUSE, REVERSE, REFUND, ACKNOWLEDGE, ACCEPT, APPLY = "refuse", "reverse", "refund", "acknowledge", "accept", "apply"
REQUIRED, KNOWN, IGNORED = "required", "known", "ignored"
STORED, CURRENT = "stored", "current"
RECEIVABLE = "receivable"
LOSE = "lose"
FREE = "free"

TENANT_SCOPE = "tenant:"
"""Begins the scope of what an operator asked himself; his tenant follows. No integration's id begins so."""
"""A stake that moves no money."""


@value()
class Policy:
    """Where integrations differ: named values, the same for every command of one integration."""

    capture: str = AT_SETTLEMENT
    """When the house has the stake: at the `settlement` (until then it is held) or at the `authorization`."""
    rollback_of_settled: str = REFUSE
    """A rollback of a bet that was paid for (itself or by a win of its round): `refuse`; `reverse` it, win and all;
    `refund` the stake and leave the wins to rollbacks of their own; `acknowledge` it without effect.
    """
    refusal_consumes_key: bool = True
    """A refusal by a rule (not: something that was not found) is remembered under its key."""
    rollback_of_win: str = REFUSE
    """A rollback that names a win: `refuse`, `reverse` (take it back), or `acknowledge` without effect."""
    shortfall: str = RECEIVABLE
    """What a win that is taken back, or a negative adjustment, does where the money is spent: the rest becomes a
    `receivable`, or the command is refused (`refuse`).
    """
    session: str = REQUIRED
    """What a debit needs: a live session (`required`), a live one where it names one that we `known`, or `ignored`."""
    win_needs_bet: bool = True
    """A win that names no bet needs one in its round."""
    win_after_rollback: str = REFUSE
    """A win whose bet was rolled back: `refuse` or `accept`."""
    late_bet: str = REFUSE
    """A bet or win that arrives after the rollback that named it: `refuse`, or `acknowledge` without effect."""
    zero_stake: str = REFUSE
    """A bet of 0: `refuse` or `accept`."""
    bet_after_round_end: str = REFUSE
    """A debit in a round that was finished: `refuse` or `accept`. Credits and rollbacks always pass."""
    partial_duplicate: str = APPLY
    """A callback of several commands of which some are repeats: `apply` the new ones, or `refuse` them all."""
    replay_balance: str = STORED
    """A repeat tells the balance as `stored` with the first answer, or the `current` one."""
    abandoned_after_s: int = 0
    """An open hold older than this is closed by the job; 0 is never."""
    abandoned_action: str = REFUND
    """How the job closes it: `refund` the stake, or `lose` it."""
    rate_max_age_s: int = 0
    """How old an exchange rate may be when a bet locks it, seconds; 0: bets in another currency are refused."""
    session_idle_s: int = 3_600
    """How long a bet keeps its session alive, seconds. It moves the end only where less than half of this is left."""
    session_overtime_s: int = 39_600
    """How far bets may move a session's end beyond the first one, seconds; 0: it ends there, whatever is played."""


@value()
class Origin:
    """Who asked, for whose books, under which key."""

    tenant_id: str
    region: str
    integration_id: str | None
    """None for the operator's own commands."""
    provider_id: str | None
    operation: str
    """Class of operation: one idempotency key means one effect within it."""
    idempotency_key: str
    trace_id: str
    traceparent: str | None = None
    provider_occurred_at: int | None = None
    """The provider's own time, microseconds since the epoch."""
    provider_transaction_id: str | None = None
    kid: str | None = None
    """The key that proved the caller. None for the operator's own commands."""

    @property
    def scope(self) -> str:
        """Whose idempotency keys: the integration's, or the tenant's own."""
        return self.integration_id or f"{TENANT_SCOPE}{self.tenant_id}"


@value()
class Command:
    """What all commands carry. `command_id` is a UUIDv7 and names what the command creates; `received_at` is
    microseconds since the epoch.
    """

    origin: Origin
    command_id: str
    received_at: int

    kind: ClassVar[str]

    @property
    def player_id(self) -> str | None:
        """The player whose stream it goes to, where the command names one."""
        return None

    @property
    def needs(self) -> tuple[Key, ...]:
        """Keys of the entities, besides the player's wallets, on which it is decided. The first that knows a player
        says whose command it is.
        """
        return ()

    def named(self, prefix: str) -> str:
        """Our id of what this command creates, such as the hold of a bet."""
        return f"{prefix}_{self.command_id.replace('-', '')}"


@value()
class PlayerCommand(Command):
    """A command that names its player."""

    player: str
    currency: str

    @property
    def player_id(self) -> str | None:
        return self.player


@value()
class OpenWallet(PlayerCommand):
    kind = "OpenWallet"
    exponent: int

    @property
    def needs(self) -> tuple[Key, ...]:
        tenant_id = self.origin.tenant_id
        return (Currency, tenant_id, self.currency), (RatesFrom, tenant_id, self.currency)


@value()
class Deposit(PlayerCommand):
    kind = "Deposit"
    amount: Amount
    reference: str
    actor: str


@value()
class Withdraw(PlayerCommand):
    kind = "Withdraw"
    amount: Amount
    reference: str
    actor: str


@value()
class StartSession(PlayerCommand):
    kind = "StartSession"
    game_id: str
    locale: str | None
    mode: str
    expires_at: int
    for_integration: str | None = None
    """Whose session it is: None is the caller's own; a launch opens one for the game's integration."""
    jurisdiction: str | None = None
    """Where the player plays: ISO 3166 or the operator's word."""


@value()
class EndSession(Command):
    kind = "EndSession"
    session_id: str
    reason: str
    by_operator: bool = False
    """Who launches sessions for others may end them: any of the tenant."""

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Session, self.session_id),)


@value()
class AuthorizeBet(Command):
    """A debit: a stake, a tip, a buy-in. It begins a bet, which a rollback names by `bet_id`."""

    kind = "AuthorizeBet"
    session_id: str | None
    bet_id: str
    round_id: str | None
    amount: Amount
    currency: str
    """Of `amount`."""
    player: str | None = None
    """None: the session's."""
    game_id: str | None = None
    """None: the session's."""
    stake_kind: str = "bet"
    """bet, tip, bonus_buy, buy_in or correction; `free` moves no money."""
    wallet_currency: str | None = None
    """Where it is another than the amount's: the rate between them is locked with the bet."""

    @property
    def player_id(self) -> str | None:
        return self.player

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        keys: list[Key] = [(Bet, integration_id, self.bet_id)]
        if self.session_id:
            keys.insert(0, (Session, self.session_id))
        if self.player and self.round_id:
            keys.append((Round, integration_id, self.player, self.round_id))
        if self.wallet_currency:
            keys.append((Rate, self.origin.tenant_id, self.currency, self.wallet_currency))
            if self.player and self.round_id:
                keys.append((BetsOfRound, integration_id, self.player, self.round_id))
        return tuple(keys)


@value()
class SettleBet(Command):
    """A win, or nothing won: of a bet, or of a round where the provider names only that."""

    kind = "SettleBet"
    bet_id: str | None
    round_id: str | None
    """None: the bet's."""
    win: Amount
    currency: str
    """Of `win`: the currency that the bet was staked in."""
    in_bonus: bool = False
    freespins_left: int | None = None
    player: str | None = None
    """None: the bet's. Needed where no bet is named."""
    win_id: str | None = None
    """The provider's id of the win, by which a rollback names it. None: our settlement id."""
    game_id: str | None = None
    """None: the bet's."""
    win_kind: str = "win"
    """win, jackpot, free, cash_out or correction."""
    ends_bet: bool = True
    """False: the bet stays open, for more wins or the end of the round."""
    wallet_currency: str | None = None
    """Where it is another than the win's and no bet is named."""
    only_open: bool = False
    """Whatever ended the bet stays, also the end of its round: for the job that closes abandoned bets."""

    @property
    def player_id(self) -> str | None:
        return self.player

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        keys: list[Key] = []
        if self.bet_id:
            keys.append((Bet, integration_id, self.bet_id))
        elif self.player and self.round_id:
            keys.append((BetsOfRound, integration_id, self.player, self.round_id))
        if self.win_id:
            keys += (Bet, integration_id, self.win_id), (Settlement, integration_id, self.win_id)
        return tuple(keys)


@value()
class Award(PlayerCommand):
    """A credit outside bets and rounds: a promotion, a tournament, a jackpot, what a round of free spins made."""

    kind = "Award"
    amount: Amount
    award_id: str
    """The provider's id, by which a rollback names it."""
    award_kind: str
    """promo, tournament, jackpot, free_spins, payout or correction."""
    campaign_id: str | None = None
    round_id: str | None = None
    game_id: str | None = None

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        return (Bet, integration_id, self.award_id), (Settlement, integration_id, self.award_id)


@value()
class RollbackBet(Command):
    """Undo a bet, a win or an award; one that is not known yet can then never become true."""

    kind = "RollbackBet"
    bet_id: str
    """What is undone, by the provider's id of it."""
    round_id: str | None
    reason: str
    session_id: str | None = None
    """Names the player of a bet that is not known yet."""
    player: str | None = None
    """Likewise."""
    currency: str | None = None
    """Of the player's wallet: whose balances are told where the bet is not known."""
    target: str = "bet"
    """What the id may name: a `bet`, a `win` (or award), or `any` of them."""
    only_open: bool = False
    """Whatever ended the bet stays, also the end of its round: for the job that closes abandoned bets."""

    @property
    def player_id(self) -> str | None:
        return self.player

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        bet: list[Key] = [(Bet, integration_id, self.bet_id), (WinsBesideBet, integration_id, self.bet_id)]
        win: list[Key] = [(Settlement, integration_id, self.bet_id), (BetOfWin, integration_id, self.bet_id)]
        keys = {"bet": bet, "win": win + bet, "any": bet + win}[self.target]
        return (*keys, (Session, self.session_id)) if self.session_id else tuple(keys)


@value()
class ReinstateBet(Command):
    """Undo a rollback: the bet is open again and its stake is taken again (sports)."""

    kind = "ReinstateBet"
    bet_id: str
    reason: str
    rollback_id: str | None = None
    """The rollback that it undoes; none but that. None: whichever is in force."""

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Bet, self.origin.integration_id, self.bet_id),)


@value()
class FinalizeBet(Command):
    """Nothing about the bet changes any more (sports, some 30 days after its end)."""

    kind = "FinalizeBet"
    bet_id: str

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Bet, self.origin.integration_id, self.bet_id),)


@value()
class FinishRound(PlayerCommand):
    """The end of a round: what its open bets still hold goes to the house."""

    kind = "FinishRound"
    round_id: str
    game_id: str | None = None

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        return (
            (Round, integration_id, self.player, self.round_id),
            (BetsOfRound, integration_id, self.player, self.round_id),
        )


@value()
class Adjust(PlayerCommand):
    """A correction up or down. There is no other way to change a balance."""

    kind = "Adjust"
    amount: Amount
    negative: bool
    reason: str
    reference: str
    """The provider's id of it, or the operator's."""
    actor: str
    """The provider, or the person who asked."""
    approver: str | None = None
    """A second person; a must where a person asks."""
    round_id: str | None = None
    game_id: str | None = None


@value()
class RestrictPlayer(Command):
    """Lock, exclude or free a player. Debits stop; what is won or refunded still comes."""

    kind = "RestrictPlayer"
    player: str
    restriction: str | None
    """locked or self_excluded; None frees."""
    reason: str
    actor: str

    @property
    def player_id(self) -> str | None:
        return self.player
