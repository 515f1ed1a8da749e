"""Deciding a batch: many callbacks, one after the other, on the state that was loaded for all of them. No I/O; the only clock is `now`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ledger.callback import Balances, Callback, Outcome
from ledger.core.commands import Command, Policy
from ledger.core.decide import Accepted, Decision, Refusal, decide
from ledger.core.evolve import evolve
from ledger.core.state import Bet, Session, State, Wallet
from ledger.recording import Head, Recorded, StreamKey, record, to_datetime
from ledger.store.commands import CommandKey, Decided, Remembered, fingerprint, key_of
from schemas.errors import ERRORS

MISMATCH = "IDEMPOTENCY_MISMATCH"


@dataclass
class Batch:
    """`loaded`, `heads` and `remembered` are as the database has them; the rest is what the batch adds."""

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

    def decide(self, callback: Callback, streams: Sequence[StreamKey]) -> tuple[Outcome, ...]:
        """Decide the commands in order, all or none. One outcome for each; a refusal is the only outcome of its callback and nothing of it stays."""
        trial = _Trial(self, callback)
        for command, stream in zip(callback.commands, streams, strict=True):
            outcome = trial.take(command, stream)
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

    def take(self, command: Command, stream: StreamKey) -> Outcome:
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
        return known.outcome

    def _judge(self, command: Command, asked: bytes, stream: StreamKey, decision: Decision) -> Outcome:
        versions = self._fold(command, stream, decision.events) if isinstance(decision, Accepted) else None
        outcome = self._answered(Outcome.of(command, decision, self._balances(command, stream)))
        decided = self._decided(command, asked, stream, versions, outcome)
        entry = Remembered(asked, _as_repeated(outcome))
        if isinstance(decision, Accepted):
            self.commands.append(decided)
            self.remembered[decided_key(decided)] = entry
        else:
            self.batch.refusals.append(decided)
            if consumes_key(decision, self.callback.policy):
                self.batch.commands.append(decided)
                self.batch.remembered[decided_key(decided)] = entry
        return outcome

    def _fold(self, command: Command, stream: StreamKey, events: Sequence[object]) -> tuple[int, int] | None:
        head = self.heads.get(stream) or self.batch.heads.get(stream) or self.batch.loaded_heads.get(stream) or Head()
        before = head.version
        for event in events:
            self.state.put(*evolve(self.state, event))  # type: ignore[arg-type]
            recorded = record(event, command.origin, head, self.batch.now)  # type: ignore[arg-type]
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
        return Outcome(outcome.kind, outcome.refusal_code, outcome.details, outcome.result, outcome.balances, self.callback.render(outcome))

    def _decided(self, command: Command, asked: bytes, stream: StreamKey, versions: tuple[int, int] | None, outcome: Outcome) -> Decided:
        return Decided(command, asked, stream, versions, outcome, to_datetime(self.batch.now))

    def _balances(self, command: Command, stream: StreamKey) -> Balances | None:
        currency = getattr(command, "currency", None) or self._currency_of_needed(command)
        wallet: Wallet | None = currency and self.state.wallet(stream.tenant_id, stream.stream_id, currency)
        return Balances.of(wallet) if wallet else None

    def _currency_of_needed(self, command: Command) -> str | None:
        for key in command.needs:
            entity = self.state.get(key)
            if isinstance(entity, Bet | Session) and entity.currency:
                return entity.currency
        return None


def consumes_key(refusal: Refusal, policy: Policy) -> bool:
    """Whether a refusal is the final word on its key: rules are, what was not found is not."""
    return policy.refusal_consumes_key and ERRORS[refusal.code].remembered


def decided_key(decided: Decided) -> CommandKey:
    return key_of(decided.command)


def _as_repeated(outcome: Outcome) -> Outcome:
    return Outcome(outcome.kind, outcome.refusal_code, outcome.details, outcome.result, outcome.balances, outcome.answer, replayed=True)
