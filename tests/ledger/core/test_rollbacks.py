"""Rollbacks of bets and of wins, of rollbacks, and of what is not known yet; and what is final."""

import pytest

from ledger.core.bets import BetAuthorized, BetFinalized
from ledger.core.policy import ACKNOWLEDGE, AT_AUTHORIZATION, REFUND, REFUSE, REVERSE, Policy
from ledger.core.rollbacks import BetReinstated, BetRolledBack, BetTombstoned, WinReversed
from ledger.core.state import OPEN, ROLLED_BACK, TOMBSTONED
from ledger.core.wins import Awarded, BetSettled
from tests.ledger.core.scene import SESSIONLESS, ask, operator, other, session, stranger, wallet
from tests.support.story import given

INTEGRATION = "acme/eu/spin"


def played(*more, cash=1000, **accounts):
    story = given(wallet(cash, **accounts), ask.debit(), *more, policy=SESSIONLESS)
    return story.under(rollback_of_win=REVERSE)


def status(story, bet_id="b1"):
    bet = story.state.bet(INTEGRATION, bet_id)
    assert bet
    return bet.status


# Of a bet


def test_a_rollback_returns_the_stake():
    """As if the bet had never been."""
    story = given(wallet(), session(), ask.bet()).when(ask.rollback())
    story.then(
        BetRolledBack,
        ("held", -200),
        ("cash", 200),
        stake_minor=200,
        win_reversed_minor=0,
        undoes=[],
        was_open=True,
        reason="void",
    )
    story.and_wallet(cash=1000)


def test_a_repeated_rollback_is_true_already():
    """Under another key it names the first one's id and moves nothing."""
    story = given(wallet(), session(), ask.bet()).when(ask.rollback())
    rollback_id = story.result["rollback_id"]
    story.when(ask.rollback()).then_nothing(status="rolled_back", rollback_id=rollback_id).and_wallet(cash=1000)
    story.when(ask.rollback(round_id="r9")).then_nothing(rollback_id=rollback_id)


def test_a_rollback_may_leave_the_round_out_but_not_get_it_wrong():
    """What is said must fit."""
    story = (
        given(wallet(), session(), ask.bet())
        .when(ask.rollback(round_id="r2"))
        .then_refused("ROUND_MISMATCH", expected="r1")
    )
    story.when(ask.rollback(round_id=None)).then(BetRolledBack, ("held", -200), ("cash", 200), round_id="r1")


def test_a_settled_bet_is_not_rolled_back_unless_the_policy_says_so():
    """With the policy the win is taken back, once."""
    story = (
        given(wallet(), session(), ask.bet(), ask.settle("5"))
        .when(ask.rollback())
        .then_refused("BET_ALREADY_SETTLED", bet_id="b1")
    )
    story.under(rollback_of_settled=REVERSE).when(ask.rollback(round_id="r2")).then_refused("ROUND_MISMATCH")
    story.when(ask.rollback()).then(
        BetRolledBack, ("house", 300), ("cash", -300), win_reversed_minor=500, stake_minor=200
    )
    story.and_wallet(cash=1000)
    story.when(ask.settle("5")).then_refused("BET_ROLLED_BACK")
    story.when(ask.rollback()).then_nothing(status="rolled_back")


def test_the_rollback_of_a_settlement_names_it():
    """I4: a bet leaves an end state only by an event that names what it undoes."""
    story = given(wallet(), session(), ask.bet()).when(ask.settle("5"))
    settlement_id = story.result["settlement_id"]
    story.under(rollback_of_settled=REVERSE).when(ask.rollback()).then(
        BetRolledBack, ("house", 300), ("cash", -300), undoes=[settlement_id]
    )
    settlement = story.state.settlement("acme/eu/spin", settlement_id)
    assert settlement
    assert settlement.undone_by == story.result["rollback_id"]


