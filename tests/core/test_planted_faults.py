"""A test that cannot fail is not counted: for each invariant a fault is planted, and the random histories must find it."""

from dataclasses import replace
from unittest import mock

import pytest

from ledger import batch, recording
from ledger.core import decide, events, evolve, postings
from ledger.core.state import TOMBSTONED, Bet, Wallet
from ledger.store import commands
from tests.core.test_state_machine import run_histories

MOST_EXAMPLES = 400


class Patch:
    """`patched` takes the place of `target.name` and is given the original."""

    def __init__(self, target, name, patched):
        original = getattr(target, name)
        self.patcher = mock.patch.object(target, name, lambda *args, **kwargs: patched(original, *args, **kwargs))


def unchecked_entry(_, currency, **amounts_minor):
    """A cent is lost in every entry of the house."""
    return tuple(
        postings.Posting(account, amount - (account == "house" and amount > 1), currency)
        for account, amount in amounts_minor.items()
        if amount
    )


def stake_from_cash_alone(original, currency, cash_minor, bonus_minor, *, held):
    return original(currency, cash_minor, 0, held=held)


def forgets_held(original, state, event, payload):
    bet, wallet = original(state, event, payload)
    return replace(bet, held_minor=0), wallet


def keeps_held(original, bet, status, **changes):
    return replace(original(bet, status, **changes), held_minor=bet.held_minor)


def forgets_the_end(original, bet, status, **changes):
    return replace(original(bet, status, **changes), status="open")


def forgets_tombstones(original, state, integration_id, bet_id):
    bet = original(state, integration_id, bet_id)
    return None if bet and bet.status == TOMBSTONED else bet


def moves_demo_money(original, state, command, policy):
    decision = original(state, command, policy)
    if isinstance(decision, decide.Accepted) and (payload := decision.events[0].payload).mode == "demo":
        moves = postings.settlement(payload.currency, 0, 1, 0)
        return replace(decision, events=(replace(decision.events[0], postings=moves),))
    return decision


def decides_again(original, trial, command, asked, known):
    from ledger.core.decide import decide as judge

    return trial._judge(
        command, asked, batch.stream_of(command, trial._owner), judge(trial.state, command, trial.callback.policy)
    )


def skips_a_version(original, event, origin, head, now, *asked):
    return original(event, origin, replace(head, version=head.version + (head.version == 2)), now, *asked)


def forgets_the_hash(original, event, origin, head, now, *asked):
    return original(event, origin, replace(head, hash=bytes(32)) if head.version == 3 else head, now, *asked)


def runs_backwards(original, event, origin, head, now, *asked):
    return original(event, origin, replace(head, recorded_at=0), now, *asked)


def writes_another_time(original, event, *args):
    if isinstance(event.payload, events.SessionStarted):
        event = replace(event, payload=replace(event.payload, expires_at=event.payload.expires_at + 1))
    return original(event, *args)


def refusal_keeps_what_came_before(original, self, callback):
    """Several commands are not all or none."""
    trial = batch._Trial(self, callback)
    for command in callback.commands:
        outcome = trial.take(command)
        if outcome.refusal_code:
            trial.keep()
            return (outcome,)
    trial.keep()
    return tuple(trial.outcomes)


FAULTS = {
    "I1 a posting loses a cent": (Patch(postings, "entry", unchecked_entry), "I1|I3"),
    "I3 the funds check is skipped": (
        mock.patch.object(Wallet, "available_minor", property(lambda self: 10**6)),
        "I3|.* would become",
    ),
    "I3 a stake takes bonus money from nowhere": (Patch(postings, "stake", stake_from_cash_alone), "I3"),
    "I3 an open bet forgets what it holds": (
        mock.patch.dict(
            evolve._FOLDS, {events.BetAuthorized: lambda *args: forgets_held(evolve._bet_authorized, *args)}
        ),
        "I3",
    ),
    "I3 a closed bet still holds its stake": (Patch(Bet, "ended", keeps_held), "I3"),
    "I4 a closed bet stays open": (Patch(Bet, "ended", forgets_the_end), "I4|.* would become"),
    "I4 a bet begins after its tombstone": (Patch(decide.State, "bet", forgets_tombstones), "I4|.* was locked for"),
    "demo pays": (
        mock.patch.dict(decide._RULES, {decide.SettleBet: lambda *args: moves_demo_money(decide._settle, *args)}),
        "demo",
    ),
    "I5 other content is not noticed": (
        mock.patch.object(batch, "fingerprint", return_value=bytes(32)),
        "I5",
    ),
    "I5 a repeat is decided again": (Patch(batch._Trial, "_repeat", decides_again), "I5"),
    "I6 a refusal leaves something": (Patch(batch.Batch, "decide", refusal_keeps_what_came_before), "I6"),
    "I7 a version is skipped": (Patch(batch, "record", skips_a_version), "I7"),
    "I7 the chain is cut": (Patch(batch, "record", forgets_the_hash), "I7"),
    "I7 time runs backwards": (Patch(batch, "record", runs_backwards), "I7"),
    "I7 the log says something else than the state": (Patch(batch, "record", writes_another_time), "I7"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    """The random histories fail, and name the invariant that the fault breaks."""
    patch, named = FAULTS[fault]
    with getattr(patch, "patcher", patch), pytest.raises(AssertionError, match=rf"^(?:{named})"):
        run_histories(MOST_EXAMPLES, shrink=False)


def test_faults_are_gone_afterwards():
    """The patches of this module leave nothing behind."""
    assert recording.record is batch.record
    assert commands.fingerprint is batch.fingerprint
    run_histories(5)
