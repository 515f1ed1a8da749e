"""Bets in another currency than the wallet's: the rate is locked at the bet, rounds against the player, and `fx` keeps what is left."""

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from ledger.core.bets import BetAuthorized
from ledger.core.exchange import Conversion
from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR
from ledger.core.policy import AT_AUTHORIZATION, REFUND, REVERSE
from ledger.core.rollbacks import BetReinstated, BetRolledBack, WinReversed
from ledger.core.rounds import RoundFinished
from ledger.core.state import Rate
from ledger.core.wins import BetSettled
from tests.ledger.core.scene import SESSIONLESS, ask, session, wallet
from tests.support.commands import NOW
from tests.support.story import given

FOREIGN = {"currency": "USD", "wallet_currency": "EUR"}
RATE = Rate("acme", "USD", "EUR", 2, 3, 2, "bank", NOW - 60_000_000)
POLICY = replace(SESSIONLESS, rate_max_age_s=61, rollback_of_win=REVERSE)


def scene(*more, cash=1000, rate=RATE, **policy):
    return given(wallet(cash), rate, *more, policy=replace(POLICY, **policy))


@pytest.mark.parametrize("capture", ["settlement", AT_AUTHORIZATION])
def test_a_foreign_stake_is_rounded_up(capture):
    """1.00 USD at 2/3 costs 0.67 EUR. The house gets what was asked for; `fx` stands between, now or at the capture."""
    story = scene(capture=capture).when(ask.debit("1", **FOREIGN))
    captured = [("fx", 67), ("fx", -100, "USD"), ("house", 100, "USD")]
    story.then(BetAuthorized, ("cash", -67), *([("held", 67)] if capture == "settlement" else captured), stake_minor=67)
    assert story.decision
    story.when(ask.settle("0", currency="USD"))
    story.then(BetSettled, *([("held", -67), *captured] if capture == "settlement" else []))


def test_a_foreign_win_is_rounded_down():
    """At the bet's rate, whatever the rate is by then."""
    story = scene(ask.debit("1", **FOREIGN)).when(ask.settle("1", currency="USD"))
    story.then(BetSettled, ("held", -67), ("fx", 1), ("cash", 66), win_minor=66)
    story = scene(ask.debit("1", **FOREIGN))
    story.state.put(replace(RATE, numerator=1, denominator=1))
    story.when(ask.settle("2", currency="USD"))
    story.then(BetSettled, ("held", -67), ("fx", -66), ("cash", 133), ("fx", 100, "USD"), ("house", -100, "USD"))


@pytest.mark.parametrize("capture", ["settlement", AT_AUTHORIZATION])
def test_a_refund_gives_back_exactly_what_was_taken(capture):
    """Not what the amount is worth: the converted stake itself."""
    story = scene(capture=capture).when(ask.debit("1", **FOREIGN)).when(ask.rollback())
    source = [("held", -67)] if capture == "settlement" else [("fx", -67), ("fx", 100, "USD"), ("house", -100, "USD")]
    story.then(BetRolledBack, *source, ("cash", 67)).and_wallet(cash=1000)


def test_everything_undone_leaves_nothing_behind():
    """A settlement, its reversal, the rollback, its reinstatement and another rollback: all accounts are where they were."""
    story = scene(rollback_of_settled=REVERSE).when(ask.debit("1", **FOREIGN))
    story.when(ask.settle("7", currency="USD", win_id="w1")).when(ask.undo_win())
    story.then(WinReversed, ("fx", 399), ("held", 67), ("cash", -466), ("fx", -600, "USD"), ("house", 600, "USD"))
    story.when(ask.settle("7", currency="USD")).when(ask.rollback())
    story.then(BetRolledBack, ("fx", 399), ("cash", -399), ("fx", -600, "USD"), ("house", 600, "USD"))
    story.when(ask.reinstate()).then(BetReinstated, ("cash", -67), ("held", 67))
    story.when(ask.rollback()).and_wallet(cash=1000)
    captured = story.under(capture=AT_AUTHORIZATION).when(ask.reinstate())
    captured.then(BetReinstated, ("cash", -67), ("fx", 67), ("fx", -100, "USD"), ("house", 100, "USD"))


def test_a_round_keeps_its_first_rate():
    """A later bet and a win of the round take it; another round takes the newest."""
    story = scene(ask.debit("1", **FOREIGN))
    story.state.put(replace(RATE, numerator=1, denominator=1))
    story.when(ask.debit("1", "b2", **FOREIGN)).then(BetAuthorized, ("cash", -67), ("held", 67))
    story.when(ask.debit("1", "b3", "r2", **FOREIGN)).then(BetAuthorized, ("cash", -100), ("held", 100))
    story.when(ask.win("1", currency="USD")).then(
        BetSettled, ("fx", -66), ("cash", 66), ("fx", 100, "USD"), ("house", -100, "USD")
    )
    story.when(ask.finish(currency="USD")).then(
        RoundFinished, ("held", -134), ("fx", 134), ("fx", -200, "USD"), ("house", 200, "USD"), currency="EUR"
    )


