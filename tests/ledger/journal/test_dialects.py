"""What providers' own protocols ask, through the journal and back: wins, rounds, rollbacks of anything, rates, restrictions."""

import asyncio
import time
from dataclasses import replace

import psycopg
import pytest

from ledger.admin import rates
from ledger.core.policy import ACCEPT, ACKNOWLEDGE, AT_AUTHORIZATION, CURRENT, IGNORED, REFUND, REFUSE, REVERSE
from ledger.core.state import Rate
from ledger.journal.writer import Journal
from tests.support import history
from tests.support.commands import BY, Asks
from tests.support.journals import accepted, ask_one, callback, players, run, settings_of

ask = Asks()
operator = Asks(integration_id=None)
LOOSE = {"session": IGNORED, "rollback_of_win": REVERSE, "rollback_of_settled": REVERSE}


@pytest.fixture
def database(ledger_database):
    yield ledger_database
    history.check(ledger_database)


def play(database, story):
    """Run `story` on a journal with one player, ann."""

    async def main():
        async with Journal(settings_of(database)) as journal:
            await players(journal, ask, ["ann"])
            await story(journal)

    run(main)


async def total(journal, text="0"):
    """Ann's balances, told by an adjustment of nothing."""
    return (await accepted(journal, operator.adjust(text))).balances


def test_a_round_is_played_and_finished(database):
    """Two bets, a win that names the round alone, and the end of the round, which takes what is held; nothing may be staked in it then."""

    async def story(journal):
        outcomes = await journal.submit(
            callback(ask.debit("2", "b1"), ask.debit("3", "b2"), ask.win("10", "w1"), **LOOSE)
        )
        assert [outcome.balances.cash_minor for outcome in outcomes] == [9800, 9500, 10500]
        assert (await accepted(journal, ask.finish(), **LOOSE)).balances.held_minor == 0
        assert (await accepted(journal, ask.finish(), **LOOSE)).unchanged
        assert (await ask_one(journal, ask.debit("1", "b3"), **LOOSE)).refusal_code == "ROUND_FINISHED"
        assert not (await ask_one(journal, ask.debit("1", "b3"), **LOOSE, bet_after_round_end=ACCEPT)).refusal_code

    play(database, story)


async def test_a_round_of_two_players_ends_for_one(database):
    """A live table's round id is shared: neither the win nor the end of one player touches the other."""

    async with Journal(settings_of(database)) as journal:
        await players(journal, ask, ["ann", "bob"])
        await accepted(journal, ask.debit("2", "b1"), **LOOSE)
        await accepted(journal, ask.debit("3", "b2", player="bob"), **LOOSE)
        await accepted(journal, ask.win("4"), **LOOSE)
        await accepted(journal, ask.finish(), **LOOSE)
        outcome = await accepted(journal, ask.debit("1", "b3", player="bob"), **LOOSE)
        assert outcome.balances.held_minor == 400
        assert (await ask_one(journal, ask.win(win_id="w9", player="cid"), **LOOSE)).refusal_code == "BET_NOT_FOUND"
        await accepted(journal, ask.rollback("b2", None), **LOOSE | {"rollback_of_settled": REFUSE})


def test_a_win_goes_back_and_forth(database):
    """A settled bet's win is rolled back: the bet is open again, and another settlement ends it, twice."""

    async def story(journal):
        await accepted(journal, ask.debit("2"), **LOOSE)
        for number in range(2):
            await accepted(journal, ask.settle("7", win_id=f"w{number}"), **LOOSE)
            undone = await accepted(journal, ask.undo_win(f"w{number}"), **LOOSE)
            assert (undone.balances.cash_minor, undone.balances.held_minor) == (9800, 200)
            assert (await accepted(journal, ask.undo_win(f"w{number}"), **LOOSE)).unchanged
        await accepted(journal, ask.settle("7"), **LOOSE)
        await accepted(journal, ask.finalize(), **LOOSE)
        assert (await ask_one(journal, ask.rollback(), **LOOSE)).refusal_code == "BET_FINAL"

    play(database, story)


def test_a_rollback_and_its_undoing(database):
    """A bet with a win is rolled back, win and all, spent money included, and reinstated: debts stay visible as a receivable."""

    async def story(journal):
        await accepted(journal, ask.debit("2"), **LOOSE)
        await accepted(journal, ask.settle("7"), **LOOSE)
        await accepted(journal, operator.withdraw("105"))
        undone = await accepted(journal, ask.rollback(), **LOOSE)
        assert (undone.balances.cash_minor, undone.balances.receivable_minor) == (0, -500)
        again = await accepted(journal, ask.reinstate(), **LOOSE)
        assert (again.balances.held_minor, again.balances.receivable_minor) == (200, -700)
        won = await accepted(journal, ask.settle("9"), **LOOSE)
        assert (won.balances.cash_minor, won.balances.receivable_minor) == (200, 0)

    play(database, story)


