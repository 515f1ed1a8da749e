"""A test that cannot fail is not counted: for each invariant a fault is planted, and the random histories must find it."""

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from ledger import idempotency
from ledger.core import bets, decide, decision, evolve, folds, limits, players, postings, regions, rollbacks, wins
from ledger.core.calendars import CALENDARS
from ledger.core.exchange import Conversion
from ledger.core.state import TOMBSTONED, Bet, BetsOfRound, State, Wallet
from ledger.core.tallies import Tallies
from ledger.journal import recording, unit_of_work
from ledger.journal.unit_of_work import UnitOfWork
from tests.ledger.core.test_state_machine import Histories, run_histories

MOST_EXAMPLES = 2000


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
    bet, *others = original(state, event, payload)
    return replace(bet, held_minor=0), *others


def keeps_held(original, bet, status, **changes):
    return replace(original(bet, status, **changes), held_minor=bet.held_minor)


def forgets_the_end(original, bet, status, **changes):
    return replace(original(bet, status, **changes), status="open")


def brings_back(original, session, command, policy):
    alive = replace(session, ended=False, expires_at=max(session.expires_at, command.received_at + 1))
    return original(alive, command, policy)


def forgets_the_last_end(original, session, command, policy):
    return original(session, command, replace(policy, session_overtime_s=10**6))


def forgets_to_move_the_end(original, state, payload):
    original(state, payload)
    return state.session(payload.session_id)


def forgets_tombstones(original, state, integration_id, bet_id):
    bet = original(state, integration_id, bet_id)
    return None if bet and bet.status == TOMBSTONED else bet


def forgets_restrictions(original, state, tenant_id, player_id):
    player = original(state, tenant_id, player_id)
    return player and replace(player, restriction=None)


def moves_demo_money(original, state, command, policy, at):
    decided = original(state, command, policy, at)
    payload: Any = decided.events[0].payload if isinstance(decided, decision.Accepted) and decided.events else None
    if payload and payload.mode == "demo":
        moves = postings.settlement(payload.currency, 0, 1, 0)
        return replace(decided, events=(replace(decided.events[0], postings=moves),))
    return decided


def decides_again(original, unit, request, known):
    at = unit._head(request.stream).time_after(unit.batch.now)
    return unit._judge(request, decide.decide(unit.state, request.command, unit.callback.policy, at))


def skips_a_version(original, event, origin, head, *asked):
    return original(event, origin, replace(head, version=head.version + (head.version == 2)), *asked)


def forgets_the_hash(original, event, origin, head, *asked):
    return original(event, origin, replace(head, hash=bytes(32)) if head.version == 3 else head, *asked)


def runs_backwards(original, event, origin, head, *asked):
    return original(replace(event, at=event.at - 1), origin, replace(head, recorded_at=0), *asked)


def writes_another_time(original, event, *args):
    if isinstance(event.payload, players.SessionStarted):
        event = replace(event, payload=replace(event.payload, expires_at=event.payload.expires_at + 1))
    return original(event, *args)


def refusal_keeps_what_came_before(original, unit):
    """Several commands are not all or none."""
    outcomes = original(unit)
    if outcomes[0].refusal_code:
        unit.keep()
    return outcomes


def exchanges_for_nothing(_, moves, __):
    """The side of the other currency is forgotten, and the house's with it."""
    return tuple(move for move in moves if move.account != "house")


def takes_what_is_not_there(original, amount_minor, available_minor, receivable_minor):
    return original(amount_minor, max(available_minor, -amount_minor), receivable_minor)


def reopens_without_its_stake(original, currency, account, win_minor, held_minor, available_minor):
    return original(currency, account, win_minor, 0, available_minor)


def everybody_s(bet):
    return (bet.integration_id, "", bet.round_id) if bet.round_id else None


def finds_everybody_s(original, machine, key):
    if key[0] is BetsOfRound:
        return [bet for bet in machine.entities(Bet) if (bet.integration_id, bet.round_id) == (key[1], key[3])]
    return original(machine, key)


class OneForAll:
    """A live table's round, as if it had one player."""

    def __init__(self):
        for_everybody = Patch(
            State, "bets_of_round", lambda original, state, one, _, id_: original(state, one, "", id_)
        )
        loaded = Patch(Histories, "found", finds_everybody_s)
        self.patches: list[Any] = [
            mock.patch.object(Bet, "place", property(everybody_s)),
            for_everybody.patcher,
            loaded.patcher,
        ]

    def __enter__(self):
        for patch in self.patches:
            patch.start()

    def __exit__(self, *_):
        for patch in self.patches:
            patch.stop()


def forgets_what_was_undone(original, state, integration_id, win_id):
    win = original(state, integration_id, win_id)
    return None if win and win.undone_by else win


def does_not_mark_what_is_undone(original, entity, **changes):
    return entity if "undone_by" in changes else original(entity, **changes)


