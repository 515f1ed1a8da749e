"""Abandoned bets: closed once, by the policy of their integration, and never against a settlement that was faster."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ledger.admin import integrations
from ledger.admin.secrets import Vault, new_secrets_key
from ledger.jobs import abandoned_bets
from ledger.jobs.abandoned_bets import Closing
from ledger.journal.writer import Journal
from ledger.outcome import Balances
from tests.support import history
from tests.support.commands import BY, Asks
from tests.support.journals import accepted, ask_one, players, run, settings_of

ask = Asks()
STATED = {
    "spin": {"policy.abandoned_after_s": "3600", "policy.rollback_of_settled": "reverse"},
    "reel": {"policy.abandoned_after_s": "7200", "policy.abandoned_action": "lose"},
    "open": {},
}
"""The providers of spin may undo what was settled: the job may not."""


@pytest.fixture
def database(ledger_database: str) -> str:
    vault = Vault(settings_of(ledger_database, secrets_key=new_secrets_key()))
    with psycopg.connect(ledger_database) as connection:
        for name, options in STATED.items():
            integrations.add(
                connection, vault, by=BY, tenant_id="acme", region="eu", provider_id=name, options=options,
                secret=f"a secret of {name}",
            )  # fmt: skip
    return ledger_database


@pytest.fixture
def played(database: str) -> Callable:
    """`played(test)`: run a coroutine with a journal; afterwards the database is checked and returned as it is."""

    def play(test):
        async def main():
            async with Journal(settings_of(database)) as journal:
                await test(journal)

        run(main)
        return history.check(database)

    return play


def found(database: str, hours: float) -> list[abandoned_bets.Abandoned]:
    """What is too old after so many hours."""
    with psycopg.connect(database) as connection:
        return abandoned_bets.find(connection, {}, datetime.now(UTC) + timedelta(hours=hours))


async def close(journal: Journal, database: str, hours: float) -> dict[str, str]:
    closings = await abandoned_bets.close(journal, found(database, hours))
    return {closing.hold.bet_id: closing.status for closing in closings}


def at(integration: str) -> Asks:
    return replace(ask, integration_id=f"acme/eu/{integration}")


async def bet(journal: Journal, integration: str, bet_id: str, text: str = "2") -> None:
    """A bet of ann's, in a session of its own."""
    asks = at(integration)
    session = (await accepted(journal, asks.start_session())).result["session_id"]
    await accepted(journal, asks.bet(text, bet_id, f"r-{bet_id}", session_id=session))


def test_each_integration_has_its_own_patience(database, played):
    """Refunded after one hour, lost after two, never touched without a policy; twice is once."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        for integration in STATED:
            await bet(journal, integration, f"b-{integration}")
        assert await close(journal, database, 0.9) == {}
        assert await close(journal, database, 1.1) == {"b-spin": "refunded"}
        assert await close(journal, database, 1.1) == {}
        assert await close(journal, database, 2.1) == {"b-reel": "lost"}
        assert await close(journal, database, 10_000) == {}

    books = played(play)
    assert Balances.of(books.state.wallet("acme", "ann", "EUR")) == Balances("EUR", 2, 9600, 0, 200, 0)
    closed = [record for record in books.records if record["idempotency_key"].startswith("abandoned:")]
    rolled_back, settled = closed
    assert (rolled_back["payload"]["reason"], rolled_back["idempotency_key"]) == ("abandoned", "abandoned:b-spin")
    assert (settled["payload"]["kind"], settled["idempotency_key"]) == ("abandoned", "abandoned:b-reel")


def test_two_jobs_at_once_close_a_bet_once(database, played):
    """They look at the same holds; the second one is told that it was done."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        for number in range(20):
            await bet(journal, "spin", f"b-{number}")
        holds = found(database, 2)
        assert len(holds) == 20
        async with Journal(settings_of(database)) as other:
            twice = await asyncio.gather(abandoned_bets.close(journal, holds), abandoned_bets.close(other, holds))
        statuses = sorted(closing.status for closings in twice for closing in closings)
        assert statuses == ["closed before"] * 20 + ["refunded"] * 20

    assert played(play).count("bet.rolled_back") == 20


