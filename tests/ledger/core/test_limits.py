"""Limits that protect a player: how they are set, what they stop, and what always passes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from ledger.core import limits, wins
from ledger.core.limits import MAX_LIMITS, LimitSet
from ledger.core.policy import REVERSE
from ledger.core.state import DEMO, FREE, SELF_EXCLUDED, Rate, State
from tests.ledger.core.scene import SESSIONLESS, ask, operator, session, wallet
from tests.ledger.core.test_calendars import utc
from tests.support.commands import HOUR
from tests.support.story import Story, given

POLICY = replace(SESSIONLESS, rollback_of_settled=REVERSE)
DAY_1, DAY_2 = utc("2026-01-15 12:00"), utc("2026-01-16 12:00")
DAY_US = 24 * HOUR
SECOND_US = 1_000_000
here, cashier = ask.at(DAY_1), operator.at(DAY_1)


def protected(kind: str, period: str, text: str, *what, cash=100_000, **more) -> Story:
    """A player with money and a limit."""
    return given(wallet(cash), cashier.limit(kind, period, text, **more), *what, policy=POLICY)


def bet(text: str, bet_id: str, at: int = DAY_1, **more):
    return ask.at(at).debit(text, bet_id, f"r-{bet_id}", **more)


def won(text: str, bet_id: str, at: int = DAY_1):
    return ask.at(at).settle(text, bet_id, f"r-{bet_id}")


def accepts(story: Story, *commands) -> Story:
    for command in commands:
        assert story.when(command).result, command
    return story


def test_r1_r2_r3_a_limit_is_reached_and_not_passed():
    """What is equal passes; one cent more does not, however often it is asked."""
    story = accepts(protected("stake", "day", "100", bet("95", "b1")), bet("5", "b2"))
    for number in (3, 4):
        refused = story.when(bet("0.01", f"b{number}"))
        refused.then_refused("LIMIT_REACHED", limit_id="stake/day/player", used="100.00", asked="0.01", limit="100.00")


def test_r5_the_second_of_two_is_refused():
    """Each is judged on what the one before has led to."""
    story = accepts(protected("stake", "day", "5"), bet("3", "b1"))
    story.when(bet("3", "b2")).then_refused("LIMIT_REACHED", used="3.00", asked="3.00")


def test_r6_r7_a_loss_is_what_is_staked_less_what_is_won():
    """Open stakes count in full; a win makes room, also more than there was."""
    story = protected("loss", "day", "10", bet("7", "a"))
    story.when(bet("4", "b")).then_refused("LIMIT_REACHED", used="7.00", asked="4.00")
    accepts(story, won("9", "a"))
    story.when(bet("12.01", "c")).then_refused("LIMIT_REACHED", used="-2.00", asked="12.01")
    accepts(story, bet("12", "d"))


def test_r8_a_rollback_of_yesterday_s_bet_gives_no_room():
    """A loss of today stays one."""
    story = protected("stake", "day", "7", bet("7", "a"), bet("7", "b", DAY_2))
    accepts(story, ask.at(DAY_2).rollback("a", "r-a"))
    story.when(bet("0.01", "c", DAY_2)).then_refused("LIMIT_REACHED", used="7.00")


def test_r9_a_late_win_makes_room_where_its_bet_was():
    """In the week, and not on the day after the bet."""
    story = protected("loss", "day", "5", bet("5", "a"), won("9", "a", DAY_2), bet("5", "b", DAY_2))
    story.when(bet("0.01", "c", DAY_2)).then_refused("LIMIT_REACHED", used="5.00")


def usd(as_of: int = DAY_1) -> Rate:
    return Rate("acme", "USD", "EUR", 9, 10, 2, "bank", as_of)


def test_r12_r13_another_currency_counts_by_conversion():
    """The sum is converted, upwards; without a young rate nothing is compared, and nothing passes."""
    dollars = wallet(1_000_000, currency="USD")

    def played(*what) -> Story:
        return protected("stake", "day", "100", dollars, *what, bet("60", "a"), bet("33.33", "b", currency="USD"))

    story = played(usd())
    story.when(bet("11.12", "c", currency="USD"))
    story.then_refused("LIMIT_REACHED", used="90.00", asked="10.01", limit="100.00")
    accepts(story, bet("11.11", "d", currency="USD"))
    for rate in ([], [usd(DAY_1 - DAY_US)]):
        story = given(wallet(), dollars, *rate, cashier.limit("stake", "day", "100"), policy=POLICY)
        refused = story.when(bet("0.01", "e", currency="USD"))
        refused.then_refused("LIMIT_RATE_MISSING", currency="USD", limit_currency="EUR")
        accepts(story, bet("1", "f"))


def test_r14_gross_and_net_deposits():
    """What is withdrawn gives room back to the net limit alone."""
    moved = cashier.deposit("50"), cashier.withdraw("30")
    story = protected("deposit", "day", "50", *moved)
    story.when(cashier.deposit("0.01")).then_refused("LIMIT_REACHED", used="50.00")
    story = protected("net_deposit", "day", "50", *moved)
    story.when(cashier.deposit("30.01")).then_refused("LIMIT_REACHED", used="20.00")
    accepts(story, cashier.deposit("30"))


def test_r16_a_raise_waits():
    """Until its time to the microsecond; and where it has to be confirmed, until that is done."""
    after = operator.at(DAY_1 + DAY_US)
    raised = protected("deposit", "week", "50", cashier.limit("deposit", "week", "80"))
    raised.when(operator.at(DAY_1 + DAY_US - 1).deposit("50.01")).then_refused("LIMIT_REACHED", limit="50.00")
    accepts(raised, after.deposit("50.01"))
    asked = cashier.limit("deposit", "week", "80", confirm_within_s=7 * 86_400)
    unconfirmed = protected("deposit", "week", "50", asked)
    unconfirmed.when(after.deposit("50.01")).then_refused("LIMIT_REACHED", limit="50.00")
    accepts(unconfirmed, after.confirm("deposit/week/player"), after.deposit("50.01"))


def test_a_raise_is_confirmed_in_time():
    """Neither before its wait is over, nor too late, nor where nothing waits."""
    asked = cashier.limit("deposit", "day", "80", confirm_within_s=60)
    story = protected("deposit", "day", "50", asked)
    for at in (DAY_1 + DAY_US - 1, DAY_1 + DAY_US + 60 * SECOND_US):
        story.when(operator.at(at).confirm("deposit/day/player")).then_refused("LIMIT_NOT_DUE")
    story.when(cashier.confirm("loss/day/player")).then_refused("LIMIT_NOT_FOUND")
    story.when(operator.at(DAY_1 + DAY_US).confirm("deposit/day/player"))
    story.then(LimitSet, status="confirmed", limit_minor=8000, pending_minor=None, effective_at=None, confirm_by=None)
    story.when(operator.at(DAY_1 + DAY_US).confirm("deposit/day/player")).then_refused("LIMIT_NOT_FOUND")


@pytest.mark.parametrize(
    ("asked", "effective"), [("2026-01-17 23:00", "2026-01-20 23:00"), ("2026-01-12 12:00", "2026-01-18 23:00")]
)
def test_r17_r18_a_raise_waits_for_the_end_of_the_period(asked, effective):
    """Seventy-two hours, and never before the running week of the player's calendar has ended."""
    waits = {"raise_after_s": 72 * 3600, "after_period_end": True, "calendar": "Europe/Stockholm@1"}
    before = operator.at(utc("2026-01-05 12:00")).limit("deposit", "week", "50")
    story = given(wallet(), before).when(operator.at(utc(asked)).limit("deposit", "week", "80", **waits))
    story.then(LimitSet, status="pending", effective_at=utc(effective), limit_minor=5000, pending_minor=8000)


