"""What a stake needs, and what stops it."""

import pytest

from ledger.core.bets import BetAuthorized
from ledger.core.players import PlayerFreed, PlayerRestricted
from ledger.core.policy import ACCEPT, ACKNOWLEDGE, AT_AUTHORIZATION, IGNORED, KNOWN, REQUIRED
from ledger.core.rollbacks import BetRolledBack
from ledger.core.state import LOCKED, SELF_EXCLUDED, Player
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import SESSIONLESS, ask, operator, session, wallet
from tests.support.commands import NOW
from tests.support.story import given

HELD = ("cash", -200), ("held", 200)


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
