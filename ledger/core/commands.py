"""What the ledger may be asked: what all commands share. Each command stands in the file of its subject.
A command declares the entities that it is decided on; the journal loads and locks exactly those.
"""

from typing import ClassVar

from ledger.core.state import Key
from ledger.core.value import value

TENANT_SCOPE = "tenant:"
"""Begins the scope of what an operator asked for; the tenant follows. No integration's id begins so."""


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
    obeys_limits: ClassVar[bool] = False
    """Whether a limit of its player may stop it."""

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