def test_a_win_that_was_spent_becomes_a_debt():
    """I3: cash never goes below zero; what is missing is a receivable, whatever bonus is there."""
    story = given(wallet(200, bonus=70), session(), policy=Policy(rollback_of_settled=REVERSE))
    story.when(ask.bet("2")).when(ask.settle("5")).when(ask.withdraw("4")).and_wallet(cash=100, bonus=70)
    story.when(ask.rollback()).then(BetRolledBack, ("house", 300), ("cash", -100), ("receivable", -200))
    story.and_wallet(bonus=70, receivable=-200)


def test_a_lost_bet_undone_returns_its_stake_to_where_it_came_from():
    """The same in both captures."""
    for capture in ("settlement", "authorization"):
        policy = Policy(rollback_of_settled=REVERSE, capture=capture)
        story = given(wallet(150, bonus=100), session(), ask.bet("2"), ask.settle("0"), policy=policy).and_wallet(
            bonus=50
        )
        story.when(ask.rollback()).then(BetRolledBack, ("house", -200), ("cash", 150), ("bonus", 50)).and_wallet(
            cash=150, bonus=100
        )


def test_a_netted_win_can_be_taken_back():
    """A win that went into a debt comes back as that debt."""
    story = given(wallet(200, receivable=-300), session(), policy=Policy(rollback_of_settled=REVERSE))
    story.when(ask.bet("2")).when(ask.settle("3")).and_wallet()
    story.when(ask.rollback()).then(BetRolledBack, ("house", 100), ("receivable", -100)).and_wallet(receivable=-100)


def test_a_rollback_before_its_bet_leaves_a_tombstone():
    """The late bet is refused for good, its settlement too, and a second rollback is true already."""
    story = (
        given(wallet(), session()).when(ask.rollback()).then(BetTombstoned, bet_id="b1", round_id="r1", reason="void")
    )
    rollback_id = story.result["rollback_id"]
    story.when(ask.bet()).then_refused("BET_TOMBSTONED", bet_id="b1")
    story.when(ask.settle("1")).then_refused("BET_TOMBSTONED", bet_id="b1")
    story.when(ask.rollback()).then_nothing(status="tombstoned", rollback_id=rollback_id).and_wallet(cash=1000)


def test_a_tombstone_belongs_to_one_integration():
    """Another provider may use the same bet id."""
    story = (
        given(wallet(), session(), ask.rollback()).when(other.bet(session_id="s1")).then_refused("SESSION_NOT_FOUND")
    )
    reel = session("s2", integration_id="acme/eu/reel")
    given(wallet(), reel, ask.rollback()).when(other.bet(session_id="s2")).then(
        BetAuthorized, ("cash", -200), ("held", 200)
    )
    assert story


def test_a_tombstone_goes_to_the_player_that_its_session_names():
    """It stands in that player's stream."""
    story = given(wallet(), session()).when(ask.rollback(session_id="s1")).then(BetTombstoned)
    bet = story.state.bet("acme/eu/spin", "b1")
    assert bet
    assert (bet.status, bet.player_id) == (TOMBSTONED, "ann")


@pytest.mark.parametrize("session_id", [None, "s1", "unknown"])
def test_a_session_of_another_integration_names_no_player(session_id):
    """A rollback with a stranger's session buries the bet in the integration's own stream."""
    story = given(wallet(), session()).when(stranger.rollback(session_id=session_id)).then(BetTombstoned)
    bet = story.state.bet("bolt/eu/spin", "b1")
    assert bet
    assert (bet.tenant_id, bet.player_id) == ("bolt", None)


# Of a bet that was paid for


PAID = {
    "by its settlement": (ask.settle("5", win_id="w1"),),
    "by a win that did not end it": (ask.settle("5", win_id="w1", ends_bet=False),),
    "by a win of its round": (ask.win("5", "w1"),),
}


@pytest.mark.parametrize("paid", PAID)
def test_a_paid_bet_stays_or_is_acknowledged(paid):
    """`refuse` and `acknowledge` move nothing, whoever paid the bet."""
    story = played(*PAID[paid]).when(ask.rollback()).then_refused("BET_ALREADY_SETTLED")
    story.under(rollback_of_settled=ACKNOWLEDGE).when(ask.rollback()).then_acknowledged()


