"""Limits under load and with what they need besides: whatever comes at once, none is exceeded by a cent."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from ledger.admin import rates
from ledger.journal.writer import Journal
from tests.support import history
from tests.support.commands import BY, Asks
from tests.support.journals import accepted, ask_one, callback, players, run, settings_of

ask = Asks()


@pytest.fixture
def journals(ledger_database):
    """`journals(test)`: run a coroutine with two journals; afterwards the database is checked."""

    def with_journals(test):
        async def main():
            settings = settings_of(ledger_database)
            async with Journal(settings) as one, Journal(settings) as two:
                await test(one, two)

        run(main)
        return history.check(ledger_database)

    return with_journals


def test_a_thousand_bets_never_lose_more_than_the_limit(journals):
    """Sent all at once to two journals, beside wins that make room: as many begin as may, and not one more."""

    async def play(*both):
        (session,) = await players(both[0], ask, ["ann"])
        await accepted(both[0], ask.limit("loss", "day", "9.10"))
        bets = [ask.bet("0.10", f"b{n}", None, session_id=session) for n in range(1000)]
        outcomes = await asyncio.gather(*(both[n % 2].submit(callback(bet)) for n, bet in enumerate(bets)))
        codes = [outcome.refusal_code for (outcome,) in outcomes]
        assert (codes.count(None), codes.count("LIMIT_REACHED")) == (91, 909)
        won = next(bet.bet_id for bet, code in zip(bets, codes, strict=True) if code is None)
        await accepted(both[1], ask.settle("0.30", won, None))
        again = [ask.bet("0.10", f"c{n}", None, session_id=session) for n in range(9)]
        outcomes = await asyncio.gather(*(both[n % 2].submit(callback(bet)) for n, bet in enumerate(again)))
        assert [outcome.refusal_code for (outcome,) in outcomes].count(None) == 3

    found = journals(play)
    assert found.state.wallet("acme", "ann", "EUR").tallies.day.loss_minor == 910


def test_a_limit_in_the_same_batch_counts(journals):
    """What is decided behind it in one batch is decided again, with all that the limit needs."""

    async def play(one, _):
        await players(one, ask, ["ann"])
        limit = ask.limit("single_stake", "round", "2")
        bets = [ask.debit("1.50", f"b{n}", "r1") for n in range(3)]
        first, *others = await asyncio.gather(
            one.submit(callback(limit)), *(one.submit(callback(bet, session="ignored")) for bet in bets)
        )
        assert first[0].refusal_code is None
        assert [outcome.refusal_code for (outcome,) in others] == [None, "LIMIT_REACHED", "LIMIT_REACHED"]

    journals(play)


def test_wallets_and_rounds_that_a_limit_counts_are_read(journals, ledger_database):
    """A rate for the other wallet's currency, and the bets of the round: whoever asks names neither."""
    with psycopg.connect(ledger_database) as connection:
        given = {"base": "USD", "quote": "EUR", "rate": "0.9", "base_exponent": "2", "source": "bank"}
        rates.add(connection, [rates.parse("acme", given, datetime.now(UTC))], by=BY)

    async def play(one, two):
        await players(one, ask, ["ann"])
        await accepted(one, ask.open_wallet("ann", "USD"))
        await accepted(one, ask.deposit("100", "ann", "USD"))
        await accepted(one, ask.limit("stake", "day", "10"))
        loose = {"session": "ignored"}
        for journal, bet_id in ((one, "b1"), (two, "b2")):
            assert (await ask_one(journal, ask.debit("5", bet_id, "r1", currency="USD"), **loose)).refusal_code is None
        assert (await ask_one(one, ask.debit("1", "b3", "r1"), **loose)).refusal_code is None
        assert (await ask_one(one, ask.debit("0.01", "b4", "r1"), **loose)).refusal_code == "LIMIT_REACHED"
        await accepted(one, ask.limit("stake", "day", "100", raise_after_s=0))
        await accepted(one, ask.limit("single_stake", "round", "1.20"))
        assert (await ask_one(one, ask.debit("0.21", "b5", "r1"), **loose)).refusal_code == "LIMIT_REACHED"
        assert (await ask_one(one, ask.debit("0.20", "b6", "r2"), **loose)).refusal_code is None

    journals(play)


def test_a_bet_behind_its_session_is_limited_too(journals):
    """Whose it is comes to light in its batch; then it waits for the next one, where its round is read."""

    async def play(one, _):
        await players(one, ask, ["ann"])
        await accepted(one, ask.limit("single_stake", "round", "2"))
        await accepted(one, ask.debit("1.50", "b1", "r1"), session="ignored")
        started = ask.start_session()
        bet = ask.bet("1.50", "b2", "r1", session_id=started.named("s"))
        first, second = await asyncio.gather(one.submit(callback(started)), one.submit(callback(bet)))
        assert (first[0].refusal_code, second[0].refusal_code) == (None, "LIMIT_REACHED")

    journals(play)