@pytest.mark.parametrize("target", ["bet", "any", "win"])
def test_a_rollback_that_overtook_is_remembered(database, target):
    """Whatever comes late under the id, bet, win or award, is refused or acknowledged, and moves nothing."""

    async def story(journal):
        tombstone = await accepted(journal, ask.rollback("x", None, player="ann", target=target), **LOOSE)
        assert tombstone.result["status"] == "tombstoned"
        late = [ask.debit("2", "x"), ask.award("2", "x"), ask.win("2", "x"), ask.settle("2", "x")]
        for command in late:
            assert (await ask_one(journal, command, **LOOSE)).refusal_code == "BET_TOMBSTONED"
            again = replace(command, origin=ask.origin())
            outcome = await accepted(journal, again, **LOOSE, late_bet=ACKNOWLEDGE)
            assert (outcome.result, outcome.unchanged) == ({"status": "acknowledged"}, True)
        assert (await total(journal)).cash_minor == 10_000

    play(database, story)


@pytest.mark.parametrize("first", ["win", "undo"])
def test_a_win_and_its_rollback_at_once(database, first):
    """Which of them wins the race, in one batch or in two: the money of the win never stays."""

    async def story(journal):
        for number in range(20):
            win = ask.award("5", f"a{number}")
            undo = ask.undo_win(f"a{number}", player="ann")
            pair = (win, undo) if first == "win" else (undo, win)
            outcomes = await asyncio.gather(*(ask_one(journal, command, **LOOSE) for command in pair))
            assert {outcome.refusal_code for outcome in outcomes} <= {None, "BET_TOMBSTONED"}
        balances = await total(journal)
        assert (balances.cash_minor, balances.receivable_minor) == (10_000, 0)

    play(database, story)


async def test_twins_of_a_win_pay_once(database):
    """The same win at the same moment in two processes, under one key or under two: one of them pays."""

    async with Journal(settings_of(database)) as one, Journal(settings_of(database)) as other:
        await players(one, ask, ["ann"])
        await accepted(one, ask.debit("2"), **LOOSE)
        for number in range(10):
            win = ask.win("5", f"w{number}")
            again = replace(win, origin=ask.origin() if number % 2 else win.origin)
            outcomes = await asyncio.gather(ask_one(one, win, **LOOSE), ask_one(other, again, **LOOSE))
            told = sorted(outcome.code for outcome in outcomes)
            assert told == (["ACCEPTED", "DUPLICATE"] if number % 2 else ["ACCEPTED", "REPEATED"])
        assert (await total(one)).cash_minor == 10_000 - 200 + 5_000


async def test_a_win_is_rolled_back_without_its_player(database):
    """The directory finds whose win it is, also in a journal that never saw it."""

    async with Journal(settings_of(database)) as journal:
        await players(journal, ask, ["ann"])
        await accepted(journal, ask.award("5"), **LOOSE)
    async with Journal(settings_of(database)) as journal:
        undone = await accepted(journal, ask.undo_win("a1"), **LOOSE)
        assert (undone.result["status"], undone.balances.cash_minor) == ("rolled_back", 10_000)


def test_a_restricted_player_is_paid(database):
    """Locked or excluded: no stake, but every win, refund and award; freed: stakes again."""

    async def story(journal):
        await accepted(journal, ask.debit("2", "b1"), **LOOSE)
        await accepted(journal, ask.debit("2", "b2"), **LOOSE)
        await accepted(journal, operator.restrict("self_excluded"))
        assert (await accepted(journal, operator.restrict("self_excluded"))).unchanged
        assert (await ask_one(journal, ask.debit("2", "b3"), **LOOSE)).refusal_code == "PLAYER_RESTRICTED"
        await accepted(journal, ask.settle("5"), **LOOSE)
        await accepted(journal, ask.rollback("b2"), **LOOSE)
        await accepted(journal, ask.award(), **LOOSE)
        await accepted(journal, operator.restrict(None))
        await accepted(journal, ask.debit("2", "b3"), **LOOSE)

    play(database, story)


def test_a_repeat_tells_the_current_balance(database):
    """Where the policy says so the balance is today's and the rest the stored one, and the money moves once."""

    async def story(journal):
        bet = ask.debit("2", "b1")
        first = await accepted(journal, bet, **LOOSE)
        await accepted(journal, ask.award("50"), **LOOSE)
        stored = await accepted(journal, bet, **LOOSE)
        current = await accepted(journal, bet, **LOOSE, replay_balance=CURRENT)
        assert (stored.answer, stored.balances) == (first.answer, first.balances)
        assert (current.replayed, current.result, current.balances.cash_minor) == (True, first.result, 14_800)
        assert b"14800" in current.answer
        again = replace(bet, session_id="another token")
        assert (await accepted(journal, again, **LOOSE)).replayed

    play(database, story)