@pytest.mark.parametrize(("paid", "held"), [(name, 0 if name == "by its settlement" else 200) for name in PAID])
def test_a_paid_bet_is_refunded(paid, held):
    """`refund` gives the stake back; the wins stand, until rollbacks of their own."""
    story = played(*PAID[paid]).under(rollback_of_settled=REFUND).when(ask.rollback())
    source = ("held", -200) if held else ("house", -200)
    story.then(BetRolledBack, source, ("cash", 200), undoes=[], win_reversed_minor=0, was_open=bool(held))
    story.when(ask.undo_win("w1")).then(WinReversed, ("house", 500), ("cash", -500), reopens_bet=False)
    story.and_wallet(cash=1000)
    assert status(story) == ROLLED_BACK


@pytest.mark.parametrize("paid", ["by its settlement", "by a win that did not end it"])
def test_a_paid_bet_is_reversed(paid):
    """`reverse` takes its own wins back with it, each by name."""
    story = played(*PAID[paid]).under(rollback_of_settled=REVERSE).when(ask.rollback())
    assert story.decision
    story.and_wallet(cash=1000)
    story.when(ask.undo_win("w1")).then_nothing(status="rolled_back")


def test_a_reversal_leaves_the_wins_of_the_round():
    """Nobody knows whose they are: they have rollbacks of their own."""
    story = played(ask.settle("1"), ask.win("5")).under(rollback_of_settled=REVERSE).when(ask.rollback())
    story.then(BetRolledBack, ("house", -100), ("cash", 100), win_reversed_minor=100).and_wallet(cash=1500)


def test_a_win_of_another_bet_pays_nothing_for_this_one():
    """Each bet of a round stands for itself where wins name their bets."""
    story = played(ask.debit(bet_id="b2"), ask.settle("5", "b2"))
    story.when(ask.rollback()).then(BetRolledBack, ("held", -200), ("cash", 200))


def test_a_bet_that_its_round_ended_was_not_paid_for():
    """Its stake comes back from the house, whatever the policy says of paid bets."""
    story = played(ask.finish()).when(ask.rollback())
    story.then(BetRolledBack, ("house", -200), ("cash", 200), was_open=False)


def test_a_rollback_in_another_currency_is_a_mismatch():
    """What was staked or won in one currency is never undone in another."""
    story = played(ask.win("5", "w1"))
    story.when(ask.rollback(currency="USD")).then_refused("CURRENCY_MISMATCH", currency="USD", expected="EUR")
    story.when(ask.undo_win("w1", currency="USD")).then_refused("CURRENCY_MISMATCH", currency="USD", expected="EUR")


def test_the_rollback_of_another_player_s_bet_is_not_found():
    """The player that a rollback names must be the bet's or the win's."""
    story = played(wallet(player="bob"), ask.settle("5", win_id="w1"))
    story.when(ask.rollback(player="bob")).then_refused("BET_NOT_FOUND", bet_id="b1")
    story.when(ask.undo_win(player="bob")).then_refused("BET_NOT_FOUND", bet_id="w1")


def test_a_bet_without_a_round_finds_its_wins():
    """Sports bets have no round, and are paid for all the same."""
    bet, win = ask.debit(round_id=None), ask.settle("5", round_id=None, ends_bet=False)
    story = given(wallet(), bet, win, policy=SESSIONLESS).when(ask.rollback(round_id=None))
    story.then_refused("BET_ALREADY_SETTLED")


# Of a win


@pytest.mark.parametrize("won", [ask.settle("5", win_id="w1"), ask.win("5"), ask.award("5", "w1")])
def test_a_win_stays_is_acknowledged_or_goes(won):
    """By policy; and it goes once."""
    story = (
        played(won).under(rollback_of_win=REFUSE).when(ask.undo_win()).then_refused("WIN_NOT_REVERSIBLE", win_id="w1")
    )
    story.under(rollback_of_win=ACKNOWLEDGE).when(ask.undo_win()).then_acknowledged()
    story.under(rollback_of_win=REVERSE).when(ask.undo_win(target="any"))
    rollback_id = story.result["rollback_id"]
    story.when(ask.undo_win()).then_nothing(status="rolled_back", rollback_id=rollback_id)


