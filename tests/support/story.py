"""`given(what is there).when(command).then(events)`: the rules told as stories."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from ledger.core.commands import Command
from ledger.core.decide import decide
from ledger.core.decision import Accepted, Decision, Refusal
from ledger.core.events import Payload
from ledger.core.evolve import evolve
from ledger.core.policy import Policy
from ledger.core.postings import totals_by_currency
from ledger.core.state import Entity, Player, State, Wallet
from schemas.errors import ERRORS


def given(*what: Entity | Command, policy: Policy = Policy()) -> "Story":
    """Entities that are there, and commands that were accepted, in this order."""
    state = State()
    for one in what:
        if isinstance(one, Command):
            decision = decide(state, one, policy, one.received_at)
            assert isinstance(decision, Accepted), f"given {one.kind} is refused: {decision}"
            fold(state, decision)
        else:
            state.put(one)
            if isinstance(one, Wallet) and state.player(one.tenant_id, one.player_id) is None:
                state.put(Player(one.tenant_id, one.player_id, "eu"))
    return Story(state, policy)


def fold(state: State, decision: Accepted) -> None:
    for event in decision.events:
        assert not any(totals_by_currency(event.postings).values()), f"postings of {event.payload} do not sum to zero"
        state.put(*evolve(state, event))


@dataclass
class Story:
    state: State
    policy: Policy
    decision: Decision | None = None

    def under(self, **policy: object) -> Self:
        """The same under another policy from here on."""
        self.policy = replace(self.policy, **policy)
        return self

    def when(self, command: Command) -> Self:
        """Decide; what is accepted comes true, so that stories go on."""
        before = dict(self.state.entities)
        self.decision = decide(self.state, command, self.policy, command.received_at)
        assert self.state.entities == before, "decide changed the state"
        if isinstance(self.decision, Accepted):
            fold(self.state, self.decision)
        return self

    def then(
        self, payload: type[Payload], /, *postings: tuple[str, int] | tuple[str, int, str], **fields: object
    ) -> Self:
        """Exactly one event, with at least these fields and exactly these postings: account, amount in minor units, and
        the currency where it is not the event's own.
        """
        assert isinstance(self.decision, Accepted), f"refused: {self.decision}"
        (event,) = self.decision.events
        assert type(event.payload) is payload
        actual = {name: getattr(event.payload, name) for name in fields}
        assert actual == fields
        own = getattr(event.payload, "currency", None)
        found = sorted(
            (p.account, p.amount_minor, *([p.currency] if p.currency != own else [])) for p in event.postings
        )
        assert found == sorted(postings)
        return self

    def then_refused(self, code: str, **details: object) -> Self:
        assert isinstance(self.decision, Refusal), f"accepted: {self.decision}"
        assert self.decision.code == code
        assert ERRORS[code].text(self.decision.details), "the message cannot be told"
        assert {name: self.decision.details.get(name) for name in details} == details
        return self

    def then_acknowledged(self) -> Self:
        """A yes without effect."""
        return self.then_nothing(status="acknowledged")

    def then_nothing(self, **result: str) -> Self:
        """A yes without an event: it was true already."""
        assert isinstance(self.decision, Accepted), f"refused: {self.decision}"
        assert self.decision.events == ()
        assert {name: self.decision.result.get(name) for name in result} == result
        return self

    def and_wallet(self, player: str = "ann", currency: str = "EUR", **accounts_minor: int) -> Self:
        """The wallet's accounts now; those not named are empty."""
        wallet = self.state.wallet("acme", player, currency)
        assert wallet
        actual = {name: getattr(wallet, f"{name}_minor") for name in ("cash", "bonus", "held", "receivable")}
        assert actual == {"cash": 0, "bonus": 0, "held": 0, "receivable": 0} | accounts_minor
        return self

    @property
    def result(self) -> dict[str, str]:
        assert isinstance(self.decision, Accepted)
        return dict(self.decision.result)


def replay(events: Iterable) -> State:
    """The state that `events` lead to."""
    state = State()
    for event in events:
        state.put(*evolve(state, event))
    return state
