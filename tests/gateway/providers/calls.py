"""What the calls of dialects ask of the ledger, seen between the two: which endpoint gives what."""

from dataclasses import dataclass, replace
from functools import wraps
from inspect import unwrap
from typing import Any

from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger
from ledger.core.bets import AuthorizeBet, FinalizeBet
from ledger.core.commands import Command
from ledger.core.rollbacks import ReinstateBet, Rollback
from ledger.core.rounds import FinishRound
from ledger.core.wallets import Adjust
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Outcome

GIVES = SettleBet, Award, Adjust, Rollback, ReinstateBet, FinalizeBet, FinishRound
"""What gives a player money, takes back what was given, or ends what holds it."""


@dataclass(frozen=True)
class Asked:
    """One call that asked something of the ledger."""

    dialect: str
    endpoint: Handle
    """Its own handle, which several paths may share."""
    kind: type[Command]


class Calls:
    """Of all dialects that are `watched`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        """By credits, in order."""

    def watched(self, dialect: Dialect) -> Dialect:
        """`dialect`, whose endpoints are heard. One that gives without a stake and does not say that it credits fails:
        its wins would be refused for good where they cannot be read.
        """
        endpoints = tuple(replace(one, handle=self._heard(dialect.name, one)) for one in dialect.endpoints)
        return replace(dialect, endpoints=endpoints)

    def since(self, mark: int) -> set[tuple[Handle, type[Command]]]:
        return {(one.endpoint, one.kind) for one in self.asked[mark:]}

    def _heard(self, name: str, endpoint: Endpoint) -> Handle:
        @wraps(endpoint.handle)
        async def handle(call: Call, ledger: TenantLedger) -> Reply:
            return await endpoint.handle(call, _Heard(ledger, self, name, endpoint, call))

        return handle


@dataclass(frozen=True)
class _Heard:
    """The ledger of one call."""

    ledger: Any
    calls: Calls
    name: str
    endpoint: Endpoint
    call: Call

    async def submit(self, *commands: Command) -> tuple[Outcome, ...]:
        credit = self.endpoint.is_credit(self.call)
        staked = any(isinstance(one, AuthorizeBet) for one in commands)
        for one in commands:
            assert credit or staked or not isinstance(one, GIVES), (
                f"{self.name} {self.endpoint.path or '/'} makes {one.kind} and does not say that it credits"
            )
        if credit:
            handle = unwrap(self.endpoint.handle)
            self.calls.asked += [Asked(self.name, handle, type(one)) for one in commands if isinstance(one, GIVES)]
        outcomes: tuple[Outcome, ...] = await self.ledger.submit(*commands)
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)
