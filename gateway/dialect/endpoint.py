"""One operation of a provider's protocol."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.dialect.call import Call
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger

Handle = Callable[[Call, TenantLedger], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a protocol: which requests it takes, and what answers them.

    `path` is below the integration's base URL and may name parts as {part}; "" is the base URL itself.
    """

    method: str
    path: str
    handle: Handle
    """What answers: commands out of the call, the reply out of their outcomes. May raise Rejected."""
    as_written: tuple[str, ...] = ()
    """Absolute paths that the provider's contract fixes, and that are served besides."""
    open: bool = False
    """Whether it answers without a proof of the caller: for health checks, which touch nothing."""
    credits: bool | Callable[[Call], bool] = False
    """Whether it gives a player money, or ends what holds it: a win, a refund, the end of a round. Where only the body
    says what a call is, a function of the call, which takes any body.

    A credit that cannot be read is logged for the operator, and the provider hears its word for *repeat*: refused for
    good, it would be the player's loss.
    """
    reads: bool = False
    """Whether it changes nothing, as each GET: then the proofs of its calls are not remembered."""

    def is_credit(self, call: Call) -> bool:
        """Whether this call gives a player money, or ends what holds it."""
        return self.credits(call) if callable(self.credits) else self.credits

    @property
    def changes_nothing(self) -> bool:
        """Whether its calls leave nothing behind in the ledger."""
        return self.reads or self.method == "GET"
