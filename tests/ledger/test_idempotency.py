"""Repeats, decided without a database: what makes two requests the same, and what a key stands for already."""

from dataclasses import replace

import pytest
from uuid_utils import uuid7

from ledger.core.decision import Refusal
from ledger.core.policy import Policy
from ledger.idempotency import MISMATCH, Remembered, Request, consumes_key, fingerprint, new_among_known
from ledger.outcome import Outcome
from ledger.streams import player_stream
from tests.support.commands import NOW, Asks, amount

ask = Asks()
ANN = player_stream("acme", "ann")


def request(command) -> Request:
    return Request.of(command, ANN)


def remembered(one: Request, refusal_code: str | None = None) -> Remembered:
    return Remembered(one.fingerprint, Outcome(one.command.kind, refusal_code))


def test_a_repeat_has_the_fingerprint_of_the_first():
    """What we add ourselves does not count: our id, the time, the trace; nor does the key, which is compared by itself."""
    bet = ask.bet("2", "b1")
    again = replace(bet, origin=ask.origin("other"), command_id=str(uuid7()), received_at=NOW + 1)
    assert fingerprint(again) == fingerprint(bet)


@pytest.mark.parametrize(
    "change",
    [{"bet_id": "b2"}, {"round_id": "r2"}, {"amount": amount("2.01")}, {"currency": "USD"}, {"session_id": "s2"}],
)
def test_other_content_has_another_fingerprint(change):
    """Each field of a bet that a provider says counts."""
    bet = ask.bet("2", "b1", "r1")
    assert fingerprint(replace(bet, **change)) != fingerprint(bet)


def test_an_amount_counts_by_its_value():
    """2, 2.0 and 2.00 are one stake, however a provider spells it in a repeat."""
    assert len({fingerprint(ask.bet(text)) for text in ("2", "2.0", "2.00")}) == 1


def test_kinds_of_commands_never_share_a_fingerprint():
    """Even where all their fields agree."""
    assert fingerprint(ask.deposit("1")) != fingerprint(ask.withdraw("1"))


def test_a_renewed_session_is_no_other_content():
    """Of a command that names its player the session does not count; of one that names none it does."""
    named, unnamed = ask.bet(player="ann"), ask.bet()
    assert fingerprint(named) == fingerprint(replace(named, session_id="s2"))
    assert fingerprint(unnamed) != fingerprint(replace(unnamed, session_id="s2"))


def test_a_key_holds_in_its_scope_and_operation_only():
    """The same key of another integration, or of another class of operation, is another key."""
    requests = (ask.bet(key="k"), Asks(integration_id="acme/eu/reel").bet(key="k"), ask.start_session(key="k"))
    first, other, session = (request(one).key for one in requests)
    assert first == request(ask.bet(bet_id="b2", key="k")).key
    assert first != other
    assert first.idempotency_key == other.idempotency_key == session.idempotency_key


def test_a_repeat_hears_the_outcome_of_the_first():
    """The whole of it, and that it is one."""
    first = request(ask.bet(key="k"))
    outcome = Outcome(first.command.kind, result={"status": "authorized"}, answer=b"yes")
    assert Remembered(first.fingerprint, outcome).repeat(first) == replace(outcome, replayed=True)


def test_other_content_under_a_known_key_is_a_mismatch():
    """It names the key, and is no repeat."""
    first, other = request(ask.bet(key="k")), request(ask.bet("3", key="k"))
    heard = remembered(first).repeat(other)
    assert (heard.refusal_code, heard.details, heard.replayed) == (MISMATCH, {"idempotency_key": "k"}, False)


def test_content_that_nobody_knows_any_more_is_no_mismatch():
    """Where only the topics brought a key back, every request under it hears the outcome."""
    first, other = request(ask.bet(key="k")), request(ask.bet("3", key="k"))
    assert replace(remembered(first), fingerprint=None).repeat(other).replayed


def test_a_new_request_among_known_ones_is_named():
    """Where all are new, all are known, or what is known was refused, there is none to name."""
    one, two = request(ask.bet()), request(ask.bet(bet_id="b2"))
    known = {one.key: remembered(one)}
    assert new_among_known([one, two], known) is two
    assert new_among_known([two, one], known) is two
    assert new_among_known([one, two], {}) is None
    assert new_among_known([one], known) is None
    assert new_among_known([one, two], {one.key: remembered(one, "INSUFFICIENT_FUNDS")}) is None


@pytest.mark.parametrize(
    ("code", "final"), [("INSUFFICIENT_FUNDS", True), ("BET_NOT_FOUND", False), ("SESSION_NOT_FOUND", False)]
)
def test_only_rules_have_the_final_word_on_a_key(code, final):
    """What was not found may come later; and no refusal is final under a policy that keeps none."""
    assert consumes_key(Refusal(code, {}), Policy()) is final
    assert not consumes_key(Refusal(code, {}), Policy(refusal_consumes_key=False))
