"""Bets: how they begin, what a stake needs, and what stops it."""

import pytest

from ledger.core.bets import BetAuthorized
from ledger.core.money import MAX_BALANCE_MINOR
from ledger.core.players import PlayerFreed, PlayerRestricted
from ledger.core.policy import ACCEPT, ACKNOWLEDGE, AT_AUTHORIZATION, IGNORED, KNOWN, REQUIRED, Policy
from ledger.core.rollbacks import BetRolledBack
from ledger.core.state import LOCKED, SELF_EXCLUDED, Player
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import SESSIONLESS, ask, operator, other, session, wallet
from tests.support.commands import NOW
from tests.support.story import given

HELD = ("cash", -200), ("held", 200)


# Stakes


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


# Sessions


def test_a_debit_without_a_session_needs_a_policy():
    """By default a stake is placed in a session; a policy may do without."""
    story = given(wallet()).when(ask.debit()).then_refused("SESSION_NOT_FOUND")
    story.under(session=KNOWN).when(ask.debit()).then(BetAuthorized, *HELD, session_id=None, game_id=None, mode="real")


@pytest.mark.parametrize(
    ("ended", "expires_at", "code"), [(True, NOW + 1, "SESSION_ENDED"), (False, NOW, "SESSION_EXPIRED")]
)
def test_a_known_session_must_live(ended, expires_at, code):
    """Under `known` an ended or expired session stops the stake, one that nobody knows does not; `ignored` minds neither."""
    dead = session(ended=ended, expires_at=expires_at)
    bet = ask.bet(player="ann")
    given(wallet(), dead).under(session=KNOWN).when(bet).then_refused(code)
    given(wallet()).under(session=KNOWN).when(bet).then(BetAuthorized, *HELD, session_id=None)
    given(wallet(), dead).under(session=IGNORED).when(bet).then(BetAuthorized, *HELD, session_id="s1", game_id="dice")


@pytest.mark.parametrize("policy", [REQUIRED, KNOWN, IGNORED])
def test_player_and_session_must_agree(policy):
    """A token of one player never pays for another."""
    story = given(wallet(), wallet(player="bob"), session()).under(session=policy)
    story.when(ask.bet(player="bob")).then_refused("SESSION_NOT_FOUND", session_id="s1")


def test_without_player_the_session_says_who():
    """Even where the policy ignores sessions: somebody must be named."""
    given(wallet(), session()).under(session=IGNORED).when(ask.bet()).then(BetAuthorized, *HELD)
    given(wallet()).under(session=IGNORED).when(ask.bet()).then_refused("SESSION_NOT_FOUND")


def test_a_session_has_one_currency():
    """A stake for another wallet than the session's is a mismatch under every policy."""
    bet = ask.bet(player="ann", currency="JPY")
    for policy in (REQUIRED, KNOWN, IGNORED):
        story = given(wallet(), wallet(currency="JPY", exponent=0), session()).under(session=policy)
        story.when(bet).then_refused("CURRENCY_MISMATCH", currency="JPY", expected="EUR")


def test_another_game_than_the_session_s_is_fine():
    """Players move within a lobby; the bet says which game it was."""
    given(wallet(), session()).when(ask.bet(game_id="roulette")).then(BetAuthorized, *HELD, game_id="roulette")


def test_a_demo_session_moves_no_money_under_any_policy():
    """The mode is the session's."""
    story = given(wallet(), session(mode="demo")).under(session=IGNORED)
    story.when(ask.bet(player="ann")).then(BetAuthorized, mode="demo")


# Restrictions


