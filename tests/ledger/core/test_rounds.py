"""The end of a round."""

import pytest

from ledger.core.bets import BetAuthorized
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION
from ledger.core.rounds import RoundFinished
from ledger.core.state import OPEN, SETTLED
from tests.ledger.core.scene import SESSIONLESS, ask, other, session, wallet
from tests.support.story import given

INTEGRATION = "acme/eu/spin"


def status(story, bet_id):
    bet = story.state.bet(INTEGRATION, bet_id)
    assert bet
    return bet.status


def test_the_end_of_a_round_takes_what_is_held():
    """Open bets are settled, those that ended before stay as they are; a second end changes nothing."""
    story = given(wallet(), ask.debit(), ask.debit("3", "b2"), ask.settle("1", "b2"), policy=SESSIONLESS)
    story.when(ask.finish()).then(RoundFinished, ("held", -200), ("house", 200), currency="EUR")
    assert [status(story, bet_id) for bet_id in ("b1", "b2")] == [SETTLED, SETTLED]
    story.when(ask.finish()).then_nothing(status="finished").and_wallet(cash=600)


def test_a_captured_round_ends_without_money():
    """The house has the stakes already."""
    story = given(wallet(), policy=SESSIONLESS).under(capture=AT_AUTHORIZATION).when(ask.debit()).when(ask.finish())
    story.then(RoundFinished)
    assert status(story, "b1") == SETTLED


def test_an_unknown_round_is_as_good_as_over():
    """There is nothing to end, and no bet to remember."""
    given(wallet()).when(ask.finish()).then_nothing(status="finished")
    given(wallet(), ask.rollback(player="ann")).when(ask.finish()).then_nothing(status="finished")


def test_nothing_is_staked_in_a_finished_round():
    """Unless the policy accepts it; other rounds, and bets without a round, go on."""
    story = given(wallet(), ask.debit(), ask.finish(), policy=SESSIONLESS)
    story.when(ask.debit(bet_id="b2")).then_refused("ROUND_FINISHED", round_id="r1")
    for more in ({"round_id": "r2"}, {"round_id": None}):
        story.when(ask.debit(bet_id=f"b{more}", **more)).then(BetAuthorized, ("cash", -200), ("held", 200))
    story.under(bet_after_round_end=ACCEPT).when(ask.debit(bet_id="b2"))
    story.then(BetAuthorized, ("cash", -200), ("held", 200))
    story.when(ask.finish()).then(RoundFinished, ("held", -200), ("house", 200))


def test_a_round_belongs_to_its_player():
    """A live table's round has many players, and two providers may name rounds alike: each ends for itself."""
    story = given(wallet(), wallet(player="bob"), ask.debit(), ask.debit(bet_id="b2", player="bob"), policy=SESSIONLESS)
    story.when(other.debit()).when(ask.finish()).then(RoundFinished, ("held", -200), ("house", 200))
    assert status(story, "b2") == OPEN
    story.when(ask.debit(bet_id="b3", player="bob")).then(BetAuthorized, ("cash", -200), ("held", 200))
    story.and_wallet(held=200, cash=600)


def test_a_bet_opened_again_is_ended_by_the_next_end():
    """A win is taken back after the end of its round: the stake must not stay held."""
    story = given(wallet(), ask.debit(), ask.settle("5", win_id="w1"), ask.finish(), policy=SESSIONLESS)
    story.under(rollback_of_win="reverse").when(ask.undo_win()).and_wallet(cash=800, held=200)
    story.when(ask.finish()).then(RoundFinished, ("held", -200), ("house", 200)).and_wallet(cash=800)


def test_one_end_moves_one_wallet():
    """Bets that the same player staked from another wallet wait for the end in their currency."""
    story = given(wallet(), wallet(currency="JPY", exponent=0), ask.debit(), policy=SESSIONLESS)
    story.when(ask.debit("5", "b2", currency="JPY")).when(ask.finish())
    story.then(RoundFinished, ("held", -200), ("house", 200))
    story.when(ask.finish(currency="JPY")).then(RoundFinished, ("held", -5), ("house", 5))


@pytest.mark.parametrize("stake", [{"stake_kind": "free"}, {"session_id": "s1"}])
def test_what_nobody_paid_ends_without_money(stake):
    """Free bets and demo bets."""
    story = given(
        wallet(), session(mode="demo"), ask.bet(**({"session_id": None} | stake), player="ann"), policy=SESSIONLESS
    )
    story.when(ask.finish()).then(RoundFinished)
    assert status(story, "b1") == SETTLED
