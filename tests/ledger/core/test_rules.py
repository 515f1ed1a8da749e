"""Every rule and every refusal of the rule book, told as a story."""

import pytest

from ledger.core.bets import BetAuthorized
from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, MAX_EXPONENT
from ledger.core.players import SessionEnded, SessionStarted
from ledger.core.policy import AT_AUTHORIZATION, REVERSE, Policy
from ledger.core.rollbacks import BetRolledBack, BetTombstoned
from ledger.core.state import DEMO, TOMBSTONED, Bet, Currency, Session, Wallet
from ledger.core.wallets import Deposited, WalletOpened, Withdrawn
from ledger.core.wins import BetSettled
from tests.support.commands import HOUR, NOW, Asks
from tests.support.story import given

ask = Asks()
other = Asks(integration_id="acme/eu/reel")
stranger = Asks(tenant_id="bolt", integration_id="bolt/eu/spin")


def wallet(cash=1000, *, currency="EUR", exponent=2, **accounts):
    return Wallet(
        "acme", "ann", currency, exponent, cash, **{f"{name}_minor": amount for name, amount in accounts.items()}
    )


def session(
    session_id="s1", *, integration_id="acme/eu/spin", tenant_id="acme", currency="EUR", mode="real", ended=False
):
    return Session(session_id, integration_id, tenant_id, "ann", currency, mode, "dice", NOW + HOUR, ended)


# Wallets


def test_a_first_wallet_fixes_the_exponent():
    """The first wallet of a tenant's currency opens with the exponent asked for and fixes it."""
    story = given().when(ask.open_wallet(exponent=4)).then(WalletOpened, currency="EUR", exponent=4)
    story.and_wallet().when(ask.open_wallet("bob", exponent=2)).then_refused("EXPONENT_FIXED", exponent=4, asked=2)
    story.when(ask.open_wallet("bob", exponent=4)).then(WalletOpened)


def test_another_tenant_has_exponents_of_its_own():
    """Currencies belong to a tenant."""
    given(Currency("acme", "EUR", 4)).when(stranger.open_wallet(exponent=2)).then(WalletOpened, exponent=2)


def test_a_wallet_opens_once():
    """The same player and currency again is refused, another currency is not."""
    story = (
        given(ask.open_wallet()).when(ask.open_wallet()).then_refused("WALLET_EXISTS", player_id="ann", currency="EUR")
    )
    story.when(ask.open_wallet(currency="JPY", exponent=0)).then(WalletOpened, exponent=0)


@pytest.mark.parametrize("exponent", [-1, MAX_EXPONENT + 1])
def test_an_exponent_out_of_range_is_refused(exponent):
    """A currency has 0 to 9 decimals."""
    given().when(ask.open_wallet(exponent=exponent)).then_refused(
        "EXPONENT_INVALID", exponent=exponent, maximum=MAX_EXPONENT
    )


# Money in and out


def test_a_deposit_moves_money_from_the_cashier_to_cash():
    """What comes in is owed to the player."""
    story = given(wallet(0)).when(ask.deposit("12.34"))
    story.then(Deposited, ("cashier", -1234), ("cash", 1234), amount_minor=1234).and_wallet(cash=1234)


def test_a_withdrawal_moves_cash_to_the_cashier():
    """Down to the last cent, and no further."""
    story = given(wallet(1000)).when(ask.withdraw("10"))
    story.then(Withdrawn, ("cash", -1000), ("cashier", 1000), amount_minor=1000).and_wallet()


def test_only_cash_is_withdrawn():
    """Bonus and held money stay."""
    story = given(wallet(99, bonus=500, held=500)).when(ask.withdraw("1"))
    story.then_refused("INSUFFICIENT_FUNDS", asked="1.00", available="0.99", currency="EUR")


@pytest.mark.parametrize("command", [ask.deposit(), ask.withdraw(), ask.start_session()])
def test_nothing_happens_without_a_wallet(command):
    """A wallet in another currency does not count."""
    given(wallet(currency="JPY", exponent=0)).when(command).then_refused(
        "WALLET_NOT_FOUND", player_id="ann", currency="EUR"
    )


@pytest.mark.parametrize("command", [ask.deposit("0"), ask.withdraw("0"), ask.bet("0")])
def test_zero_is_not_moved(command):
    """A deposit, withdrawal or bet of nothing is refused; a win of nothing is a lost bet."""
    given(wallet(), session()).when(command).then_refused("AMOUNT_NOT_POSITIVE")