def test_a_partly_known_callback(database):
    """The new commands of a callback are applied and the known ones repeated; or all of it is refused."""

    async def story(journal):
        first, second = ask.debit("2", "b1"), ask.debit("3", "b2")
        await accepted(journal, first, **LOOSE)
        refused = await journal.submit(callback(first, second, **LOOSE, partial_duplicate=REFUSE))
        assert [outcome.refusal_code for outcome in refused] == ["BATCH_PARTLY_KNOWN"]
        applied = await journal.submit(callback(first, second, **LOOSE))
        assert [outcome.replayed for outcome in applied] == [True, False]
        repeated = await journal.submit(callback(first, second, **LOOSE, partial_duplicate=REFUSE))
        assert [outcome.replayed for outcome in repeated] == [True, True]

    play(database, story)


def set_rate(database, numerator, denominator, as_of, base="USD", quote="EUR", exponent=2):
    with psycopg.connect(database) as connection:
        rates.add(connection, [Rate("acme", base, quote, numerator, denominator, exponent, "bank", as_of)], by=BY)


def test_a_foreign_round_keeps_its_rate(database):
    """The bet locks the newest rate; its later bets, wins and refunds use that one, and every currency sums to zero."""
    now = time.time_ns() // 1000
    foreign = {"currency": "USD", "wallet_currency": "EUR"}
    policy = LOOSE | {"rate_max_age_s": 3600}

    async def story(journal):
        asks = ask.at(now)
        assert (await ask_one(journal, asks.debit("1", **foreign), **policy)).refusal_code == "RATE_NOT_AVAILABLE"
        set_rate(database, 1, 2, now - 2_000_000)
        set_rate(database, 2, 3, now - 1_000_000)
        bet = await accepted(journal, asks.debit("1", **foreign), **policy)
        assert bet.balances.cash_minor == 10_000 - 67
        set_rate(database, 9, 10, now)
        await accepted(journal, asks.debit("1", "b2", **foreign), **policy)
        won = await accepted(journal, asks.win("1", **foreign), **policy)
        assert won.balances.cash_minor == 10_000 - 67 - 67 + 66
        back = await accepted(journal, asks.rollback("b2", player="ann"), **policy | {"rollback_of_settled": REFUND})
        assert back.balances.cash_minor == 10_000 - 67 + 66
        undone = await accepted(journal, asks.undo_win("w1"), **policy)
        assert undone.balances.cash_minor == 10_000 - 67
        ended = await accepted(journal, asks.finish(currency="USD"), **policy)
        assert (ended.balances.currency, ended.balances.held_minor) == ("EUR", 0)
        other = await accepted(journal, asks.debit("1", "b3", "r2", **foreign), **policy, capture=AT_AUTHORIZATION)
        assert other.balances.cash_minor == 10_000 - 67 - 90

    play(database, story)


def test_a_rollback_in_the_batch_of_its_bet_finds_the_wins_of_the_round(database):
    """Who is decided together is decided as one after the other: a paid round's bet is not refunded because it is young."""

    async def story(journal):
        await journal.submit(callback(ask.debit("2", "b1"), ask.win("5", "w1"), session=IGNORED))
        bet, undone = await asyncio.gather(
            ask_one(journal, ask.debit("2", "b2"), session=IGNORED),
            ask_one(journal, ask.rollback("b2", None, player="ann"), session=IGNORED),
        )
        assert (bet.refusal_code, undone.refusal_code) == (None, "BET_ALREADY_SETTLED")
        assert (await total(journal)).held_minor == 400

    play(database, story)


def test_a_rate_fits_the_wallets(database):
    """A rate with other decimals than the tenant's wallets have would put two units into one account: the table refuses it."""

    async def story(_):
        with pytest.raises(rates.RateError, match="wallets in EUR do not have 3 decimals"):
            set_rate(database, 1, 1, 1, base="EUR", quote="USD", exponent=3)

    play(database, story)


def test_a_launch_opens_a_session_for_another_integration(database):
    """Only the integration whose session it is can bet in it."""

    async def story(journal):
        launched = await accepted(journal, operator.start_session(for_integration=ask.integration_id))
        session_id = launched.result["session_id"]
        await accepted(journal, ask.bet("2", session_id=session_id))
        other = Asks(integration_id="acme/eu/reel")
        assert (await ask_one(journal, other.bet("2", session_id=session_id))).refusal_code == "SESSION_NOT_FOUND"

    play(database, story)