def test_r19_lower_is_at_once():
    """Also below what is used: nothing is taken back, nothing more comes in. A raise that waited is over."""
    story = protected("deposit", "day", "50", cashier.deposit("30"), cashier.limit("deposit", "day", "80"))
    story.when(cashier.limit("deposit", "day", "20"))
    story.then(LimitSet, status="set", limit_minor=2000, pending_minor=None, effective_at=None)
    story.when(cashier.deposit("0.01")).then_refused("LIMIT_REACHED", used="30.00", limit="20.00")


def test_r20_a_single_stake_is_that_of_a_round():
    """Debits of one round count together, those of another do not; a free one has the size of its face value."""
    story = protected("single_stake", "round", "2", here.debit("1.20", "b1", "r"))
    story.when(here.debit("0.90", "b2", "r")).then_refused("LIMIT_REACHED", used="1.20", asked="0.90")
    accepts(story, here.debit("0.90", "b3", "r2"), here.rollback("b1", "r"), here.debit("0.90", "b4", "r"))
    story.when(here.debit("2.01", "b5", "r3", stake_kind=FREE)).then_refused("LIMIT_REACHED", asked="2.01")


def test_only_a_single_stake_looks_at_its_round():
    """A round may have many bets, and no other limit pays for them."""
    with mock.patch.object(State, "bets_of_round", side_effect=AssertionError("the round was looked at")):
        accepts(protected("stake", "day", "5", cashier.limit("loss", "week", "5")), bet("5", "a"))


