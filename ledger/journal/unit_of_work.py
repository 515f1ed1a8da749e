"""Deciding one callback: its commands in order, all or none, on the state that its batch has come to. No I/O; the only
clock is the batch's `now`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ledger.core import limits
from ledger.core.commands import Command
from ledger.core.decide import decide
from ledger.core.decision import Accepted, Decision, Refusal
from ledger.core.events import Event
from ledger.core.evolve import evolve
from ledger.core.policy import CURRENT, REFUSE
from ledger.core.rollbacks import Rollback
from ledger.core.state import Bet, Key, Session, Settlement, State
from ledger.idempotency import (
    MISMATCH,
    PARTLY_KNOWN,
    CommandKey,
    Remembered,
    Request,
    consumes_key,
    new_among_known,
)
from ledger.journal.batch import Batch
from ledger.journal.directory import Owner, owner_of, stream_of
from ledger.journal.recording import record
from ledger.outcome import PROVEN_OTHERWISE, Balances, Callback, Outcome
from ledger.store.commands import Decided
from ledger.streams import Recorded, StreamHead, StreamKey

FOREIGN = "REGION_MISMATCH"


class NotLocked(Exception):  # noqa: N818  # not an error: the callback is decided in a later batch
    """A command needs what the batch did not lock or load: since the look-up, its bet came to be."""


def requests_of(callback: Callback, stream_of: Callable[[Command], StreamKey]) -> tuple[Request, ...]:
    """The callback's commands as requests, each on its stream by `stream_of`."""
    return tuple([Request.of(command, stream_of(command)) for command in callback.commands])


