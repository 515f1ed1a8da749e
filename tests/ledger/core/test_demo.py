"""Demo play: the same rules, and no money."""

from ledger.core.bets import BetAuthorized
from ledger.core.money import MAX_BALANCE_MINOR
from ledger.core.policy import REVERSE, Policy
from ledger.core.rollbacks import BetRolledBack
from ledger.core.state import DEMO
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import ask, session, wallet
from tests.support.story import given


def test_demo_moves_no_money():
    """Not the stake, which may be more than there is, nor the win, nor any rollback; every event still says what was played."""
    story = given(wallet(100), session(mode=DEMO), policy=Policy(rollback_of_settled=REVERSE))
    story.when(ask.bet("500")).then(
        BetAuthorized, stake_minor=50000, stake_cash_minor=0, stake_bonus_minor=0, mode=DEMO
    ).and_wallet(cash=100)
    story.when(ask.settle("900")).then(BetSettled, win_minor=90000, mode=DEMO).and_wallet(cash=100)
    story.when(ask.rollback()).then(BetRolledBack, win_reversed_minor=90000, mode=DEMO).and_wallet(cash=100)
    story.when(ask.bet("1", "b2")).when(ask.rollback("b2")).then(BetRolledBack, mode=DEMO).and_wallet(cash=100)


def test_demo_wins_do_not_touch_the_balance_cap():
    """What moves no money needs no room."""
    story = given(wallet(MAX_BALANCE_MINOR), session(mode=DEMO), ask.bet("500")).when(ask.settle("900"))
    story.then(BetSettled, mode=DEMO).and_wallet(cash=MAX_BALANCE_MINOR)


def test_a_demo_bet_is_refused_like_a_real_one():
    """Scale, currency and duplicates are checked in demo too."""
    story = given(wallet(), session(mode=DEMO)).when(ask.bet("1.001")).then_refused("AMOUNT_SCALE")
    story.when(ask.bet(currency="USD")).then_refused("CURRENCY_MISMATCH")
    story.when(ask.bet("1")).when(ask.bet("1")).then_refused("DUPLICATE")