def test_r21_what_is_no_stake_and_no_deposit_always_passes():
    """Wins, refunds and withdrawals, of who has reached all limits and is excluded."""
    story = protected("stake", "day", "5", cashier.limit("deposit", "day", "0"), bet("5", "a"), bet("0.01", "x", DAY_2))
    accepts(story, cashier.restrict(SELF_EXCLUDED))
    story.when(bet("0.01", "b")).then_refused("PLAYER_RESTRICTED")
    accepts(story, won("9", "a"), cashier.withdraw("9"), here.award("5"), here.rollback("x", "r-x"))
    story.when(cashier.deposit("0.01")).then_refused("LIMIT_REACHED")


def test_of_several_the_one_with_the_least_room_is_named():
    """Each who may set one has their own, and the lowest of all counts."""
    story = protected("stake", "day", "10", cashier.limit("stake", "week", "9"), bet("8", "a"))
    story.when(bet("3", "b")).then_refused("LIMIT_REACHED", limit_id="stake/week/player")
    accepts(story, cashier.limit("stake", "week", "8.50", set_by="regulator"))
    story.when(bet("3", "b")).then_refused("LIMIT_REACHED", limit_id="stake/week/regulator")


def test_a_loss_limit_lets_bonus_money_be_staked():
    """It is not the player's own; nor do demo and free stakes lose any."""
    story = given(wallet(0, bonus=500), session("demo", mode=DEMO), cashier.limit("loss", "day", "0"), policy=POLICY)
    demo = here.bet("5", "b2", session_id="demo", key=None)
    accepts(story, bet("5", "a"), replace(demo, session_id="demo"), bet("5", "free", stake_kind=FREE))


def test_removing_is_the_highest_raise():
    """It waits as one; then nothing is left of the limit. What is not there is removed already."""
    story = protected("stake", "day", "5", cashier.limit("stake", "day", None))
    story.when(bet("6", "a")).then_refused("LIMIT_REACHED")
    accepts(story, bet("6", "b", DAY_1 + DAY_US))
    story.when(operator.at(DAY_1 + DAY_US).limit("stake", "day", None)).then(LimitSet, status="removed")
    assert story.state.player("acme", "ann").limits == ()
    story.when(cashier.limit("loss", "day", None)).then_nothing(status="removed")