@pytest.mark.parametrize("first", ["settlement", "job", "both"])
@pytest.mark.parametrize("integration", ["spin", "reel"])
def test_a_settlement_and_the_job_race(database, played, first, integration):
    """One of them ends the bet; the other one is told so, and nothing is paid twice or taken back."""
    heard: list[str | None] = []

    async def play(journal):
        await players(journal, ask, ["ann"])
        await bet(journal, integration, "b1")
        holds = found(database, 3)
        settle = at(integration).settle("5", "b1", "r-b1")
        policy = {"rollback_of_settled": "reverse", "win_after_rollback": "refuse"}

        async def settled() -> str | None:
            return (await ask_one(journal, settle, **policy)).refusal_code

        async def closed() -> Closing:
            (closing,) = await abandoned_bets.close(journal, holds)
            return closing

        if first == "settlement":
            heard.append(await settled())
            assert not (await closed()).closed
        elif first == "job":
            assert (await closed()).closed
            heard.append(await settled())
        else:
            code, closing = await asyncio.gather(settled(), closed())
            assert closing.closed == bool(code)
            heard.append(code)

    books = played(play)
    bet_was_paid = heard == [None]
    lost_or_back = 10000 if integration == "spin" else 9800
    assert books.state.wallet("acme", "ann", "EUR").cash_minor == (10300 if bet_was_paid else lost_or_back)
    if not bet_was_paid:
        assert heard == ["BET_ROLLED_BACK" if integration == "spin" else "BET_ALREADY_SETTLED"]


def test_a_round_that_was_paid_keeps_its_stake(database, played):
    """A win of its round says that the bet was played: its stake is lost, not given back beside the win."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        await bet(journal, "spin", "b1")
        won = at("spin").settle("5", "b1", "r-b1", ends_bet=False, win_id="w1")
        await accepted(journal, won)
        assert await close(journal, database, 2) == {"b1": "lost"}
        assert await close(journal, database, 2) == {}

    assert Balances.of(played(play).state.wallet("acme", "ann", "EUR")) == Balances("EUR", 2, 10300, 0, 0, 0)


@pytest.mark.parametrize("integration", ["spin", "reel"])
def test_the_end_of_a_round_stays(database, played, integration):
    """A round that ended while the job was looking has lost its bets: the job changes nothing about them."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        await bet(journal, integration, "b1")
        holds = found(database, 3)
        await accepted(journal, at(integration).finish("r-b1"))
        (closing,) = await abandoned_bets.close(journal, holds)
        assert (closing.status, closing.closed) == ("BET_ALREADY_SETTLED", False)

    assert Balances.of(played(play).state.wallet("acme", "ann", "EUR")) == Balances("EUR", 2, 9800, 0, 0, 0)


def test_a_bet_that_was_opened_again_is_its_provider_s(database, played):
    """The job closes a bet once; what was reinstated after that waits for its provider."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        await bet(journal, "spin", "b1")
        assert await close(journal, database, 2) == {"b1": "refunded"}
        await accepted(journal, at("spin").reinstate("b1"))
        assert await close(journal, database, 2) == {"b1": "closed before"}

    assert Balances.of(played(play).state.wallet("acme", "ann", "EUR")) == Balances("EUR", 2, 9800, 0, 200, 0)


def test_a_no_is_none_for_ever(database, played):
    """A bet that was settled when the job came, and whose win is taken back later, is open again and closed then."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        await bet(journal, "spin", "b1")
        holds = found(database, 2)
        await accepted(journal, at("spin").settle("5", "b1", "r-b1", win_id="w1"))
        (closing,) = await abandoned_bets.close(journal, holds)
        assert closing.status == "BET_ALREADY_SETTLED"
        await accepted(journal, at("spin").undo_win("w1"), rollback_of_win="reverse")
        assert await close(journal, database, 2) == {"b1": "refunded"}

    assert Balances.of(played(play).state.wallet("acme", "ann", "EUR")) == Balances("EUR", 2, 10000, 0, 0, 0)


def test_holds_are_listed_oldest_first(database, played):
    """With the age that their id tells, all integrations or one."""

    async def play(journal):
        await players(journal, ask, ["ann"])
        for number, integration in enumerate(("spin", "reel", "spin")):
            await bet(journal, integration, f"b{number}", "1.5")

    played(play)
    now = datetime.now(UTC)
    with psycopg.connect(database) as connection:
        holds = list(abandoned_bets.open_holds(connection, now))
        assert [hold.bet_id for hold in holds] == ["b0", "b1", "b2"]
        assert all(0 <= hold.age_s(now) < 60 and hold.held_minor == 150 for hold in holds)
        reel = abandoned_bets.open_holds(connection, now, integration_id="acme/eu/reel")
        assert [hold.bet_id for hold in reel] == ["b1"]
        assert list(abandoned_bets.open_holds(connection, holds[0].since - timedelta(milliseconds=1))) == []
        assert [h.bet_id for h in abandoned_bets.open_holds(connection, holds[0].since)][:1] == ["b0"]