class UnitOfWork:
    """One callback on tentative state: kept whole or forgotten whole."""

    def __init__(self, batch: Batch, callback: Callback, requests: Sequence[Request]) -> None:
        self.batch = batch
        self.callback = callback
        self.requests = requests
        self.state = State(batch.state)
        self.heads: dict[StreamKey, StreamHead] = {}
        self.remembered: dict[CommandKey, Remembered] = {}
        self.events: list[Recorded] = []
        self.commands: list[Decided] = []

    def decide(self) -> tuple[Outcome, ...]:
        """One outcome for each command; a refusal is the only outcome of its callback and nothing of it stays.

        Raises NotLocked, with nothing kept, where the callback goes to a stream that is not locked, or undoes a bet
        that this batch made: the wins beside that one have not been loaded.
        """
        proof = self.callback.proof
        if proof and self.batch.proven.get(proof.digest, proof) != proof:
            # Signed bytes that prove another call. Recorded like every refusal, once.
            return tuple([self._refuse(request, PROVEN_OTHERWISE, {}) for request in self.requests[:1]])
        outcomes = self._decide_commands()
        if proof:
            self.batch.remember(proof)
        return outcomes

    def _decide_commands(self) -> tuple[Outcome, ...]:
        if self.callback.policy.partial_duplicate == REFUSE:
            new = new_among_known(self.requests, self.batch.remembered)
            if new:
                return (self._refuse(new, PARTLY_KNOWN, {"idempotency_key": new.key.idempotency_key}),)
        outcomes: list[Outcome] = []
        for request in self.requests:
            outcome = self._take(self._confirmed(request))
            if outcome.refusal_code:
                return (outcome,)
            outcomes.append(outcome)
        self.keep()
        return tuple(outcomes)

    def keep(self) -> None:
        """Let the batch go on from here."""
        batch = self.batch
        batch.state.absorb(self.state)
        batch.heads.update(self.heads)
        batch.remembered.update(self.remembered)
        batch.events.extend(self.events)
        batch.commands.extend(self.commands)

    def _confirmed(self, request: Request) -> Request:
        """The request on its stream. The state, not the look-up before the lock, decides which that is: an earlier
        command of this very batch may have made the bet.
        """
        stream = stream_of(request.command, request.needs, self._owner)
        if stream not in self.batch.locked:
            raise NotLocked(stream)
        return request if stream == request.stream else replace(request, stream=stream)

    def _head(self, stream: StreamKey) -> StreamHead:
        return self.heads.get(stream) or self.batch.head(stream)

    def _owner(self, key: Key) -> Owner | None:
        return owner_of(self.state.get(key))

    def _take(self, request: Request) -> Outcome:
        command = request.command
        known = self.remembered.get(request.key) or self.batch.remembered.get(request.key)
        if known is not None:
            return self._repeat(request, known)
        if isinstance(command, Rollback) and self.batch.made(command):
            raise NotLocked(request.stream)
        if command.obeys_limits and self._lacks_for_limits(request):
            raise NotLocked(request.stream)
        at = self._head(request.stream).time_after(self.batch.now)
        return self._judge(request, decide(self.state, command, self.callback.policy, at))

    def _lacks_for_limits(self, request: Request) -> bool:
        """Whether what the player's limits are judged on was not read: an earlier command of this batch has set one,
        opened another wallet, or has only just said whose the command is.
        """
        read, (tenant_id, _, player_id) = self.batch.read, request.stream
        needed = limits.needs(self.state, request.command, tenant_id, player_id)
        return bool(needed) and read is not None and not all(key in read for key in needed)

    def _repeat(self, request: Request, known: Remembered) -> Outcome:
        outcome = known.repeat(request)
        if outcome.refusal_code == MISMATCH:
            outcome = self._answered(outcome)
            self.batch.refusals.append(Decided.of(request, outcome, self.batch.now))
            return outcome
        if self.callback.policy.replay_balance == CURRENT:
            stored = outcome.balances
            currency = stored.currency if stored else _wallet_currency(self.state, request)
            outcome = replace(outcome, balances=_balances(self.state, request.stream, currency), answer=None)
        return outcome if outcome.answer else self._answered(outcome)

    def _refuse(self, request: Request, code: str, details: dict[str, str | int]) -> Outcome:
        """A no to the whole callback for one of its commands."""
        return self._judge(self._confirmed(request), Refusal(code, details))

    def _judge(self, request: Request, decision: Decision) -> Outcome:
        command, stream = request.command, request.stream
        if isinstance(decision, Accepted):
            versions = self._fold(request, decision.events)
            currency = _moved_currency(decision) or _wallet_currency(self.state, request)
            balances = _balances(self.state, stream, currency)
            outcome = self._answered(Outcome.of(command, decision, balances))
            self.commands.append(Decided.of(request, outcome, self.batch.now, versions))
            self.remembered[request.key] = Remembered(request.fingerprint, outcome)
            return outcome
        # A refusal takes back what the callback did so far: its balances are those without that. Those of a foreign
        # region are not its caller's to see.
        foreign = decision.code == FOREIGN
        currency = None if foreign else _wallet_currency(self.state, request)
        balances = _balances(self.batch.state, stream, currency)
        outcome = self._answered(Outcome.of(command, decision, balances))
        decided = Decided.of(request, outcome, self.batch.now)
        self.batch.refusals.append(decided)
        if consumes_key(decision, self.callback.policy):
            self.batch.commands.append(decided)
            self.batch.remembered[request.key] = Remembered(request.fingerprint, outcome)
        return outcome

    def _fold(self, request: Request, events: Sequence[Event]) -> tuple[int, int] | None:
        """Put the events into the state and at the end of their stream; the first and the last version."""
        stream = request.stream
        head = self._head(stream)
        before = head.version
        for event in events:
            self.state.put(*evolve(self.state, event))
            recorded = record(event, request.command.origin, head, request.fingerprint, self.batch.variants)
            assert recorded.stream == stream, (
                f"{request.command.kind} was locked for {stream} and wrote to {recorded.stream}"
            )
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


def _balances(state: State, stream: StreamKey, currency: str | None) -> Balances | None:
    wallet = state.wallet(stream.tenant_id, stream.stream_id, currency) if currency else None
    return Balances.of(wallet) if wallet else None


def _moved_currency(decision: Accepted) -> str | None:
    """The currency of the wallet that the decision is about, by its last event."""
    return getattr(decision.events[-1].payload, "currency", None) if decision.events else None


def _wallet_currency(state: State, request: Request) -> str | None:
    """The currency of the wallet that a command is about: its bet's or its win's, else the command's own, else its
    session's.
    """
    command = request.command
    named = getattr(command, "wallet_currency", None)
    entities = [state.get(key) for key in request.needs]
    for entity in entities:
        if isinstance(entity, Bet | Settlement) and entity.currency:
            return entity.currency
    if named is None:
        named = getattr(command, "currency", None)
    if named is not None:
        return str(named)
    return next((entity.currency for entity in entities if isinstance(entity, Session)), None)
