"""One operation of a provider's protocol."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.dialect.call import Call
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger

Handle = Callable[[Call, TenantLedger], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `path` is below the integration's base URL and may name parts as {part}; "" is the base URL
    itself. `as_written` are absolute paths that the provider's contract fixes.
    """

    method: str
    path: str
    handle: Handle
    as_written: tuple[str, ...] = ()
    open: bool = False
    """Answers without a signature: health checks that touch nothing."""
    credits: bool | Callable[[Call], bool] = False
    """Gives a player money, or ends what holds it: a win, a refund, the end of a round. Where the body says what the
    call is, a function of it, which takes any body. What of it cannot be read is told to the operator, and the provider
    hears its word for *repeat*: refused for good, it would be the player's loss.
    """

    def is_credit(self, call: Call) -> bool:
        return self.credits(call) if callable(self.credits) else self.credits

    reads: bool = False
    """Only tells, as each GET does: the proofs of its calls are not remembered."""

    @property
    def only_tells(self) -> bool:
        return self.reads or self.method == "GET"
