"""Wins of bets, of rounds and of nothing at all."""

import pytest

from ledger.core.money import MAX_BALANCE_MINOR
from ledger.core.policy import ACCEPT, ACKNOWLEDGE, AT_AUTHORIZATION
from ledger.core.rounds import RoundFinished
from ledger.core.state import OPEN, SETTLED, Bet
from ledger.core.wins import Awarded, BetSettled
from tests.ledger.core.scene import SESSIONLESS, ask, other, session, wallet
from tests.support.story import given

INTEGRATION = "acme/eu/spin"


def played(*more, cash=1000):
    return given(wallet(cash), ask.debit(), *more, policy=SESSIONLESS)


# Of a bet


def test_a_win_pays_and_captures():
    """One entry: the stake to the house, the win to the player."""
    story = given(wallet(), session(), ask.bet()).when(ask.settle("5"))
    story.then(
        BetSettled,
        ("held", -200),
        ("house", -300),
        ("cash", 500),
        stake_minor=200,
        win_minor=500,
        round_id="r1",
        game_id="dice",
    )
    story.and_wallet(cash=1300)


def test_a_win_of_nothing_closes_the_bet():
    """The house keeps the stake."""
    story = given(wallet(), session(), ask.bet()).when(ask.settle("0"))
    story.then(BetSettled, ("held", -200), ("house", 200), win_minor=0).and_wallet(cash=800)


def test_a_win_of_the_stake_leaves_the_house_alone():
    """Accounts that do not move have no posting."""
    given(wallet(), session(), ask.bet()).when(ask.settle("2")).then(BetSettled, ("held", -200), ("cash", 200))


def test_an_unknown_bet_cannot_be_settled():
    """Also one that another integration made."""
    given().when(ask.settle()).then_refused("BET_NOT_FOUND", bet_id="b1")
    given(wallet(), session(), ask.bet()).when(other.settle()).then_refused("BET_NOT_FOUND", bet_id="b1")


def test_a_bet_is_settled_once():
    """I4: a second settlement is refused."""
    given(wallet(), session(), ask.bet(), ask.settle()).when(ask.settle("1")).then_refused(
        "BET_ALREADY_SETTLED", bet_id="b1"
    )


def test_a_bet_rolled_back_cannot_be_settled():
    """I4: and the refusal says why."""
    given(wallet(), session(), ask.bet(), ask.rollback()).when(ask.settle("1")).then_refused(
        "BET_ROLLED_BACK", bet_id="b1"
    )


def test_a_settlement_names_the_round_of_its_bet():
    """Another round is refused, with the right one named."""
    given(wallet(), session(), ask.bet()).when(ask.settle(round_id="r2")).then_refused(
        "ROUND_MISMATCH", round_id="r2", expected="r1"
    )


def test_a_settlement_is_in_the_currency_of_its_bet():
    """Although the player has a wallet in the other."""
    story = given(wallet(), wallet(currency="USD"), session(), ask.bet()).when(ask.settle("1", currency="USD"))
    story.then_refused("CURRENCY_MISMATCH", currency="USD", expected="EUR")


def test_a_win_has_scale_and_caps():
    """A lost bet closes even in a wallet that is full."""
    rich = wallet(MAX_BALANCE_MINOR, held=200)
    open_bet = Bet(
        "acme/eu/spin", "b1", "acme", "ann", "open", "r1", "s1", "dice", "EUR", "real", "h1", 200, 200, 0, 200
    )
    story = given(rich, open_bet).when(ask.settle("0.001")).then_refused("AMOUNT_SCALE")
    story.when(ask.settle("9" * 18)).then_refused("AMOUNT_TOO_LARGE")
    story.when(ask.settle("0.01")).then_refused("BALANCE_TOO_LARGE")
    story.when(ask.settle("0")).then(BetSettled, ("held", -200), ("house", 200))


def test_a_win_nets_a_debt_before_it_pays():
    """What the player owes is paid first: in part, exactly, and with a rest in cash."""
    for win, netted, cash in (("1", 100, 0), ("3", 300, 0), ("5", 300, 200)):
        story = given(wallet(1000, receivable=-300), session(), ask.bet("2")).when(ask.settle(win))
        moves = {"held": -200, "house": 200 - netted - cash, "receivable": netted, "cash": cash}
        story.then(BetSettled, *((account, moved) for account, moved in moves.items() if moved))
        story.and_wallet(cash=800 + cash, receivable=netted - 300)