def test_a_rate_must_be_there_and_young():
    """To the microsecond; a policy of 0 seconds takes no rate at all, and a round that has locked one needs no other."""
    given(wallet(), policy=POLICY).when(ask.debit(**FOREIGN)).then_refused("RATE_NOT_AVAILABLE", currency="USD")
    scene(rate_max_age_s=60).when(ask.debit(**FOREIGN)).then_refused("RATE_NOT_AVAILABLE", wallet_currency="EUR")
    scene(rate_max_age_s=0, rate=replace(RATE, as_of=NOW)).when(ask.debit(**FOREIGN)).then_refused("RATE_NOT_AVAILABLE")
    story = scene().when(ask.debit("1", **FOREIGN))
    story.when(ask.at(NOW + 10**9).debit("1", "b2", **FOREIGN)).then(BetAuthorized, ("cash", -67), ("held", 67))


def test_a_win_without_a_locked_rate_is_refused():
    """Never converted at today's: neither of a round without bets nor of a bet in the wallet's own currency."""
    scene(win_needs_bet=False).when(ask.win(**FOREIGN)).then_refused("RATE_NOT_LOCKED", currency="USD")
    story = scene(ask.debit()).when(ask.settle(**FOREIGN)).then_refused("RATE_NOT_LOCKED", wallet_currency="EUR")
    story.when(ask.win(**FOREIGN)).then_refused("RATE_NOT_LOCKED")


def test_a_foreign_bet_is_settled_in_its_own_currency():
    """The wallet's currency is as wrong as any other."""
    scene(ask.debit(**FOREIGN)).when(ask.settle()).then_refused("CURRENCY_MISMATCH", currency="EUR", expected="USD")


def test_foreign_amounts_are_bounded_before_and_after():
    """Decimals of the asked currency, and the caps of both."""
    story = scene().when(ask.debit("1.001", **FOREIGN)).then_refused("AMOUNT_SCALE", currency="USD", exponent=2)
    story.when(ask.settle("0.001", currency="USD")).then_refused("BET_NOT_FOUND")
    dear = scene(cash=MAX_BALANCE_MINOR, rate=replace(RATE, numerator=2, denominator=1))
    dear.when(ask.debit(str(MAX_AMOUNT_MINOR // 100), **FOREIGN)).then_refused("AMOUNT_TOO_LARGE")
    dear.when(ask.debit("1", **FOREIGN)).when(ask.settle("0.001", currency="USD")).then_refused("AMOUNT_SCALE")
    scene(cash=66).when(ask.debit("1", **FOREIGN)).then_refused("INSUFFICIENT_FUNDS", asked="0.67", available="0.66")


def test_a_demo_win_is_bounded_too():
    """No rate makes more of it than an event can say."""
    dear = replace(RATE, numerator=10**15, denominator=1)
    story = given(wallet(), session(mode="demo"), dear, policy=POLICY)
    story.when(ask.bet("0.01", currency="USD", wallet_currency="EUR")).then(BetAuthorized, stake_minor=10**15)
    story.when(ask.settle("9999999999999", currency="USD")).then_refused("BALANCE_TOO_LARGE")


@pytest.mark.parametrize("free", [True, False])
def test_a_foreign_bet_that_nobody_paid_moves_nothing(free):
    """A free bet locks its rate for its win."""
    story = scene(capture=AT_AUTHORIZATION, rollback_of_settled=REFUND)
    story.when(ask.debit("1" if free else "0", **FOREIGN, stake_kind="free" if free else "bet"))
    if not free:
        story.then_refused("AMOUNT_NOT_POSITIVE")
        return
    story.then(BetAuthorized, stake_minor=67)
    story.when(ask.settle("1", currency="USD")).then(
        BetSettled, ("fx", -66), ("cash", 66), ("fx", 100, "USD"), ("house", -100, "USD")
    )
    story.when(ask.rollback()).then(BetRolledBack, stake_minor=0)


@over(st.integers(0, 10**15), st.integers(0, 9), st.integers(1, 10**18), st.integers(1, 10**18), st.integers(0, 9))
def test_the_one_rounding_is_exact_and_against_the_player(
    amount_minor, exponent, numerator, denominator, wallet_exponent
):
    """As the fractions themselves say: up for a stake, down for a win, never a float between."""
    conversion = Conversion("USD", exponent, amount_minor, numerator, denominator, "bank", 0)
    worth = Fraction(amount_minor, 10**exponent) * Fraction(numerator, denominator) * 10**wallet_exponent
    assert conversion.stake_minor(wallet_exponent) == ceil(worth)
    assert conversion.win_minor(wallet_exponent) == floor(worth)