def test_a_new_raise_waits_anew():
    """What waited before is forgotten; what had begun by then counts."""
    story = protected("stake", "day", "5", cashier.limit("stake", "day", "8"))
    story.when(operator.at(DAY_1 + HOUR).limit("stake", "day", "9"))
    story.then(LimitSet, limit_minor=500, pending_minor=900, effective_at=DAY_1 + HOUR + DAY_US)
    story.when(operator.at(DAY_2 + 2 * HOUR).limit("stake", "day", "11"))
    story.then(LimitSet, limit_minor=900, pending_minor=1100, effective_at=DAY_2 + 2 * HOUR + DAY_US)


def test_the_same_again_is_no_news():
    """No event says what is so already."""
    story = protected("stake", "day", "5")
    story.when(cashier.limit("stake", "day", "5")).then_nothing(status="set", limit_id="stake/day/player")


def test_what_cannot_be_a_limit_is_refused():
    """Without a wallet, a reason or room; and in another currency than it has."""
    story = protected("stake", "day", "5", wallet(0, currency="USD"))
    story.when(cashier.limit("stake", "day", "5", player="bob")).then_refused("WALLET_NOT_FOUND")
    story.when(cashier.limit("stake", "day", "5", reason=" ")).then_refused("REASON_MISSING")
    story.when(cashier.limit("stake", "day", "5.001")).then_refused("AMOUNT_SCALE")
    story.when(cashier.limit("stake", "day", "5", currency="USD")).then_refused("CURRENCY_MISMATCH", expected="EUR")
    periods = [(kind, period) for kind in ("deposit", "net_deposit", "loss") for period in ("day", "week", "month")]
    for set_by in ("player", "operator", "regulator"):
        for kind, period in periods[: MAX_LIMITS // 3]:
            story.when(cashier.limit(kind, period, "5", set_by=set_by))
    story.then_refused("LIMITS_TOO_MANY", maximum=MAX_LIMITS)


def test_the_player_s_calendar_says_when_a_day_begins():
    """It is set with a limit, and counts for all of them; what was counted stays."""
    late = utc("2026-01-15 23:30")
    story = protected("stake", "day", "5", bet("5", "a"))
    story.when(bet("5", "b", late)).then_refused("LIMIT_REACHED")
    story.when(cashier.limit("loss", "day", "90", calendar="Europe/Berlin@1")).then(
        LimitSet, calendar="Europe/Berlin@1"
    )
    story.when(bet("5", "c", late - HOUR)).then_refused("LIMIT_REACHED")
    accepts(story, bet("5", "d", late))


FAULTS: dict[str, tuple[Any, Callable[[], None]]] = {
    "a loss counts gross stakes": (
        mock.patch.dict(limits._USED, {limits.LOSS: lambda tally: tally.cash_stake_minor}),
        test_r6_r7_a_loss_is_what_is_staked_less_what_is_won,
    ),
    "what is won is not recorded": (
        mock.patch.object(wins, "won", return_value=None),
        test_r6_r7_a_loss_is_what_is_staked_less_what_is_won,
    ),
    "a limit knows no currency": (
        mock.patch.object(limits, "_converted", return_value=limits._as_it_is),
        test_r12_r13_another_currency_counts_by_conversion,
    ),
    "a raise is in force at once": (
        mock.patch.object(limits, "in_force", lambda limit, _: limit.pending_minor or limit.amount_minor),
        test_r16_a_raise_waits,
    ),
    "a raise never comes": (
        mock.patch.object(limits, "in_force", lambda limit, _: limit.amount_minor),
        test_r16_a_raise_waits,
    ),
    "a raise needs no confirmation": (
        mock.patch.object(
            limits,
            "in_force",
            lambda limit, at: limit.pending_minor if at >= limit.effective_at > 0 else limit.amount_minor,
        ),
        test_r16_a_raise_waits,
    ),
    "equal is too much": (
        mock.patch.object(limits, "in_force", lambda limit, _: limit.amount_minor and limit.amount_minor - 1),
        test_r1_r2_r3_a_limit_is_reached_and_not_passed,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_by_its_example(fault):
    """Seen in other ledgers, most of them."""
    patch, example = FAULTS[fault]
    with patch, pytest.raises(AssertionError):
        example()