def test_a_bet_may_win_several_times():
    """A win that does not end its bet leaves the stake held; the wins add up."""
    story = played().when(ask.settle("3", win_id="w1", ends_bet=False))
    story.then(BetSettled, ("house", -300), ("cash", 300), ends_bet=False, was_open=True, stake_minor=200)
    story.when(ask.settle("4", win_id="w2")).then(
        BetSettled, ("held", -200), ("house", -200), ("cash", 400), ends_bet=True, was_open=True
    )
    bet = story.state.bet(INTEGRATION, "b1")
    assert bet
    assert (bet.status, bet.win_minor) == (SETTLED, 700)


def test_a_bet_ends_once():
    """A second last word is refused; another win that ends nothing is paid."""
    story = played(ask.settle("3")).when(ask.settle("4")).then_refused("BET_ALREADY_SETTLED")
    story.when(ask.settle("4", ends_bet=False)).then(BetSettled, ("house", -400), ("cash", 400), was_open=False)


def test_the_end_of_its_round_leaves_room_for_a_bet_s_own_win():
    """Late money after the round is taken, and then the bet has had its last word."""
    story = played().when(ask.finish()).then(RoundFinished, ("held", -200), ("house", 200))
    story.when(ask.settle("3")).then(BetSettled, ("house", -300), ("cash", 300), was_open=False, ends_bet=True)
    story.when(ask.settle("3")).then_refused("BET_ALREADY_SETTLED")


def test_the_round_of_a_win_is_its_bet_s():
    """Named it must agree; not named it is taken from the bet, as the game is."""
    story = played().when(ask.settle("3", round_id="r2")).then_refused("ROUND_MISMATCH", expected="r1")
    story.when(ask.settle("3", round_id=None, game_id="wheel")).then(
        BetSettled, ("held", -200), ("house", -100), ("cash", 300), round_id="r1", game_id="wheel"
    )


def test_a_win_of_another_player_s_bet_is_not_found():
    """The player that a win names must be the bet's."""
    played(wallet(player="bob")).when(ask.settle("3", player="bob")).then_refused("BET_NOT_FOUND", bet_id="b1")


def test_a_win_after_the_rollback_of_its_bet():
    """Refused, or paid by policy: then the bet stays rolled back."""
    story = played(ask.rollback()).when(ask.settle("3")).then_refused("BET_ROLLED_BACK")
    story.under(win_after_rollback=ACCEPT).when(ask.settle("3"))
    story.then(BetSettled, ("house", -300), ("cash", 300), was_open=False).and_wallet(cash=1300)


def test_a_win_of_a_tombstone():
    """The bet never begins, so its win is as late as itself."""
    story = given(wallet(), policy=SESSIONLESS).when(ask.rollback(player="ann"))
    story.when(ask.settle("3")).then_refused("BET_TOMBSTONED")
    story.under(late_bet=ACKNOWLEDGE).when(ask.settle("3")).then_acknowledged()


# Of a round


@pytest.mark.parametrize("capture", ["settlement", AT_AUTHORIZATION])
def test_a_win_of_a_round_stands_beside_its_bets(capture):
    """It ends none of them: what is held stays until the end of the round."""
    story = given(wallet(), session(), policy=SESSIONLESS).under(capture=capture).when(ask.bet(player="ann"))
    story.when(ask.win("5")).then(
        BetSettled, ("house", -500), ("cash", 500), bet_id=None, win_id="w1", session_id="s1", game_id="dice",
        stake_minor=0, ends_bet=False, was_open=False,
    )  # fmt: skip
    bet = story.state.bet(INTEGRATION, "b1")
    assert bet
    assert bet.status == OPEN
    story.when(ask.win("1", "w2")).then(BetSettled, ("house", -100), ("cash", 100))


def test_a_win_needs_a_bet_in_its_round():
    """Of the same player, in the same round, at the same integration; unless the policy needs none."""
    story = played(wallet(player="bob"))
    for win in (ask.win(player="bob"), ask.win(round_id="r2"), ask.win(round_id=None), other.win()):
        story.when(win).then_refused("BET_NOT_FOUND")
    story.under(win_needs_bet=False).when(ask.win(player="bob")).then(BetSettled, ("house", -500), ("cash", 500))