@pytest.mark.parametrize("make", [ask.deposit, ask.withdraw, ask.bet])
def test_more_decimals_than_the_currency_are_refused(make):
    """Nothing rounds; zeros at the end are no decimals."""
    story = given(wallet(), session()).when(make("1.001")).then_refused("AMOUNT_SCALE", amount="1.001", exponent=2)
    story.when(make("1.000"))
    assert story.result


def test_a_currency_without_decimals_takes_whole_amounts_only():
    """Half a yen is refused, not rounded."""
    story = (
        given(wallet(0, currency="JPY", exponent=0))
        .when(ask.deposit("0.5", currency="JPY"))
        .then_refused("AMOUNT_SCALE")
    )
    story.when(ask.deposit("5", currency="JPY")).then(Deposited, ("cashier", -5), ("cash", 5))


@pytest.mark.parametrize("make", [ask.deposit, ask.withdraw, ask.bet])
def test_one_amount_has_a_cap(make):
    """The cap itself passes that check, one unit more does not, however many digits it has."""
    rich = wallet(MAX_BALANCE_MINOR - MAX_AMOUNT_MINOR)
    at_cap = f"{MAX_AMOUNT_MINOR // 100}"
    story = given(rich, session()).when(make(at_cap + ".01")).then_refused("AMOUNT_TOO_LARGE", maximum=at_cap + ".00")
    story.when(make("9" * 18)).then_refused("AMOUNT_TOO_LARGE")
    story.when(make(at_cap))
    assert story.result


def test_a_deposit_stops_at_the_balance_cap():
    """The cap itself is reached, not passed."""
    story = (
        given(wallet(MAX_BALANCE_MINOR - 100))
        .when(ask.deposit("1.01"))
        .then_refused("BALANCE_TOO_LARGE", currency="EUR")
    )
    story.when(ask.deposit("1")).then(Deposited, ("cashier", -100), ("cash", 100)).and_wallet(cash=MAX_BALANCE_MINOR)


# Sessions


def test_a_session_starts_and_ends():
    """After its end it takes no bet."""
    story = (
        given(wallet())
        .when(ask.start_session())
        .then(SessionStarted, currency="EUR", mode="real", game_id="dice", expires_at=NOW + HOUR)
    )
    session_id = story.result["session_id"]
    story.when(ask.end_session(session_id)).then(SessionEnded, session_id=session_id, reason="logout")
    story.when(ask.bet(session_id=session_id)).then_refused("SESSION_ENDED", session_id=session_id)


def test_a_session_ends_once():
    """Ending an ended session is a yes that changes nothing."""
    given(wallet(), session(ended=True)).when(ask.end_session()).then_nothing(status="ended", session_id="s1")


@pytest.mark.parametrize("who", [other, stranger])
@pytest.mark.parametrize("what", ["end_session", "bet"])
def test_a_session_of_another_integration_is_not_known(who, what):
    """Neither another provider nor another tenant can use a session."""
    given(wallet(), session()).when(getattr(who, what)()).then_refused("SESSION_NOT_FOUND", session_id="s1")


def test_an_unknown_session_is_not_found():
    """For a bet and for its own end."""
    story = given(wallet()).when(ask.bet()).then_refused("SESSION_NOT_FOUND")
    story.when(ask.end_session()).then_refused("SESSION_NOT_FOUND")


def test_a_session_expires_to_the_microsecond():
    """At its time of expiry a session takes no bet any more."""
    story = given(wallet(), session()).when(ask.at(NOW + HOUR).bet()).then_refused("SESSION_EXPIRED", session_id="s1")
    story.when(ask.at(NOW + HOUR - 1).bet()).then(BetAuthorized, ("cash", -200), ("held", 200))


def test_an_expired_or_ended_session_still_pays():
    """Settlements, rollbacks and the end of the session itself pass after the session."""
    late = ask.at(NOW + 2 * HOUR)
    begun = given(wallet(), session(), ask.bet(bet_id="b1"), ask.bet(bet_id="b2"), ask.end_session())
    begun.when(late.settle("5", "b1")).then(BetSettled, ("held", -200), ("house", -300), ("cash", 500))
    begun.when(late.rollback("b2")).then(BetRolledBack, ("held", -200), ("cash", 200)).and_wallet(cash=1300)


# Bets


def test_a_stake_is_held_until_the_settlement():
    """By default the stake waits in `held`."""
    story = given(wallet(), session()).when(ask.bet("2"))
    story.then(
        BetAuthorized,
        ("cash", -200),
        ("held", 200),
        stake_minor=200,
        stake_cash_minor=200,
        stake_bonus_minor=0,
        capture="settlement",
    )
    story.and_wallet(cash=800, held=200)


