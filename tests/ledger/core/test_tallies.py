"""What a wallet's money did in a day, a week and a month: each correction counts where its bet did."""

from dataclasses import replace

from ledger.core.calendars import CALENDARS, DAY, MONTH, UTC, WEEK
from ledger.core.policy import ACCEPT, REVERSE
from ledger.core.state import FREE, Bet, Settlement
from ledger.core.tallies import NOTHING, Tallies, Tally
from ledger.store.wallets import tallies_from, tallies_to
from tests.ledger.core.scene import SESSIONLESS, ask, operator, session, wallet
from tests.ledger.core.test_calendars import utc
from tests.support.seeds import seeded_random
from tests.support.story import Story, given

DAY_1, DAY_2 = utc("2026-01-15 12:00"), utc("2026-01-16 12:00")
UNDOING = replace(
    SESSIONLESS, rollback_of_settled=REVERSE, rollback_of_win=REVERSE, win_after_rollback=ACCEPT, win_needs_bet=False
)


def played(*what, cash=100_000, **accounts) -> Story:
    return given(wallet(cash, **accounts), *what, policy=UNDOING)


def tallies(story: Story, at: int) -> Tallies:
    """The wallet's sums, of the periods that run at `at`."""
    now = story.state.wallet("acme", "ann", "EUR")
    assert now
    return now.tallies.in_windows(CALENDARS[UTC].windows(at))


def losses(story: Story, at: int) -> tuple[int, int, int]:
    _, day, week, month = tallies(story, at)
    return day.loss_minor, week.loss_minor, month.loss_minor


def debit(text="7", bet_id="b1", at=DAY_1, **more):
    return ask.at(at).debit(text, bet_id, **more)


def test_stakes_deposits_and_withdrawals_count_in_all_three_periods():
    """Each in its own sum, gross: what comes back is counted beside it, not taken off."""
    story = played(operator.at(DAY_1).deposit("50"), operator.at(DAY_1).withdraw("30"), debit("7"))
    expected = Tally(deposit_minor=5000, withdrawal_minor=3000, stake_minor=700, cash_stake_minor=700)
    assert tallies(story, DAY_1) == Tallies(DAY_1, expected, expected, expected)


def test_a_period_that_is_over_counts_no_more():
    """At its very end, without an event: the next day has a sum of its own, week and month go on."""
    story = played(debit("7"))
    midnight = utc("2026-01-16 00:00")
    assert losses(story, midnight - 1) == (700, 700, 700)
    assert losses(story, midnight) == (0, 700, 700)
    assert losses(story.when(debit("2", "b2", DAY_2)), DAY_2) == (200, 900, 900)


def test_r8_a_rollback_of_yesterday_s_bet_gives_today_no_room():
    """It counts in the windows of the bet."""
    story = played(debit("7")).when(debit("3", "b2", DAY_2)).when(ask.at(DAY_2).rollback("b1"))
    _, day, week, month = tallies(story, DAY_2)
    assert (day.stake_minor, week.stake_minor, month.stake_minor) == (300, 300, 300)


def test_r9_a_win_counts_where_its_bet_does():
    """Yesterday's bet wins today: the week and the month know it, the day had no bet."""
    story = played(debit("7")).when(ask.at(DAY_2).settle("9"))
    assert losses(story, DAY_2) == (0, -200, -200)


def test_r10_a_rollback_after_the_month_s_end():
    """The month of the bet is over; the new one is not made smaller, the week is the same one still."""
    story = played(debit("7", at=utc("2026-01-31 23:59:59"))).when(ask.at(utc("2026-02-01 00:00:01")).rollback("b1"))
    assert losses(story, utc("2026-02-01 00:00:01")) == (0, 0, 0)
    assert tallies(story, utc("2026-02-01 00:00:01")).week == NOTHING


def test_r11_the_loss_is_of_the_player_s_own_money():
    """Cash and bonus are staked; of both the stake is made, of cash alone the loss. A win is all cash today."""
    story = played(debit("5"), cash=300, bonus=200)
    _, day, _, _ = tallies(story, DAY_1)
    assert (day.stake_minor, day.loss_minor) == (500, 300)