@pytest.mark.parametrize("restriction", [LOCKED, SELF_EXCLUDED])
def test_a_restricted_player_cannot_stake(restriction):
    """What was won or is refunded still comes, and once freed the player stakes again."""
    story = given(wallet(), ask.debit(bet_id="b1"), ask.debit(bet_id="b2"), policy=SESSIONLESS)
    story.when(operator.restrict(restriction)).then(PlayerRestricted, restriction=restriction)
    story.when(operator.restrict(restriction)).then_nothing(status="restricted")
    story.when(ask.debit(bet_id="b3")).then_refused("PLAYER_RESTRICTED", player_id="ann", restriction=restriction)
    story.when(ask.settle("3")).then(BetSettled, ("held", -200), ("house", -100), ("cash", 300))
    story.when(ask.rollback("b2")).then(BetRolledBack, ("held", -200), ("cash", 200))
    story.when(operator.restrict(None)).then(PlayerFreed)
    story.when(operator.restrict(None)).then_nothing(status="freed")
    story.when(ask.debit(bet_id="b3")).then(BetAuthorized, *HELD)


def test_a_restriction_is_of_one_player():
    """Others play on; and another kind of restriction replaces the first."""
    story = given(wallet(player="bob"), Player("acme", "ann", "eu", LOCKED), policy=SESSIONLESS)
    story.when(ask.debit(player="bob")).then(BetAuthorized, *HELD)
    story.when(operator.restrict(SELF_EXCLUDED)).then(PlayerRestricted, restriction=SELF_EXCLUDED)


# Kinds of stakes


def test_nothing_may_be_staked_where_the_policy_accepts_it():
    """A bet of 0 begins and ends like any other."""
    story = given(wallet(), policy=SESSIONLESS).when(ask.debit("0")).then_refused("AMOUNT_NOT_POSITIVE")
    story.under(zero_stake=ACCEPT).when(ask.debit("0")).then(BetAuthorized, stake_minor=0)
    story.when(ask.settle("0")).then(BetSettled)


@pytest.mark.parametrize("capture", ["settlement", AT_AUTHORIZATION])
def test_a_free_bet_moves_no_money_but_its_win_does(capture):
    """Its stake is told, nobody pays it, and its rollback gives nothing back."""
    story = given(wallet(100), policy=SESSIONLESS).under(capture=capture)
    for bet_id in ("b1", "b2"):
        story.when(ask.debit("2", bet_id, stake_kind="free"))
        story.then(BetAuthorized, kind="free", stake_minor=200, stake_cash_minor=0, stake_bonus_minor=0)
    story.when(ask.settle("3")).then(BetSettled, ("house", -300), ("cash", 300), stake_minor=200)
    story.when(ask.rollback("b2")).then(BetRolledBack, stake_minor=0).and_wallet(cash=400)


@pytest.mark.parametrize("kind", ["tip", "bonus_buy", "buy_in", "correction"])
def test_other_stakes_are_bets_too(kind):
    """A tip needs no round, and is rolled back by its id."""
    story = given(wallet(), policy=SESSIONLESS).when(ask.debit(round_id=None, stake_kind=kind))
    story.then(BetAuthorized, *HELD, kind=kind, round_id=None)
    story.when(ask.rollback(round_id=None)).then(BetRolledBack, ("held", -200), ("cash", 200), round_id=None)


# Known ids


def test_a_known_bet_under_another_key_is_a_duplicate():
    """Whoever's it is, and whatever became of it."""
    story = given(wallet(), wallet(player="bob"), ask.debit(), policy=SESSIONLESS)
    story.when(ask.debit()).then_refused("DUPLICATE", bet_id="b1")
    story.when(ask.debit(player="bob")).then_refused("DUPLICATE")
    story.when(ask.rollback()).when(ask.debit()).then_refused("DUPLICATE")


def test_a_late_bet_is_refused_or_acknowledged():
    """After its tombstone it never begins, and says so as the policy wants."""
    story = given(wallet(), policy=SESSIONLESS).when(ask.rollback(player="ann"))
    story.when(ask.debit()).then_refused("BET_TOMBSTONED", bet_id="b1")
    story.under(late_bet=ACKNOWLEDGE).when(ask.debit()).then_acknowledged().and_wallet(cash=1000)