def test_a_win_of_a_round_that_was_undone():
    """Where all bets of the round are rolled back or buried its win is refused, or paid by policy; one that stands is enough."""
    story = played(ask.rollback(), ask.rollback("b2", player="ann"))
    story.when(ask.win()).then_refused("BET_ROLLED_BACK")
    story.under(win_needs_bet=False).when(ask.win()).then_refused("BET_ROLLED_BACK")
    story.under(win_after_rollback=ACCEPT).when(ask.win()).then(BetSettled, ("house", -500), ("cash", 500))
    played(ask.debit(bet_id="b2"), ask.rollback()).when(ask.win()).then(BetSettled, ("house", -500), ("cash", 500))


def test_a_win_of_a_demo_round_is_no_money():
    """The mode is that of the round's bet."""
    story = given(wallet(), session(mode="demo"), policy=SESSIONLESS).when(ask.bet(player="ann"))
    story.when(ask.win()).then(BetSettled, mode="demo", win_minor=500).and_wallet(cash=1000)


def test_a_win_of_a_round_has_the_currency_of_its_bets():
    """Another one is a mismatch, never converted."""
    story = played(wallet(currency="JPY", exponent=0)).when(ask.win(currency="JPY"))
    story.then_refused("CURRENCY_MISMATCH", currency="JPY", expected="EUR")


def test_a_win_of_a_round_needs_a_wallet_and_room():
    """What a bet would have shown is asked of the win."""
    loose = SESSIONLESS
    given(policy=loose).under(win_needs_bet=False).when(ask.win()).then_refused("WALLET_NOT_FOUND")
    full = given(wallet(MAX_BALANCE_MINOR - 100), policy=loose).under(win_needs_bet=False)
    full.when(ask.win("1.01")).then_refused("BALANCE_TOO_LARGE")
    full.when(ask.win("1.001")).then_refused("AMOUNT_SCALE")
    full.when(ask.win("1")).then(BetSettled, ("house", -100), ("cash", 100))


def test_a_win_pays_a_debt_first():
    """Of a round as of a bet, and an award too."""
    story = given(wallet(0, receivable=-300), policy=SESSIONLESS).under(win_needs_bet=False)
    story.when(ask.win("2")).then(BetSettled, ("house", -200), ("receivable", 200))
    story.when(ask.award("2")).then(Awarded, ("bonus_cost", -200), ("receivable", 100), ("cash", 100))


# By their own ids


@pytest.mark.parametrize("again", [ask.win("5"), ask.settle("5", win_id="w1"), ask.award("5", "w1")])
def test_a_known_win_under_another_key_is_a_duplicate(again):
    """Bets' wins, rounds' wins and awards share one space of ids."""
    played(ask.win("5")).when(again).then_refused("DUPLICATE", bet_id="w1")


def test_a_win_may_have_its_bet_s_id():
    """Some providers name a bet and its win alike."""
    played().when(ask.settle("5", win_id="b1")).then(BetSettled, ("held", -200), ("house", -300), ("cash", 500))


@pytest.mark.parametrize("late", [ask.win("5", "x"), ask.settle("5", win_id="x"), ask.award("5", "x")])
def test_a_late_win_is_refused_or_acknowledged(late):
    """A tombstone covers wins and awards as well."""
    story = played(ask.rollback("x", None, player="ann", target="any"))
    story.when(late).then_refused("BET_TOMBSTONED", bet_id="x")
    story.under(late_bet=ACKNOWLEDGE).when(late).then_acknowledged()


# Awards


@pytest.mark.parametrize(
    ("kind", "account"),
    [
        ("promo", "bonus_cost"),
        ("tournament", "bonus_cost"),
        ("free_spins", "bonus_cost"),
        ("jackpot", "jackpot:spin"),
        ("payout", "house"),
        ("correction", "adjustment"),
    ],
)
def test_an_award_says_who_pays(kind, account):
    """Each kind has its account; a jackpot is paid by its provider's pool."""
    story = given(wallet(0), policy=SESSIONLESS).when(ask.award("5", kind=kind, campaign_id="spring", round_id="r1"))
    story.then(Awarded, (account, -500), ("cash", 500), kind=kind, win_id="a1", campaign_id="spring", round_id="r1")


def test_an_award_needs_a_wallet_room_and_whole_units():
    """Nothing else: no session, no round, no bet. An award of nothing is remembered all the same."""
    given().when(ask.award()).then_refused("WALLET_NOT_FOUND")
    story = given(wallet(MAX_BALANCE_MINOR)).when(ask.award("0.01")).then_refused("BALANCE_TOO_LARGE")
    story.when(ask.award("0.001")).then_refused("AMOUNT_SCALE")
    story.when(ask.award("0")).then(Awarded, amount_minor=0)