def test_a_win_that_ended_its_bet_opens_it_again():
    """The stake is held again, and another settlement may end the bet, any number of times."""
    story = played()
    for number in ("w1", "w2", "w3"):
        story.when(ask.settle("5", win_id=number)).then(BetSettled, ("held", -200), ("house", -300), ("cash", 500))
        story.when(ask.undo_win(number)).then(
            WinReversed, ("house", 300), ("held", 200), ("cash", -500), reopens_bet=True, held_minor=200
        )
        assert status(story) == OPEN
    story.and_wallet(cash=800, held=200)


def test_what_was_won_in_a_session_is_taken_back_there():
    """Also a win that names its round alone: what a session shows as won is what it paid."""
    story = given(wallet(), session(), policy=Policy(rollback_of_win=REVERSE)).when(ask.bet(player="ann"))
    story.when(ask.win("5")).then(BetSettled, ("house", -500), ("cash", 500), bet_id=None, session_id="s1")
    story.when(ask.undo_win()).then(WinReversed, ("house", 500), ("cash", -500), bet_id=None, session_id="s1")


def test_a_captured_stake_stays_with_the_house_when_the_bet_opens_again():
    """Under capture at the authorization nothing is ever held."""
    story = given(wallet(), policy=SESSIONLESS).under(capture=AT_AUTHORIZATION, rollback_of_win=REVERSE)
    story.when(ask.debit()).when(ask.settle("5", win_id="w1")).when(ask.undo_win())
    story.then(WinReversed, ("house", 500), ("cash", -500), reopens_bet=True, held_minor=0).and_wallet(cash=800)


def test_an_award_goes_back_to_who_paid_it():
    """The bonus budget, the pool, the house."""
    story = played(ask.award("5", kind="jackpot")).when(ask.undo_win("a1"))
    story.then(WinReversed, ("jackpot:spin", 500), ("cash", -500), bet_id=None, account="jackpot:spin")


def test_a_spent_win_becomes_a_debt_or_is_refused():
    """By policy; the next win pays the debt first."""
    story = played(ask.win("5"), operator.withdraw("12")).under(shortfall=REFUSE).when(ask.undo_win())
    story.then_refused("INSUFFICIENT_FUNDS", asked="5.00", available="1.00")
    story.under(shortfall="receivable").when(ask.undo_win())
    story.then(WinReversed, ("house", 500), ("cash", -100), ("receivable", -400))
    story.when(ask.award("5")).then(Awarded, ("bonus_cost", -500), ("receivable", 400), ("cash", 100))


def test_a_reversed_bet_may_not_leave_a_debt_where_the_policy_says_so():
    """Its stake counts for what is taken back."""
    story = played(ask.settle("5"), operator.withdraw("12")).under(rollback_of_settled=REVERSE, shortfall=REFUSE)
    story.when(ask.rollback()).then_refused("INSUFFICIENT_FUNDS", asked="3.00", available="1.00")


def test_a_demo_win_goes_without_money():
    """As it came."""
    story = given(wallet(), session(mode="demo"), ask.bet(), ask.settle("5", win_id="w1")).under(
        rollback_of_win=REVERSE
    )
    story.when(ask.undo_win()).then(WinReversed, mode="demo", amount_minor=500, held_minor=0).and_wallet(cash=1000)


# Of what is not known


@pytest.mark.parametrize("target", ["bet", "win", "any"])
def test_a_rollback_of_nothing_leaves_a_tombstone(target):
    """In the player's stream where the player is named, with the wallet's currency where there is one."""
    story = given(wallet()).when(ask.rollback("x", target=target, player="ann", currency="EUR"))
    story.then(BetTombstoned, bet_id="x", currency="EUR")
    story.when(ask.rollback("x", target=target)).then_nothing(status="tombstoned")
    given(wallet()).when(ask.rollback("x", target=target, player="ann", currency="USD")).then(
        BetTombstoned, currency=None
    )


