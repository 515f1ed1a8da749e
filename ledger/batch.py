"""Deciding a batch: many callbacks, one after the other, on the state that was loaded for all of them. No I/O; the only
clock is `now`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ledger.callback import Balances, Callback, Outcome
from ledger.core.commands import Command, Policy
from ledger.core.decide import Accepted, Decision, Refusal, decide
from ledger.core.events import Event
from ledger.core.evolve import evolve
from ledger.core.state import Bet, Key, Session, State
from ledger.directory import Owner, owner_of, stream_of
from ledger.recording import Head, Recorded, StreamKey, record
from ledger.store.commands import CommandKey, Decided, Remembered, fingerprint, key_of
from schemas.errors import ERRORS

MISMATCH = "IDEMPOTENCY_MISMATCH"


class NotLocked(Exception):  # noqa: N818  # not an error: the callback is decided in a later batch
    """A command goes to a stream that the batch did not lock: between the look-up and the lock its bet came to be."""


@dataclass
class Batch:
    """`loaded`, `loaded_heads` and `remembered` are as the database has them, read when `locked` was; the rest is what
    the batch adds.
    """

    locked: Collection[StreamKey]
    loaded: State
    loaded_heads: Mapping[StreamKey, Head]
    remembered: dict[CommandKey, Remembered]
    now: int
    state: State = field(init=False)
    heads: dict[StreamKey, Head] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    commands: list[Decided] = field(default_factory=list)
    refusals: list[Decided] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.loaded)

    def decide(self, callback: Callback) -> tuple[Outcome, ...]:
        """Decide the commands in order, all or none. One outcome for each; a refusal is the only outcome of its
        callback and nothing of it stays.

        Raises NotLocked, with nothing kept, where the callback goes to a stream that is not locked.
        """
        trial = _Trial(self, callback)
        for command in callback.commands:
            outcome = trial.take(command)
            if outcome.refusal_code:
                return (outcome,)
        trial.keep()
        return tuple(trial.outcomes)


class _Trial:
    """One callback on tentative state: kept whole or forgotten whole."""

    def __init__(self, batch: Batch, callback: Callback) -> None:
        self.batch = batch
        self.callback = callback
        self.state = State(batch.state)
        self.heads: dict[StreamKey, Head] = {}
        self.remembered: dict[CommandKey, Remembered] = {}
        self.events: list[Recorded] = []
        self.commands: list[Decided] = []
        self.outcomes: list[Outcome] = []

    def take(self, command: Command) -> Outcome:
        # The state, not the look-up before the lock, says whose it is: an earlier command of this very batch may have
        # made the bet.
        stream = stream_of(command, self._owner)
        if stream not in self.batch.locked:
            raise NotLocked(stream)
        asked = fingerprint(command)
        key = key_of(command)
        known = self.remembered.get(key) or self.batch.remembered.get(key)
        if known is not None:
            outcome = self._repeat(command, asked, known)
            if outcome.refusal_code == MISMATCH:
                self.batch.refusals.append(self._decided(command, asked, stream, None, outcome))
        else:
            outcome = self._judge(command, asked, stream, decide(self.state, command, self.callback.policy))
        self.outcomes.append(outcome)
        return outcome

    def _owner(self, key: Key) -> Owner | None:
        return owner_of(self.state.get(key))

    def keep(self) -> None:
        batch = self.batch
        batch.state.entities.update(self.state.entities)
        batch.heads.update(self.heads)
        batch.remembered.update(self.remembered)
        batch.events.extend(self.events)
        batch.commands.extend(self.commands)

    def _repeat(self, command: Command, asked: bytes, known: Remembered) -> Outcome:
        if known.fingerprint is not None and known.fingerprint != asked:
            details = {"idempotency_key": command.origin.idempotency_key}
            return self._answered(Outcome(command.kind, MISMATCH, details))
        repeated = replace(known.outcome, replayed=True)
        return repeated if repeated.answer else self._answered(repeated)

    def _judge(self, command: Command, asked: bytes, stream: StreamKey, decision: Decision) -> Outcome:
        versions = self._fold(command, asked, stream, decision.events) if isinstance(decision, Accepted) else None
        # A refusal takes back what the callback did so far: it tells the balances without that.
        state = self.state if isinstance(decision, Accepted) else self.batch.state
        outcome = self._answered(Outcome.of(command, decision, self._balances(state, command, stream)))
        decided = self._decided(command, asked, stream, versions, outcome)
        entry = Remembered(asked, outcome)
        if isinstance(decision, Accepted):
            self.commands.append(decided)
            self.remembered[decided.key] = entry
        else:
            self.batch.refusals.append(decided)
            if consumes_key(decision, self.callback.policy):
                self.batch.commands.append(decided)
                self.batch.remembered[decided.key] = entry
        return outcome

    def _fold(
        self, command: Command, asked: bytes, stream: StreamKey, events: Sequence[Event]
    ) -> tuple[int, int] | None:
        head = self.heads.get(stream) or self.batch.heads.get(stream) or self.batch.loaded_heads.get(stream) or Head()
        before = head.version
        for event in events:
            self.state.put(*evolve(self.state, event))
            recorded = record(event, command.origin, head, self.batch.now, asked)
            assert recorded.stream == stream, f"{command.kind} was locked for {stream} and wrote to {recorded.stream}"
            self.events.append(recorded)
            head = recorded.head()
        if head.version == before:
            return None
        self.heads[stream] = head
        return before + 1, head.version

    def _answered(self, outcome: Outcome) -> Outcome:
        if self.callback.render is None:
            return outcome
        return outcome.answered(self.callback.render(outcome))

    def _decided(
        self, command: Command, asked: bytes, stream: StreamKey, versions: tuple[int, int] | None, outcome: Outcome
    ) -> Decided:
        origin = command.origin
        return Decided(
            key_of(command), command.command_id, command.kind, origin.tenant_id, origin.trace_id, asked, stream,
            versions, outcome, self.batch.now,
        )  # fmt: skip

    def _balances(self, state: State, command: Command, stream: StreamKey) -> Balances | None:
        currency = getattr(command, "currency", None) or _currency_of_needed(state, command)
        wallet = state.wallet(stream.tenant_id, stream.stream_id, currency) if currency else None
        return Balances.of(wallet) if wallet else None


def _currency_of_needed(state: State, command: Command) -> str | None:
    for key in command.needs:
        entity = state.get(key)
        if isinstance(entity, Bet | Session) and entity.currency:
            return entity.currency
    return None


def consumes_key(refusal: Refusal, policy: Policy) -> bool:
    """Whether a refusal is the final word on its key: rules are, what was not found is not."""
    return policy.refusal_consumes_key and ERRORS[refusal.code].remembered
