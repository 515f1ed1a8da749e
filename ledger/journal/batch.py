"""Deciding a batch: many callbacks, one after the other, on the state that was loaded for all of them. No I/O; the only
clock is `now`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ledger.core.commands import Command
from ledger.core.decide import decide
from ledger.core.decision import Accepted, Decision, Refusal
from ledger.core.events import Event
from ledger.core.evolve import evolve
from ledger.core.policy import CURRENT, REFUSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.state import Bet, Key, Session, Settlement, State
from ledger.journal.directory import Owner, owner_of, stream_of
from ledger.journal.recording import record
from ledger.outcome import Balances, Callback, Outcome, Proof
from ledger.store.commands import CommandKey, Decided, Remembered, asked_of, fingerprint, key_of
from ledger.streams import Recorded, StreamHead, StreamKey
from schemas.dual_write import EventVariant
from schemas.errors import ERRORS

MISMATCH = "IDEMPOTENCY_MISMATCH"
PARTLY_KNOWN = "BATCH_PARTLY_KNOWN"
FOREIGN = "REGION_MISMATCH"
PROVEN_OTHERWISE = "SIGNATURE_REUSED"


class NotLocked(Exception):  # noqa: N818  # not an error: the callback is decided in a later batch
    """A command needs what the batch did not lock or load: since the look-up, its bet came to be."""


@dataclass
class Batch:
    """`loaded`, `loaded_heads`, `remembered` and `proven` are as the database has them, read when `locked` was; the
    rest is what the batch adds.
    """

    locked: Collection[StreamKey]
    loaded: State
    loaded_heads: Mapping[StreamKey, StreamHead]
    remembered: dict[CommandKey, Remembered]
    now: int
    variants: Mapping[str, EventVariant] = field(default_factory=dict)
    """Other forms of event types that are written too, by the type in the log."""
    proven: dict[bytes, Proof] = field(default_factory=dict)
    """Which call a proof belongs to, by its digest."""
    state: State = field(init=False)
    heads: dict[StreamKey, StreamHead] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    commands: list[Decided] = field(default_factory=list)
    refusals: list[Decided] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.loaded)

    def decide(self, callback: Callback) -> tuple[Outcome, ...]:
        """Decide the commands in order, all or none. One outcome for each; a refusal is the only outcome of its
        callback and nothing of it stays.

        Raises NotLocked, with nothing kept, where the callback goes to a stream that is not locked, or undoes a bet
        that this batch made: the wins beside that one have not been loaded.
        """
        outcomes = self._decide(callback)
        if (proof := callback.proof) and proof.digest not in self.proven:
            self.proven[proof.digest] = proof
            self.proofs.append(proof)
        return outcomes

    def _decide(self, callback: Callback) -> tuple[Outcome, ...]:
        trial = _Trial(self, callback)
        if (proof := callback.proof) and self.proven.get(proof.digest, proof) != proof:
            return trial.refuse_proof()
        if callback.policy.partial_duplicate == REFUSE and (partly := trial.refuse_partly_known()):
            return (partly,)
        for command in callback.commands:
            outcome = trial.take(command)
            if outcome.refusal_code:
                return (outcome,)
        trial.keep()
        return tuple(trial.outcomes)

    def made(self, command: Rollback) -> bool:
        """Whether the bet that is undone came to be in an earlier callback of this batch."""
        key = Bet, command.origin.integration_id, command.target_id
        return key in self.state.entities and key not in self.loaded.entities


class _Trial:
    """One callback on tentative state: kept whole or forgotten whole."""

    def __init__(self, batch: Batch, callback: Callback) -> None:
        self.batch = batch
        self.callback = callback
        self.state = State(batch.state)
        self.heads: dict[StreamKey, StreamHead] = {}
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
            outcome = self._repeat(command, asked, stream, known)
            if outcome.refusal_code == MISMATCH:
                self.batch.refusals.append(self._decided(command, asked, stream, None, outcome))
        elif isinstance(command, Rollback) and self.batch.made(command):
            raise NotLocked(stream)
        else:
            outcome = self._judge(command, asked, stream, decide(self.state, command, self.callback.policy))
        self.outcomes.append(outcome)
        return outcome

    def refuse_partly_known(self) -> Outcome | None:
        """A no to the whole callback where some of its commands, and not all, were accepted before."""
        commands = self.callback.commands
        known = [self.batch.remembered.get(key_of(command)) for command in commands]
        new = [command for command, entry in zip(commands, known, strict=True) if entry is None]
        if len(new) == len(commands) or not new or any(entry and entry.outcome.refusal_code for entry in known):
            return None
        command = new[0]
        stream = stream_of(command, self._owner)
        if stream not in self.batch.locked:
            raise NotLocked(stream)
        refusal = Refusal(PARTLY_KNOWN, {"idempotency_key": command.origin.idempotency_key})
        return self._judge(command, fingerprint(command), stream, refusal)

    def refuse_proof(self) -> tuple[Outcome, ...]:
        """A no to the whole callback, whose signed bytes prove another call. Recorded like every refusal."""
        for command in self.callback.commands:
            stream = stream_of(command, self._owner)
            if stream not in self.batch.locked:
                raise NotLocked(stream)
            return (self._judge(command, fingerprint(command), stream, Refusal(PROVEN_OTHERWISE, {})),)
        return ()

    def _owner(self, key: Key) -> Owner | None:
        return owner_of(self.state.get(key))

    def keep(self) -> None:
        batch = self.batch
        batch.state.absorb(self.state)
        batch.heads.update(self.heads)
        batch.remembered.update(self.remembered)
        batch.events.extend(self.events)
        batch.commands.extend(self.commands)

    def _repeat(self, command: Command, asked: bytes, stream: StreamKey, known: Remembered) -> Outcome:
        if known.fingerprint is not None and known.fingerprint != asked:
            details = {"idempotency_key": command.origin.idempotency_key}
            return self._answered(Outcome(command.kind, MISMATCH, details))
        repeated = replace(known.outcome, replayed=True)
        if self.callback.policy.replay_balance == CURRENT:
            told = known.outcome.balances
            currency = told.currency if told else _wallet_currency(self.state, command)
            repeated = replace(repeated, balances=self._balances(self.state, stream, currency), answer=None)
        return repeated if repeated.answer else self._answered(repeated)

    def _judge(self, command: Command, asked: bytes, stream: StreamKey, decision: Decision) -> Outcome:
        versions = self._fold(command, asked, stream, decision.events) if isinstance(decision, Accepted) else None
        # A refusal takes back what the callback did so far: it tells the balances without that.
        state = self.state if isinstance(decision, Accepted) else self.batch.state
        currency = _moved_currency(decision) or _wallet_currency(self.state, command)
        if isinstance(decision, Refusal) and decision.code == FOREIGN:  # whose balances are not its caller's to hear
            currency = None
        outcome = self._answered(Outcome.of(command, decision, self._balances(state, stream, currency)))
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
        head = (
            self.heads.get(stream)
            or self.batch.heads.get(stream)
            or self.batch.loaded_heads.get(stream)
            or StreamHead()
        )
        before = head.version
        for event in events:
            self.state.put(*evolve(self.state, event))
            recorded = record(event, command.origin, head, self.batch.now, asked, self.batch.variants)
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
            versions, outcome, self.batch.now, origin.region, origin.kid, None if versions else asked_of(command),
        )  # fmt: skip

    def _balances(self, state: State, stream: StreamKey, currency: str | None) -> Balances | None:
        wallet = state.wallet(stream.tenant_id, stream.stream_id, currency) if currency else None
        return Balances.of(wallet) if wallet else None


def _moved_currency(decision: Decision) -> str | None:
    """Of the wallet that the decision is about: what its last event says."""
    if isinstance(decision, Accepted) and decision.events:
        return getattr(decision.events[-1].payload, "currency", None)
    return None


def _wallet_currency(state: State, command: Command) -> str | None:
    """Of the wallet that `command` is about: its bet's or its win's, else as it says itself, else its session's."""
    named = getattr(command, "wallet_currency", None)
    entities = [state.get(key) for key in command.needs]
    for entity in entities:
        if isinstance(entity, Bet | Settlement) and entity.currency:
            return entity.currency
    if named is None:
        named = getattr(command, "currency", None)
    if named is not None:
        return str(named)
    return next((entity.currency for entity in entities if isinstance(entity, Session)), None)


def consumes_key(refusal: Refusal, policy: Policy) -> bool:
    """Whether a refusal is the final word on its key: rules are, what was not found is not."""
    return policy.refusal_consumes_key and ERRORS[refusal.code].remembered
