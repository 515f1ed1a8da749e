"""Bets in another currency than the wallet's, through the journal: each currency sums to zero, and rounding has a place."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from ledger.admin import rates
from ledger.journal.writer import Journal
from tests.support import history
from tests.support.commands import BY, Asks
from tests.support.journals import accepted, ask_one, run, settings_of

FOREIGN = {"player": "ann", "currency": "USD", "wallet_currency": "EUR"}
POLICY = {"rate_max_age_s": 3600}


def add_rate(database: str, text: str, as_of: datetime | None = None) -> None:
    fields = {"base": "USD", "quote": "EUR", "rate": text, "source": "bank", "base_exponent": "2"}
    now = datetime.now(UTC)
    with psycopg.connect(database) as connection:
        rates.add(connection, [rates.parse("acme", fields, as_of or now)], by=BY)


@pytest.fixture
def played(ledger_database):
    """`played(test, **policy)`: ann has 100.00 EUR; afterwards the database is checked and its accounts are returned."""

    def play(test):
        async def main():
            ask = Asks(now=time.time_ns() // 1000)
            async with Journal(settings_of(ledger_database)) as journal:
                await accepted(journal, ask.open_wallet())
                await accepted(journal, ask.deposit("100"))
                session = (await accepted(journal, ask.start_session())).result["session_id"]

                async def asked(command, **policy):
                    return await ask_one(journal, command, **{**POLICY, **policy})

                await test(ask, session, asked)

        run(main)
        books = history.check(ledger_database)
        accounts = Counter()
        for record in books.records:
            for posting in record["postings"]:
                accounts[posting["account"], posting["currency"]] += posting["amount_minor"]
        for currency in ("EUR", "USD"):
            assert sum(amount for (_, code), amount in accounts.items() if code == currency) == 0
        return {account: amount for account, amount in accounts.items() if amount}

    return play


@pytest.mark.parametrize("capture", ["settlement", "authorization"])
def test_the_win_comes_at_the_rate_of_its_bet(ledger_database, played, capture):
    """The rate moves between bet and win: the win does not. The stake is rounded up, the win down, `fx` has the rest."""
    add_rate(ledger_database, "0.9217")

    async def play(ask, session, asked):
        bet = ask.bet("1.01", session_id=session, **FOREIGN)
        assert (await asked(bet, capture=capture)).refusal_code is None
        add_rate(ledger_database, "2")
        won = await asked(ask.settle("2.01", currency="USD"), capture=capture)
        assert won.balances.cash_minor == 10000 - 94 + 185

    # 1.01 × 0.9217 = 0.930917, and 2.01 × 0.9217 = 1.852617: the player pays 0.94 and gets 1.85.
    assert played(play) == {
        ("cashier", "EUR"): -10000, ("cash", "EUR"): 10091, ("fx", "EUR"): -91, ("fx", "USD"): 100, ("house", "USD"): -100,
    }  # fmt: skip


def test_a_refund_gives_back_what_was_taken(ledger_database, played):
    """To the cent, whatever the rate is by then, and nothing stays on `fx`."""
    add_rate(ledger_database, "0.3333")

    async def play(ask, session, asked):
        assert (await asked(ask.bet("1", session_id=session, **FOREIGN))).balances.cash_minor == 9966
        add_rate(ledger_database, "3")
        assert (await asked(ask.rollback())).balances.cash_minor == 10000

    assert played(play) == {("cashier", "EUR"): -10000, ("cash", "EUR"): 10000}


def test_a_round_has_one_rate(ledger_database, played):
    """A second bet of the round takes the rate that the first one locked."""
    add_rate(ledger_database, "0.5")

    async def play(ask, session, asked):
        await asked(ask.bet("1", "b1", session_id=session, **FOREIGN))
        add_rate(ledger_database, "0.9")
        assert (await asked(ask.bet("1", "b2", session_id=session, **FOREIGN))).balances.held_minor == 100
        assert (await asked(ask.bet("1", "b3", "r2", session_id=session, **FOREIGN))).balances.held_minor == 190

    played(play)


def test_without_a_young_rate_there_is_no_bet(ledger_database, played):
    """None at all, one that is too old, or an integration that allows none: refused, never converted; it works once
    there is one."""

    async def play(ask, session, asked):
        bet = ask.bet("1", session_id=session, **FOREIGN)
        assert (await asked(bet)).refusal_code == "RATE_NOT_AVAILABLE"
        add_rate(ledger_database, "0.5", datetime(2026, 1, 1, tzinfo=UTC))
        assert (await asked(bet)).refusal_code == "RATE_NOT_AVAILABLE"
        add_rate(ledger_database, "0.5")
        fresh = Asks(now=time.time_ns() // 1000)
        bet = fresh.bet("1", session_id=session, key=bet.origin.idempotency_key, **FOREIGN)
        assert (await asked(bet, rate_max_age_s=0)).refusal_code == "RATE_NOT_AVAILABLE"
        assert (await asked(bet)).refusal_code is None

    assert played(play)[("held", "EUR")] == 50


def test_a_win_of_no_bet_is_never_converted(ledger_database, played):
    """Today's rate is nobody's."""
    add_rate(ledger_database, "0.5")

    async def play(ask, session, asked):
        win = ask.win("1", currency="USD", wallet_currency="EUR")
        assert (await asked(win, win_needs_bet=False)).refusal_code == "RATE_NOT_LOCKED"
        await asked(ask.bet("1", session_id=session))
        assert (await asked(ask.settle("1", currency="USD"))).refusal_code is not None

    played(play)


def test_a_currency_has_one_unit(ledger_database, played):
    """Whose decimals came first, a wallet's or a rate's, has fixed them: the house's dollars are never cents and mills."""
    add_rate(ledger_database, "0.5")

    async def play(ask, session, asked):
        assert (await asked(ask.bet("1", session_id=session, **FOREIGN))).refusal_code is None
        assert (await asked(ask.open_wallet("bob", "USD", 4))).refusal_code == "EXPONENT_FIXED"
        assert (await asked(ask.open_wallet("bob", "USD", 2))).refusal_code is None
        fields = {"base": "GBP", "quote": "EUR", "rate": "1.1", "source": "bank"}
        with psycopg.connect(ledger_database) as connection:
            rates.add(connection, [rates.parse("acme", fields | {"base_exponent": "3"}, datetime.now(UTC))], by=BY)
            with pytest.raises(rates.RateError, match="other rates from GBP do not have 2 decimals"):
                rates.add(connection, [rates.parse("acme", fields | {"base_exponent": "2"}, datetime.now(UTC))], by=BY)

    played(play)


def test_a_repeat_outlives_a_change_of_the_wallets_currency(ledger_database, played):
    """What an integration's option adds is not what its provider asked: the same call is the same call."""

    async def play(ask, session, asked):
        bet = ask.bet("1", session_id=session, player="ann")
        first = await asked(bet)
        again = await asked(replace(bet, wallet_currency="USD"))
        assert (again.replayed, again.refusal_code, again.answer) == (True, None, first.answer)

    played(play)