def test_a_stake_is_captured_at_once_where_the_policy_says_so():
    """Then the house has it from the start, and the win comes from the house alone."""
    story = given(wallet(), session()).under(capture=AT_AUTHORIZATION).when(ask.bet("2"))
    story.then(BetAuthorized, ("cash", -200), ("house", 200), capture="authorization").and_wallet(cash=800)
    story.when(ask.settle("5")).then(BetSettled, ("house", -500), ("cash", 500)).and_wallet(cash=1300)


def test_a_stake_takes_cash_first_and_remembers_the_bonus_part():
    """A refund gives each part back to where it came from."""
    story = given(wallet(150, bonus=100), session()).when(ask.bet("2"))
    story.then(BetAuthorized, ("cash", -150), ("bonus", -50), ("held", 200), stake_cash_minor=150, stake_bonus_minor=50)
    story.when(ask.rollback()).then(BetRolledBack, ("held", -200), ("cash", 150), ("bonus", 50)).and_wallet(
        cash=150, bonus=100
    )


def test_a_captured_stake_is_refunded_by_the_house():
    """Each part goes back to where it came from."""
    story = given(wallet(150, bonus=100), session(), policy=Policy(capture=AT_AUTHORIZATION)).when(ask.bet("2"))
    story.then(BetAuthorized, ("cash", -150), ("bonus", -50), ("house", 200))
    story.when(ask.rollback()).then(BetRolledBack, ("house", -200), ("cash", 150), ("bonus", 50)).and_wallet(
        cash=150, bonus=100
    )


def test_a_bet_needs_funds():
    """Held money is not available; exactly all is."""
    story = given(wallet(100, bonus=50, held=900), session()).when(ask.bet("1.51"))
    story.then_refused("INSUFFICIENT_FUNDS", asked="1.51", available="1.50", currency="EUR")
    story.when(ask.bet("1.50")).then(BetAuthorized, ("cash", -100), ("bonus", -50), ("held", 150)).and_wallet(held=1050)


def test_held_money_has_a_cap():
    """However often a player tops up, open stakes stay far below what a column can take."""
    story = (
        given(wallet(1000, held=MAX_BALANCE_MINOR - 100), session())
        .when(ask.bet("1.01"))
        .then_refused("BALANCE_TOO_LARGE")
    )
    story.when(ask.bet("1")).then(BetAuthorized, ("cash", -100), ("held", 100))


def test_a_bet_in_another_currency_than_its_session_is_refused():
    """Although the player has a wallet in it."""
    story = given(wallet(), wallet(currency="USD"), session()).when(ask.bet(currency="USD"))
    story.then_refused("CURRENCY_MISMATCH", currency="USD", expected="EUR")


def test_a_bet_without_a_wallet_is_refused():
    """A session whose wallet is not there cannot bet (the log would be wrong; money still does not move)."""
    given(session()).when(ask.bet()).then_refused("WALLET_NOT_FOUND")


@pytest.mark.parametrize("end", [None, ask.settle("1"), ask.rollback()])
def test_a_bet_begins_once(end):
    """The same bet under another key is a duplicate, in whatever state the bet is."""
    begun = given(*filter(None, (wallet(), session(), ask.bet(), end)))
    begun.when(ask.bet()).then_refused("DUPLICATE", bet_id="b1")


def test_bet_ids_belong_to_an_integration():
    """Two providers may use the same bet id."""
    reel = session("s2", integration_id="acme/eu/reel")
    story = (
        given(wallet(), session(), reel, ask.bet())
        .when(other.bet(session_id="s2"))
        .then(BetAuthorized, ("cash", -200), ("held", 200))
    )
    story.when(other.settle("3")).then(BetSettled, ("held", -200), ("house", -100), ("cash", 300))
    story.when(ask.rollback()).then(BetRolledBack, ("held", -200), ("cash", 200)).and_wallet(cash=1100)


def test_several_bets_and_wins_share_a_round():
    """A round is no key: each bet of it ends by itself."""
    story = given(wallet(), session(), ask.bet(bet_id="b1"), ask.bet(bet_id="b2"))
    story.when(ask.settle("1", "b1")).then(BetSettled, ("held", -200), ("house", 100), ("cash", 100))
    story.when(ask.settle("0", "b2")).then(BetSettled, ("held", -200), ("house", 200)).and_wallet(cash=700)


# Settlements


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


# Rollbacks


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


# Tombstones


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


# Demo


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
