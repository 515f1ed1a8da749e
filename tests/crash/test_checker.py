"""The checker can fail: each planted lie is found. A check that cannot fail proves nothing."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace

import psycopg
import pytest

from tests.crash.casino import Casino
from tests.support import checker
from tests.support.checker import Entry, Findings
from tests.support.load import AUTHORIZE, Call


@pytest.fixture(scope="module")
def truth(casino: Casino) -> tuple[list[Call], list[Entry]]:
    """What was asked of an honest system, and its log."""
    with casino.new_load(clients=8, pause_s=0.02) as load:
        load.until_answered(200)
    checker.wait_until_caught_up(casino.system)
    with psycopg.connect(casino.system.stack.ledger_database.url) as connection:
        return casino.history, list(checker._log(connection))


def test_an_answer_without_effect_and_an_effect_without_answer_are_found(truth: tuple[list[Call], list[Entry]]) -> None:
    """A yes whose event is gone, and an event that nobody asked for, are findings."""
    history, log = truth
    victim = next(call for call in history if call.operation == AUTHORIZE and call.accepted)
    assert _findings(lambda found: checker._check_effects(history, log, found)) == Counter()
    lost = [entry for entry in log if entry.record["idempotency_key"] != victim.key]
    assert _findings(lambda found: checker._check_effects(history, lost, found)) == Counter({"I6": 1})
    assert _findings(
        lambda found: checker._check_effects([call for call in history if call is not victim], log, found)
    )["I6"]


def test_a_doubled_event_is_found(truth: tuple[list[Call], list[Entry]]) -> None:
    """The same effect twice is found by the callers' books, by the versions and by the rule of one effect per key."""
    history, log = truth
    twice = [*log, next(entry for entry in log if entry.record["event_type"] == "bet.authorized")]
    found = _findings(lambda found: (checker._check_log(twice, found), checker._check_effects(history, twice, found)))
    assert found.keys() >= {"I4", "I5", "I7"}


def test_a_lie_about_money_is_found(casino: Casino, truth: tuple[list[Call], list[Entry]]) -> None:
    """One cent more in one posting breaks the zero sum, the books, the stored wallet and the bank."""
    history, log = truth
    entry = next(entry for entry in log if entry.record["event_type"] == "bet.authorized")
    record = deepcopy(entry.record)
    record["postings"][0]["amount_minor"] += 1
    lied = [replace(entry, record=record) if one is entry else one for one in log]
    with psycopg.connect(casino.system.stack.ledger_database.url) as connection:
        found = _findings(
            lambda found: (
                checker._check_log(lied, found),
                checker._check_stored(connection, lied, found),
                checker._check_bank(history, casino.system.players, lied, found),
            )
        )
    assert found.keys() >= {"I1", "I2", "I7", "bank"}


def test_another_answer_under_the_same_key_is_found(truth: tuple[list[Call], list[Entry]]) -> None:
    """Two different answers under one key are a finding, and so is a call that never heard one."""
    history, _ = truth
    call = next(call for call in history if call.accepted)
    other = replace(call.attempts[-1], raw=call.attempts[-1].raw + b" ")
    assert _findings(
        lambda found: checker._check_history([replace(call, attempts=[*call.attempts, other])], None, found)
    ) == Counter({"I5": 1})
    assert _findings(lambda found: checker._check_history([replace(call, attempts=[])], None, found)) == Counter(
        {"never answered": 1}
    )


def _findings(check) -> Counter[str]:
    """How many of each kind."""
    found = Findings()
    check(found)
    return Counter(text.split(":")[0] for text in found.texts)
