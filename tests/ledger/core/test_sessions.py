"""Sessions: how they start and end, and how play keeps one alive: what moves its end, how far, and how rarely."""

import pytest

from ledger.core.bets import BetAuthorized
from ledger.core.players import SessionEnded, SessionStarted
from ledger.core.policy import IGNORED, KNOWN, REQUIRED
from ledger.core.rollbacks import BetRolledBack
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import ask, other, session, stranger, wallet
from tests.support.commands import HOUR, NOW
from tests.support.story import given

MINUTE = HOUR // 60
IDLE, OVERTIME = HOUR, 11 * HOUR
LAST_END = NOW + HOUR + OVERTIME
"""Of a session that begins with an hour."""
HELD = ("cash", -200), ("held", 200)


def bet_at(time, bet_id="b1", text="2", **more):
    return ask.at(time).bet(text, bet_id, f"r-{bet_id}", **more)


def session_of(story):
    return story.state.session("s1")


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


def test_a_bet_moves_the_end_when_less_than_half_of_the_idle_time_is_left():
    """To the idle time from then; at the half itself, and before, the session's row is not written."""
    story = given(wallet(), session())
    story.when(bet_at(NOW, "b1")).then(BetAuthorized, *HELD, session_expires_at=None)
    story.when(bet_at(NOW + HOUR - IDLE // 2, "b2")).then(BetAuthorized, *HELD, session_expires_at=None)
    assert session_of(story) == session()
    moved = NOW + HOUR - IDLE // 2 + 1
    story.when(bet_at(moved, "b3")).then(BetAuthorized, *HELD, session_expires_at=moved + IDLE)
    assert (session_of(story).expires_at, session_of(story).extended_us) == (moved + IDLE, moved + IDLE - NOW - HOUR)
    story.when(bet_at(moved + 1, "b4")).then(BetAuthorized, *HELD, session_expires_at=None)


def test_a_long_evening_ends_at_the_last_end():
    """A bet every 25 minutes is taken for twelve hours, and at their end no more; every other one moves the end at most."""
    story = given(wallet(10_000), session())
    times = range(NOW, LAST_END, 25 * MINUTE)
    moved = []
    for number, time in enumerate(times):
        story.when(bet_at(time, f"b{number}")).then(BetAuthorized, *HELD)
        moved += [event.payload.session_expires_at for event in story.decision.events]
    ends = [end for end in moved if end]
    assert ends == sorted(set(ends))
    assert ends[-1] == LAST_END
    assert len(ends) <= len(times) / 2
    story.when(bet_at(LAST_END - 1, "last")).then(BetAuthorized, *HELD, session_expires_at=None)
    story.when(bet_at(LAST_END, "late")).then_refused("SESSION_EXPIRED", session_id="s1")


@pytest.mark.parametrize(("pause", "lives"), [(IDLE // 2 - 1, True), (IDLE, False)])
def test_a_pause(pause, lives):
    """One shorter than half of the idle time does not end a session; the whole of it does, whenever it begins."""
    for last in range(NOW, NOW + 2 * HOUR, 7 * MINUTE):
        story = given(wallet(), session())
        for number, time in enumerate(range(NOW, last + 1, 7 * MINUTE)):
            story.when(bet_at(time, f"b{number}", "0.01")).then(BetAuthorized, ("cash", -1), ("held", 1))
        story.when(bet_at(last + pause, "late"))
        if lives:
            story.then(BetAuthorized, *HELD)
        else:
            story.then_refused("SESSION_EXPIRED")


@pytest.mark.parametrize("policy", [{"session_idle_s": 0}, {"session_overtime_s": 0}])
def test_an_integration_may_have_sessions_that_end_when_they_end(policy):
    """However busily they are played."""
    story = given(wallet(), session()).under(**policy)
    story.when(bet_at(NOW + HOUR - 1)).then(BetAuthorized, *HELD, session_expires_at=None)
    story.when(bet_at(NOW + HOUR, "b2")).then_refused("SESSION_EXPIRED")


def test_a_policy_that_gets_stricter_counts_at_once():
    """A session that was kept alive beyond the new last end is not moved again, and ends where it does."""
    story = given(wallet(), session())
    end = NOW + HOUR - MINUTE + IDLE
    story.when(bet_at(NOW + HOUR - MINUTE)).then(BetAuthorized, *HELD, session_expires_at=end)
    story.under(session_overtime_s=60).when(bet_at(end - MINUTE, "b2"))
    story.then(BetAuthorized, *HELD, session_expires_at=None)
    story.when(bet_at(end, "b3")).then_refused("SESSION_EXPIRED")


@pytest.mark.parametrize("policy", [REQUIRED, KNOWN, IGNORED])
def test_what_is_over_stays_over(policy):
    """No bet brings an ended or expired session back, also where the policy takes bets in it."""
    for over in (session(ended=True, expires_at=NOW + 1), session(expires_at=NOW)):
        story = given(wallet(), over).under(session=policy).when(bet_at(NOW, player="ann"))
        if policy == IGNORED:
            story.then(BetAuthorized, *HELD, session_expires_at=None)
        assert session_of(story) == over


def test_only_a_bet_that_is_taken_keeps_a_session_alive():
    """Not one that is refused, nor a win, a refund, or an end that comes twice; its end then is what it had reached."""
    late = NOW + HOUR - 1
    story = given(wallet(400), session(), bet_at(NOW, "b1"), bet_at(NOW, "b2"))
    story.when(bet_at(late, "b3")).then_refused("INSUFFICIENT_FUNDS")
    story.when(ask.at(late).settle("3", "b1", "r-b1")).then(BetSettled, ("held", -200), ("house", -100), ("cash", 300))
    story.when(ask.at(late).rollback("b2", "r-b2")).then(BetRolledBack, ("held", -200), ("cash", 200))
    assert session_of(story) == session()
    story.when(bet_at(late, "b3")).then(BetAuthorized, *HELD, session_expires_at=late + IDLE)
    kept = session_of(story)
    story.when(bet_at(late, "b3")).then_refused("DUPLICATE")
    story.when(ask.end_session()).then(SessionEnded)
    assert session_of(story) == session(ended=True, expires_at=late + IDLE, extended_us=kept.extended_us)


def test_demo_and_free_play_keep_a_session_alive_too():
    """Somebody plays."""
    late, postings = NOW + HOUR - 1, ()
    story = given(wallet(), session(mode="demo"))
    story.when(bet_at(late)).then(BetAuthorized, *postings, session_expires_at=late + IDLE)
    story = given(wallet(), session())
    story.when(bet_at(late, stake_kind="free")).then(BetAuthorized, *postings, session_expires_at=late + IDLE)


def test_a_clock_that_is_behind_makes_no_session_shorter():
    """Gateways' clocks differ: a bet that was received earlier than the one before it leaves the end where it is."""
    story = given(wallet(), session())
    story.when(bet_at(NOW + HOUR - 1)).then(BetAuthorized, *HELD, session_expires_at=NOW + 2 * HOUR - 1)
    story.when(bet_at(NOW + HOUR - 2, "b2")).then(BetAuthorized, *HELD, session_expires_at=None)