FAULTS: dict[str, tuple[Any, str]] = {
    "I1 exchange has one side": (Patch(postings, "exchanged", exchanges_for_nothing), "I1|I3"),
    "I3 money is taken back from an empty wallet": (Patch(postings, "_player_side", takes_what_is_not_there), "I3"),
    "I3 a bet opens again without its stake": (Patch(postings, "win_reversal", reopens_without_its_stake), "I3"),
    "I3 a round ends for all its players": (OneForAll(), "I3|I4"),
    "I4 a win is paid after its tombstone": (
        mock.patch.object(wins, "TOMBSTONED", "never"),
        "I4|only tombstones have no player",
    ),
    "I4 a win that was undone is paid again": (
        Patch(State, "settlement", forgets_what_was_undone),
        "I4|.* was locked for",
    ),
    "I4 a win is undone twice": (Patch(rollbacks, "replace", does_not_mark_what_is_undone), "I4|tallies"),
    "I4 nothing is final": (mock.patch.dict(evolve.FOLDS, {bets.BetFinalized: lambda *_: ()}), "I4"),
    "I10 a stake is rounded for the player": (
        mock.patch.object(Conversion, "stake_minor", Conversion.win_minor),
        "I10",
    ),
    "I10 a win is rounded for the player": (mock.patch.object(Conversion, "win_minor", Conversion.stake_minor), "I10"),
    "a restricted player stakes": (Patch(State, "player", forgets_restrictions), "restricted"),
    "a session that is over is brought back": (Patch(bets, "_moved_end", brings_back), "session|bet .* alive"),
    "a session has no last end": (Patch(bets, "_moved_end", forgets_the_last_end), "session"),
    "a session stays as long as it was": (Patch(bets, "_extended", forgets_to_move_the_end), "session"),
    "another region's command is taken": (mock.patch.object(regions, "foreign", return_value=None), "region"),
    "I1 a posting loses a cent": (Patch(postings, "entry", unchecked_entry), "I1|I3"),
    "I3 the funds check is skipped": (
        mock.patch.object(Wallet, "available_minor", property(lambda self: 10**6)),
        "I3|.* would become",
    ),
    "I3 a stake takes bonus money from nowhere": (Patch(postings, "stake", stake_from_cash_alone), "I3"),
    "I3 an open bet forgets what it holds": (
        mock.patch.dict(evolve.FOLDS, {bets.BetAuthorized: lambda *args: forgets_held(bets.bet_authorized, *args)}),
        "I3",
    ),
    "I3 a closed bet still holds its stake": (Patch(Bet, "ended", keeps_held), "I3"),
    "I4 a closed bet stays open": (Patch(Bet, "ended", forgets_the_end), "I4|.* would become"),
    "I4 a bet begins after its tombstone": (Patch(State, "bet", forgets_tombstones), "I4|.* was locked for"),
    "a win counts in no tally": (mock.patch.object(wins, "won", return_value=None), "tallies"),
    "a refund gives no room back": (
        Patch(bets, "staked", lambda original, bet, times=1: original(bet) if times > 0 else None),
        "tallies",
    ),
    "a correction counts when it comes": (
        Patch(
            Tallies, "after", lambda original, tallies, moved, at, _, windows: original(tallies, moved, at, at, windows)
        ),
        "tallies",
    ),
    "a day of the rule is not that of the fold": (
        Patch(folds, "windows", lambda _, __, event: CALENDARS["America/Sao_Paulo@1"].windows(event.at)),
        "tallies|limit",
    ),
    "deposits skip their limit": (
        Patch(
            limits,
            "exceeded",
            lambda original, state, asked, *more: (
                None if "deposit" in asked.amounts_minor else original(state, asked, *more)
            ),
        ),
        "limit",
    ),
    "demo pays": (
        mock.patch.dict(decide.RULES, {wins.SettleBet: lambda *args: moves_demo_money(wins.settle, *args)}),
        "demo",
    ),
    "I5 other content is not noticed": (
        mock.patch.object(idempotency, "fingerprint", return_value=bytes(32)),
        "I5",
    ),
    "I5 a repeat is decided again": (Patch(UnitOfWork, "_repeat", decides_again), "I5"),
    "I6 a refusal leaves something": (Patch(UnitOfWork, "decide", refusal_keeps_what_came_before), "I6"),
    "I7 a version is skipped": (Patch(unit_of_work, "record", skips_a_version), "I7"),
    "I7 the chain is cut": (Patch(unit_of_work, "record", forgets_the_hash), "I7"),
    "I7 time runs backwards": (Patch(unit_of_work, "record", runs_backwards), "I7"),
    "I7 the log says something else than the state": (Patch(unit_of_work, "record", writes_another_time), "I7"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    """The random histories fail, and name the invariant that the fault breaks."""
    patch, named = FAULTS[fault]
    with getattr(patch, "patcher", patch), pytest.raises(AssertionError, match=rf"^(?:{named})"):
        run_histories(MOST_EXAMPLES, shrink=False)


def test_faults_are_gone_afterwards():
    """The patches of this module leave nothing behind."""
    assert recording.record is vars(unit_of_work)["record"]
    assert not isinstance(idempotency.fingerprint, mock.NonCallableMock)
    run_histories(5)