def test_a_win_that_has_only_its_bet_s_id_is_not_found():
    """No tombstone may take the bet's place; the provider asks again once the win is there."""
    story = played().when(ask.undo_win("b1")).then_refused("BET_NOT_FOUND", bet_id="b1")
    story.when(ask.settle("5", win_id="b1")).when(ask.undo_win("b1"))
    story.then(WinReversed, ("house", 300), ("held", 200), ("cash", -500))


def test_a_bet_goes_before_a_win_of_the_same_id():
    """Where the rollback may name any of them."""
    story = played(ask.settle("5", win_id="b1")).under(rollback_of_settled=REVERSE).when(ask.rollback(target="any"))
    story.then(BetRolledBack, ("house", 300), ("cash", -300), undoes=["b1"])


# Of a rollback


@pytest.mark.parametrize("capture", ["settlement", AT_AUTHORIZATION])
def test_a_reinstated_bet_is_open_with_its_stake(capture):
    """Taken from where it was taken before: cash and bonus."""
    story = (
        given(wallet(150, bonus=100), policy=SESSIONLESS).under(capture=capture).when(ask.debit()).when(ask.rollback())
    )
    rollback_id = story.result["rollback_id"]
    goal = "held" if capture == "settlement" else "house"
    story.when(ask.reinstate()).then(
        BetReinstated, ("cash", -150), ("bonus", -50), (goal, 200), undoes=rollback_id, stake_minor=200
    )
    assert status(story) == OPEN
    story.when(ask.reinstate()).then_nothing(status="reinstated")
    story.when(ask.rollback()).and_wallet(cash=150, bonus=100)


def test_a_reinstated_stake_that_was_spent_becomes_a_debt():
    """The bet is older than the spending; its refund pays the debt first."""
    story = played(ask.rollback(), operator.withdraw("9")).when(ask.reinstate())
    story.then(BetReinstated, ("cash", -100), ("receivable", -100), ("held", 200)).and_wallet(held=200, receivable=-100)
    story.when(ask.rollback()).then(BetRolledBack, ("held", -200), ("receivable", 100), ("cash", 100))


def test_only_what_was_rolled_back_is_reinstated():
    """Not the unknown, and not a tombstone."""
    story = given(wallet()).when(ask.reinstate()).then_refused("BET_NOT_FOUND")
    story.when(ask.rollback()).when(ask.reinstate()).then_refused("BET_TOMBSTONED")


# What is final


@pytest.mark.parametrize("end", [ask.settle("5", win_id="w1"), ask.rollback()])
def test_a_final_bet_does_not_change(end):
    """Neither settled, nor rolled back, nor reinstated, nor robbed of its win; repeats of what is true are fine."""
    story = played(end).under(rollback_of_settled=REVERSE).when(ask.finalize()).then(BetFinalized, bet_id="b1")
    story.when(ask.finalize()).then_nothing(status="finalized")
    story.when(ask.settle("5")).then_refused("BET_FINAL", bet_id="b1")
    if status(story) == ROLLED_BACK:
        story.when(ask.rollback()).then_nothing(status="rolled_back")
        story.when(ask.reinstate()).then_refused("BET_FINAL")
    else:
        story.when(ask.rollback()).then_refused("BET_FINAL")
        story.when(ask.undo_win()).then_refused("BET_FINAL")


def test_only_an_ended_bet_becomes_final():
    """An open one still holds money."""
    story = played().when(ask.finalize()).then_refused("BET_OPEN", bet_id="b1")
    story.when(ask.finalize("b9")).then_refused("BET_NOT_FOUND")
    story.when(ask.rollback("b9")).when(ask.finalize("b9")).then_refused("BET_TOMBSTONED")
