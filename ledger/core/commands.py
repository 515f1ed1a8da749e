"""What may be asked of the ledger. A command declares the entities that it is decided on; the journal loads and locks
exactly those.
"""

from typing import ClassVar

from ledger.core.money import Amount
from ledger.core.state import Bet, Currency, Key, Session
from ledger.core.value import value

REAL, DEMO = "real", "demo"
AT_SETTLEMENT, AT_AUTHORIZATION = "settlement", "authorization"
REFUSE, REVERSE = "refuse", "reverse"


@value()
class Policy:
    """Where integrations differ: named values, the same for every command of one integration."""

    capture: str = AT_SETTLEMENT
    """When the house has the stake: at the `settlement` (until then it is held) or at the `authorization`."""
    rollback_of_settled: str = REFUSE
    """A rollback of a settled bet is a refusal, or a reversal that takes the win back."""
    refusal_consumes_key: bool = True
    """A refusal by a rule (not: something that was not found) is remembered under its key."""


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

    @property
    def scope(self) -> str:
        """Whose idempotency keys: the integration's, or the tenant's own."""
        return self.integration_id or f"tenant:{self.tenant_id}"


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
        return ((Currency, self.origin.tenant_id, self.currency),)


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


@value()
class EndSession(Command):
    kind = "EndSession"
    session_id: str
    reason: str

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Session, self.session_id),)


@value()
class AuthorizeBet(Command):
    kind = "AuthorizeBet"
    session_id: str
    bet_id: str
    round_id: str
    amount: Amount
    currency: str

    @property
    def needs(self) -> tuple[Key, ...]:
        return (Session, self.session_id), (Bet, self.origin.integration_id, self.bet_id)


@value()
class SettleBet(Command):
    kind = "SettleBet"
    bet_id: str
    round_id: str
    win: Amount
    currency: str
    in_bonus: bool = False
    freespins_left: int | None = None

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Bet, self.origin.integration_id, self.bet_id),)


@value()
class RollbackBet(Command):
    kind = "RollbackBet"
    bet_id: str
    round_id: str | None
    reason: str
    session_id: str | None = None
    """Names the player of a bet that is not known yet."""

    @property
    def needs(self) -> tuple[Key, ...]:
        bet: Key = (Bet, self.origin.integration_id, self.bet_id)
        return (bet, (Session, self.session_id)) if self.session_id else (bet,)
