"""More callers than any pool, callers that vanish, and many writers over few wallets, with everything running and nothing killed."""

import asyncio
import random
from collections import Counter

import psycopg
import pytest

from tests.crash.casino import PATIENT_S, Casino, option
from tests.support.load import Call, Client, Line, Load, Wallet
from tests.support.waiting import until


def _sessions(load: Load) -> dict[Wallet, str]:
    """A live session for each wallet."""
    calls = [load.start_session(wallet) for wallet in load.wallets]
    load.repeat(calls)
    return {call.wallet: call.answer.body["session_id"] for call in calls if call.answer and call.accepted}


def _bets(load: Load, count: int, rng: random.Random) -> list[Call]:
    sessions = _sessions(load)
    wallets = [wallet for wallet in sessions if wallet.deposit_minor > 100_000]
    return [
        load.bet(wallet, sessions[wallet], load.name("b"), load.name("r"), rng.randint(1, 50))
        for wallet in rng.choices(wallets, k=count)
    ]


@pytest.mark.slow
def test_many_writers_over_few_wallets_lose_and_double_nothing(casino: Casino) -> None:
    """Many callers that all want the same few wallets, through two gateways, with duplicates and races: nothing is lost, nothing twice, every wallet's order kept to the read models."""
    with casino.new_load(clients=96, pause_s=0.0) as load:
        load.until_answered(int(option("STRESS_ANSWERS", 3000)))
    casino.check(
        "duplicates while the first was in flight",
        "bets after their rollback",
        "settlements before their bet that worked later",
    )


@pytest.mark.slow
def test_two_thousand_callers_at_once_are_all_answered(casino: Casino) -> None:
    """Two thousand callers with a connection each, far more than any pool: each hears an answer or a clean retryable error in time; none hangs."""
    load = casino.new_load(timeouts_s=PATIENT_S)
    bets = _bets(load, 2000, casino.rng)

    async def all_at_once(load: Load) -> None:
        async def one(bet: Call, gateway: str) -> None:
            async with Client(load) as client:
                await client.attempt(bet, gateway)

        async with asyncio.TaskGroup() as group:
            for number, bet in enumerate(bets):
                group.create_task(one(bet, load.gateways[number % 2]))

    load.run(all_at_once)
    firsts = [bet.attempts[0] for bet in bets]
    print(f"first answers: {Counter(first.code or first.status for first in firsts)}")
    assert all(first.status is not None for first in firsts), (
        f"{sum(first.status is None for first in firsts)} heard nothing"
    )
    assert {first.status for first in firsts} <= {200, 402, 503}
    load.repeat(bet for bet in bets if not bet.answer)
    assert all(bet.answer for bet in bets)


@pytest.mark.slow
def test_slow_senders_cost_the_others_nothing(casino: Casino) -> None:
    """While hundreds of callers hold connections open with requests that never end, others are answered as ever."""
    load = casino.new_load(timeouts_s=PATIENT_S)
    bets = _bets(load, 20, casino.rng)
    idle = _bets(load, 1, casino.rng)[0]

    async def work(load: Load) -> None:
        lines = [Line(gateway) for gateway in load.gateways for _ in range(150)]
        part = load.signer.request(idle, load.name("t"))[:-10]
        for line in lines:
            await line.connect()
            assert line._writer
            line._writer.write(part)
        async with Client(load) as client:
            for bet in bets:
                attempt = await client.attempt(bet)
                assert attempt.final
        for line in lines:
            await line.close()

    load.run(work)
    load.repeat([idle])


@pytest.mark.slow
def test_callers_that_vanish_leave_no_lock(casino: Casino) -> None:
    """A thousand callers leave in the middle: some of their requests are half sent, some whole. No lock stays, the wallets answer, and a retry settles what became of each."""
    load = casino.new_load(timeouts_s=PATIENT_S)
    bets = _bets(load, 1000, casino.rng)

    async def vanish(load: Load) -> None:
        async def one(number: int, bet: Call) -> None:
            request = load.signer.request(bet, load.name("t"))
            whole = number % 3 > 0
            # A whole request that nobody waits for, a head without its body, a part of the head.
            part = request if whole else request[: casino.rng.randrange(1, len(request))]
            await Line(load.gateways[number % 2]).vanish(part, rudely=number % 2 == 0)

        await asyncio.gather(*(one(number, bet) for number, bet in enumerate(bets)))

    load.run(vanish)
    _wait_for_no_locks(casino)
    later = _bets(load, 5, casino.rng)

    async def at_first_try(load: Load) -> None:
        async with Client(load) as client:
            for bet in later:
                assert (await client.attempt(bet)).final

    load.run(at_first_try)
    with psycopg.connect(casino.system.stack.ledger_database.url) as connection:
        known = {key for (key,) in connection.execute("select idempotency_key from wagerledger.commands")}
    acted = sum(bet.key in known for bet in bets)
    print(f"of {len(bets)} callers that vanished {acted} had made their bet")
    load.repeat(bets)
    casino.check()
    assert acted, "no caller vanished after its request was taken, so the run proves nothing"


def _wait_for_no_locks(casino: Casino) -> None:
    """Until no session holds or awaits an advisory lock of a transaction, nor sits idle in one."""
    query = """
        select l.pid, l.locktype, l.granted, a.state from pg_locks l join pg_stat_activity a using (pid)
        where a.application_name = 'wagerledger journal' and l.locktype in ('advisory', 'transactionid')
    """
    with psycopg.connect(casino.system.stack.ledger_database.url, autocommit=True) as connection:
        until(lambda: not connection.execute(query).fetchall(), "locks that are given back")