def test_what_is_undone_and_done_again_counts_once():
    """A win taken back, a bet undone with its win, a rollback undone: after each the sums are those of what stands."""
    story = played(debit("7"), ask.at(DAY_1).settle("9"))
    assert losses(story, DAY_1) == (-200, -200, -200)
    story.when(ask.at(DAY_1).rollback("b1"))
    assert losses(story, DAY_1) == (0, 0, 0)
    story.when(ask.at(DAY_1).reinstate("b1"))
    assert losses(story, DAY_1) == (700, 700, 700)
    story.when(ask.at(DAY_2).settle("4", win_id="w1", ends_bet=False)).when(ask.at(DAY_2).undo_win("w1"))
    assert losses(story, DAY_2) == (0, 700, 700)


def test_a_win_that_names_only_its_round_counts_as_its_first_bet():
    """Where it has none, when it comes."""
    story = played(debit("7")).when(ask.at(DAY_2).win("4")).when(ask.at(DAY_2).win("1", "w2", "r9"))
    assert losses(story, DAY_2) == (-100, 200, 200)


def test_what_is_no_play_with_money_counts_nowhere():
    """Demo, free stakes, awards, adjustments and tombstones; but what a free bet wins is the player's."""
    story = played(session("demo", mode="demo"))
    for command in (
        ask.at(DAY_1).bet("5", session_id="demo"),
        ask.at(DAY_1).settle("9"),
        ask.at(DAY_1).award("5"),
        ask.at(DAY_1).undo_win("a1"),
        operator.at(DAY_1).adjust("5"),
        ask.at(DAY_1).rollback("never seen"),
        debit("7", "free", stake_kind=FREE),
    ):
        story.when(command)
        assert tallies(story, DAY_1)[1:] == (NOTHING, NOTHING, NOTHING), command
    story.when(ask.at(DAY_1).settle("9", "free"))
    assert losses(story, DAY_1) == (-900, -900, -900)


def test_random_play_counts_what_stands():
    """Over weeks of bets, wins and what undoes them, late and in any order, the sums are those of the bets and wins that
    stand, summed anew.
    """
    rng, story, at = seeded_random(), played(cash=10**9), utc("2026-01-28 00:00")
    for number in range(400):
        at += rng.randrange(4 * 3_600_000_000)
        old = f"b{rng.randrange(number + 1)}"
        here = ask.at(at)
        story.when(
            rng.choice(
                (
                    here.debit(str(rng.randint(1, 50)), f"b{number}", round_id=None),
                    here.settle(str(rng.randint(0, 90)), old, None, win_id=f"w{number}", ends_bet=False),
                    here.rollback(old, None),
                    here.reinstate(old),
                    here.undo_win(f"w{rng.randrange(number + 1)}"),
                )
            )
        )
        assert tallies(story, at)[1:] == tuple(summed_anew(story, at, kind) for kind in (DAY, WEEK, MONTH)), number


def summed_anew(story: Story, at: int, kind: str) -> Tally:
    begins = getattr(CALENDARS[UTC].windows(at), kind).from_us
    entities = story.state.entities.values()
    bets = [one for one in entities if isinstance(one, Bet) and one.status in ("open", "settled")]
    wins = [one for one in entities if isinstance(one, Settlement) and one.undone_by is None]
    stakes = sum(bet.stake_cash_minor for bet in bets if bet.placed_at >= begins)
    return Tally(0, 0, stakes, stakes, sum(win.win_minor for win in wins if win.counted_at >= begins))


def test_a_row_has_them_as_they_are():
    """Below zero too; and what was never counted is nothing."""
    sums = Tallies(DAY_1, Tally(1, 2, 3, 4, 5), Tally(-6, 7, -(2**62), 9, 10), Tally(11, 12, 13, 14, 2**62))
    assert tallies_from(tallies_to(sums)) == sums
    assert tallies_from(tallies_to(Tallies())) == tallies_from(b"") == Tallies()
