"""A player's first wallet fixes the region for ever."""

import pytest

from ledger.core.bets import BetAuthorized, BetFinalized
from ledger.core.policy import Policy
from ledger.core.rollbacks import BetRolledBack, BetTombstoned, WinReversed
from ledger.core.rounds import RoundFinished
from ledger.core.state import FREE, Player
from ledger.core.wallets import Deposited, WalletOpened
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import SESSIONLESS, ask, operator, session, wallet
from tests.support.commands import Asks
from tests.support.story import given

GENEROUS = Policy(session="ignored", rollback_of_win="reverse", win_needs_bet=False)
cashier_abroad = Asks(integration_id=None, region="us")
abroad = Asks(integration_id="acme/us/spin", region="us")
moved = Asks(region="us")
"""The integration that took the bets, as if its region were another one than its players'."""

EVERY_KIND = [
    cashier_abroad.open_wallet(currency="USD"), cashier_abroad.deposit(), cashier_abroad.withdraw("1"),
    cashier_abroad.adjust(), cashier_abroad.restrict(),
    abroad.adjust(), abroad.start_session(), abroad.debit(), abroad.debit(stake_kind=FREE), abroad.win(),
    abroad.award(), abroad.rollback(player="ann"), abroad.undo_win(player="ann"), abroad.finish(),
    abroad.debit(currency="USD", wallet_currency="EUR"), moved.bet(), moved.end_session(), moved.rollback(session_id="s1"),
]  # fmt: skip


@pytest.mark.parametrize("command", EVERY_KIND, ids=lambda command: command.kind)
def test_nothing_of_another_region_is_taken(command):
    """Whatever names the player, or the player's session: nothing moves, nothing opens, no second region begins."""
    story = given(wallet(), session(), policy=GENEROUS).when(command)
    story.then_refused("REGION_MISMATCH", player_id="ann", region="us")


def test_the_first_wallet_fixes_the_region():
    """Another wallet of the same region opens; one elsewhere never does, nor is the refusal about the player's region."""
    story = given().when(operator.open_wallet()).then(WalletOpened)
    assert story.state.player("acme", "ann") == Player("acme", "ann", "eu")
    story.when(cashier_abroad.deposit()).then_refused("REGION_MISMATCH")
    story.when(operator.open_wallet(currency="USD")).then(WalletOpened)
    story.when(operator.deposit()).then(Deposited, ("cash", 1000), ("cashier", -1000))
    story.when(cashier_abroad.open_wallet(currency="JPY", exponent=0)).then_refused("REGION_MISMATCH")


def test_a_stray_rollback_fixes_nothing():
    """A provider who names somebody that is not there yet keeps nobody from opening a wallet at home."""
    story = given(policy=SESSIONLESS).when(abroad.rollback(player="ann")).then(BetTombstoned)
    story.when(operator.open_wallet()).then(WalletOpened)
    story.when(operator.deposit()).then(Deposited, ("cash", 1000), ("cashier", -1000))


def test_what_was_taken_is_settled_whatever_the_region():
    """Nothing won is ever lost for it: wins, refunds and the end of a bet, its round and its win stand on the bet."""
    story = given(wallet(), policy=GENEROUS).under(capture="settlement")
    for bet_id in ("b1", "b2", "b3"):
        story.when(ask.debit(bet_id=bet_id)).then(BetAuthorized, ("cash", -200), ("held", 200))
    story.when(moved.win("1")).then(BetSettled, ("house", -100), ("cash", 100))
    story.when(moved.undo_win()).then(WinReversed, ("house", 100), ("cash", -100))
    story.when(moved.settle("3")).then(BetSettled, ("held", -200), ("house", -100), ("cash", 300))
    story.when(moved.finalize()).then(BetFinalized)
    story.when(moved.rollback("b2")).then(BetRolledBack, ("held", -200), ("cash", 200))
    story.when(moved.finish()).then(RoundFinished, ("held", -200), ("house", 200))
    story.when(moved.debit(bet_id="b4")).then_refused("REGION_MISMATCH")


def test_nobody_is_locked_who_is_not_known():
    """A slip of the pen opens no stream."""
    given().when(operator.restrict()).then_refused("PLAYER_NOT_FOUND", player_id="ann")
