"""A callback, the commands that one caller sends at once, and what each of them comes to."""

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import NamedTuple

from pydantic_core import to_json

from ledger.core.commands import Command
from ledger.core.decision import Accepted, Refusal
from ledger.core.policy import Policy
from ledger.core.state import Wallet
from ledger.core.value import value


class Balances(NamedTuple):
    """The accounts of a wallet at the moment of a decision, in minor units of `currency` at `exponent` decimals."""

    currency: str
    exponent: int
    cash_minor: int
    bonus_minor: int
    held_minor: int
    receivable_minor: int

    @property
    def available_minor(self) -> int:
        """What a bet may stake."""
        return self.cash_minor + self.bonus_minor

    def times_ten_to(self, power: int) -> "Balances":
        """The balances in a unit that is 10 to the `power` of the currency."""
        exponent = self.exponent + power
        currency, _, *accounts = self
        scale = 10 ** max(-exponent, 0)
        return Balances(currency, max(exponent, 0), *(minor * scale for minor in accounts))

    @classmethod
    def of(cls, wallet: Wallet) -> "Balances":
        """The accounts of `wallet` as they stand."""
        return cls(
            wallet.currency,
            wallet.exponent,
            wallet.cash_minor,
            wallet.bonus_minor,
            wallet.held_minor,
            wallet.receivable_minor,
        )


_OUR_IDS = ("hold_id", "settlement_id", "rollback_id", "adjustment_id")
"""A result has one of them at most."""


@value()
class Outcome:
    """What a command came to. Exactly one of `refusal_code` and `result` speaks; `answer` is the exact text that the
    caller was or will be sent.
    """

    kind: str
    refusal_code: str | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)
    result: Mapping[str, str] = field(default_factory=dict)
    balances: Balances | None = None
    answer: bytes | None = None
    replayed: bool = False
    unchanged: bool = False
    """A yes that made no event: it was true already, or was acknowledged without effect."""

    @property
    def code(self) -> str:
        """What metrics call it: the refusal's code, REPEATED or ACCEPTED."""
        return self.refusal_code or ("REPEATED" if self.replayed else "ACCEPTED")

    @property
    def our_id(self) -> str | None:
        """Our id of what the command made or undid; None where nothing of it has one."""
        return next((self.result[name] for name in _OUR_IDS if name in self.result), None)

    @classmethod
    def of(cls, command: Command, decision: Accepted | Refusal, balances: Balances | None) -> "Outcome":
        """What `command` comes to by `decision`, with the balances after it."""
        if isinstance(decision, Refusal):
            return cls(command.kind, decision.code, decision.details, balances=balances)
        return cls(command.kind, result=decision.result, balances=balances, unchanged=not decision.events)

    def answered(self, answer: bytes) -> "Outcome":
        """The outcome with its `answer`. Spelled out: `dataclasses.replace` takes four times as long, and every bet
        comes by here.
        """
        return Outcome(
            self.kind, self.refusal_code, self.details, self.result, self.balances, answer, self.replayed,
            self.unchanged,
        )  # fmt: skip

    def to_json(self) -> str:
        """The outcome as the column `commands.outcome` keeps it."""
        content: dict[str, object] = {"balances": self.balances}
        if self.refusal_code:
            content |= {"refusal": self.refusal_code, "details": self.details}
        else:
            content["result"] = self.result
        if self.unchanged:
            content["unchanged"] = True
        return to_json(content).decode()

    @classmethod
    def from_json(cls, kind: str, text: str, answer: bytes | None) -> "Outcome":
        """The outcome that `commands.outcome` keeps as `text`, as a repeat has it."""
        content = json.loads(text)
        balances = Balances(*content["balances"]) if content["balances"] else None
        return cls(
            kind,
            content.get("refusal"),
            content.get("details", {}),
            content.get("result", {}),
            balances,
            answer,
            replayed=True,
            unchanged=content.get("unchanged", False),
        )


PROVEN_OTHERWISE = "SIGNATURE_REUSED"
"""The refusal of a call whose signed bytes came with another call before."""


class Proof(NamedTuple):
    """Signed bytes that do not say which call they prove, and the call that they came with: they prove no other one."""

    digest: bytes
    """16 bytes, of what was signed and with which key."""
    scope: str
    """The integration that was called."""
    operation: str
    """Method and path of the call."""


@value()
class Callback:
    """Commands, in order, that become true together or not at all. Without any, only the proof is remembered.

    `render` makes the exact answer of a command's outcome at the moment of the decision; it is stored under the
    command's key and sent to every repeat. `proof` is remembered whatever the callback comes to, and lets it come to
    nothing where it was that of another call.
    """

    commands: tuple[Command, ...]
    policy: Policy = Policy()
    render: Callable[[Outcome], bytes] | None = None
    proof: Proof | None = None

    @property
    def kind(self) -> str:
        """The kind of the callback's first command, for logs."""
        return self.commands[0].kind if self.commands else "proof"
