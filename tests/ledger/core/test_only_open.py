"""What the operator's own hands may and may not: the job that closes abandoned bets, and the end of launched sessions."""

from dataclasses import replace

from ledger.core.players import SessionEnded
from ledger.core.policy import REVERSE
from ledger.core.rollbacks import BetRolledBack
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import ask, other, session, wallet
from tests.support.story import given


def only_open(command):
    return replace(command, only_open=True)


def test_an_open_bet_is_closed():
    """By a rollback or by a win of nothing."""
    scene = given(wallet(), session(), ask.bet("2"))
    scene.when(only_open(ask.rollback())).then(BetRolledBack, ("cash", 200), ("held", -200)).and_wallet(cash=1000)
    scene = given(wallet(), session(), ask.bet("2"))
    scene.when(only_open(ask.settle("0"))).then(BetSettled, ("house", 200), ("held", -200)).and_wallet(cash=800)


def test_whatever_ended_it_stays():
    """A settlement and the end of a round alike; without the word, the policy decides."""
    for end in (ask.settle("5"), ask.finish("r1")):
        scene = given(wallet(), session(), ask.bet("2"), end).under(rollback_of_settled=REVERSE)
        scene.when(only_open(ask.rollback())).then_refused("BET_ALREADY_SETTLED", bet_id="b1")
        scene.when(only_open(ask.settle("0"))).then_refused("BET_ALREADY_SETTLED", bet_id="b1")
        scene.when(ask.rollback()).and_wallet(cash=1000)


def test_the_operator_ends_what_he_launched():
    """A session of another integration of their tenant; nobody else's."""
    end = replace(other.end_session(), by_operator=True)
    given(wallet(), session()).when(other.end_session()).then_refused("SESSION_NOT_FOUND")
    given(wallet(), session()).when(end).then(SessionEnded)
    foreign = replace(session(), tenant_id="zeta")
    given(wallet(), foreign).when(end).then_refused("SESSION_NOT_FOUND")
