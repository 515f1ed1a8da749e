"""Many at once, from several journals (as of several processes) on few wallets: nothing is lost, doubled or reordered."""

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest

from ledger.core.policy import REVERSE, Policy
from ledger.journal import locks
from ledger.journal.writer import Journal
from ledger.outcome import Balances, Callback, Proof
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, callback, players, run, settings_of
from tests.support.seeds import seeded_random
from tests.support.waiting import until_locked_out

ask = Asks()
POLICIES = {"acme/eu/spin": Policy(), "acme/eu/reel": Policy(capture="authorization", rollback_of_settled=REVERSE)}


@pytest.fixture
def journals_of(ledger_database):
    """`journals_of(test, number)`: run a coroutine with that many journals; afterwards the database is checked and returned as it is."""

    def with_journals(test, number=2, **settings):
        async def main():
            async with AsyncExitStack() as stack:
                await test(
                    *[
                        await stack.enter_async_context(Journal(settings_of(ledger_database, **settings)))
                        for _ in range(number)
                    ]
                )

        run(main)
        return history.check(ledger_database)

    return with_journals


def test_a_thousand_duplicates_make_one_bet(journals_of):
    """Sent all at once to three journals: one bet, and a thousand times the same bytes."""
    answers = set()

    async def play(*journals):
        (session,) = await players(journals[0], ask, ["ann"])
        bet = ask.bet("2", session_id=session)
        asked = [journals[n % 3].submit(callback(bet)) for n in range(1000)]
        outcomes = await asyncio.gather(*asked)
        answers.update(outcome.answer for (outcome,) in outcomes)
        assert sum(not outcome.replayed for (outcome,) in outcomes) == 1

    found = journals_of(play, 3)
    assert len(answers) == 1
    assert found.count("bet.authorized") == 1
    assert Balances.of(found.state.wallet("acme", "ann", "EUR")) == Balances("EUR", 2, 9800, 0, 200, 0)


def test_duplicates_with_other_content_race(journals_of):
    """Two contents under one key at the same time: one of them is done, the other hears the mismatch."""

    async def play(one, two):
        await players(one, ask, ["ann"])
        for n in range(30):
            contents = ask.deposit("1", key=f"k{n}"), ask.deposit("2", key=f"k{n}")
            outcomes = await asyncio.gather(ask_one(one, contents[0]), ask_one(two, contents[1]))
            assert sorted(str(outcome.refusal_code) for outcome in outcomes) == ["IDEMPOTENCY_MISMATCH", "None"]

    journals_of(play)


def test_a_wallet_is_never_overdrawn(journals_of):
    """Two journals bet a wallet empty at the same time: exactly as many bets begin as there is money for."""

    async def play(one, two):
        (session,) = await players(one, ask, ["ann"], "50")
        bets = [ask_one((one, two)[n % 2], ask.bet("1", f"b{n}", session_id=session)) for n in range(200)]
        codes = [outcome.refusal_code for outcome in await asyncio.gather(*bets)]
        assert (codes.count(None), codes.count("INSUFFICIENT_FUNDS")) == (50, 150)

    assert journals_of(play).state.wallet("acme", "ann", "EUR").held_minor == 5000


def test_a_random_bank(journals_of):
    """Bets, wins, rollbacks and transfers between players, with repeats, from two journals with two writers each: every
    accepted answer is in the log, every refused one is not, and the books balance."""
    random = seeded_random()
    heard = []

    async def play(*journals):
        names = ["ann", "bob", "cid"]
        providers = [Asks(integration_id=integration_id) for integration_id in POLICIES]
        sessions = {provider.integration_id: await players_of(journals[0], provider, names) for provider in providers}

        def command(provider):
            bet_id = f"b{random.randrange(60)}"
            session = random.choice(sessions[provider.integration_id])
            return random.choice(
                (
                    lambda: provider.bet(str(random.randrange(1, 30)), bet_id, session_id=session),
                    lambda: provider.settle(str(random.randrange(40)), bet_id),
                    lambda: provider.rollback(bet_id, session_id=random.choice((None, session))),
                    lambda: provider.withdraw(str(random.randrange(1, 150)), random.choice(names)),
                    lambda: provider.deposit(str(random.randrange(1, 20)), random.choice(names)),
                )
            )()

        asked = []
        for _ in range(600):
            provider = random.choice(providers)
            commands = [command(provider) for _ in range(random.choice((1, 1, 1, 2, 3)))]
            asked += [commands] * random.choice((1, 1, 2))
        random.shuffle(asked)

        async def client(mine):
            for commands in mine:
                policy = POLICIES[commands[0].origin.integration_id]
                outcomes = await random.choice(journals).submit(
                    callback(*commands, capture=policy.capture, rollback_of_settled=policy.rollback_of_settled)
                )
                heard.append((commands, outcomes))

        await asyncio.gather(*(client(asked[n::40]) for n in range(40)))

    found = journals_of(play)
    for commands, outcomes in heard:
        accepted_all = outcomes[0].refusal_code is None
        if accepted_all:
            assert {(c.origin.scope, c.origin.idempotency_key) for c in commands} <= found.accepted
    assert {outcome.refusal_code for _, outcomes in heard for outcome in outcomes} >= {
        None,
        "INSUFFICIENT_FUNDS",
        "DUPLICATE",
        "BET_NOT_FOUND",
    }


async def players_of(journal, provider, names):
    """Wallets once, sessions of each provider."""
    return [await session_of(journal, provider, name) for name in names]


async def session_of(journal, provider, name):
    await ask_one(journal, provider.open_wallet(name))
    await accepted(journal, provider.deposit("100", name))
    return (await accepted(journal, provider.start_session(name))).result["session_id"]


# A rollback that overtakes its bet


def test_a_bet_and_its_rollback_race(journals_of):
    """From two journals at once: the bet is undone or never begins, whoever is first, and no money moves."""
    statuses = []

    async def play(one, two):
        (session,) = await players(one, ask, ["ann"])
        for n in range(40):
            bet, rollback = ask.bet("1", f"b{n}", session_id=session), ask.rollback(f"b{n}")
            pair = [ask_one(one, bet), ask_one(two, rollback)]
            outcomes = await asyncio.gather(*pair[:: (-1) ** n])
            statuses.append(next(outcome.result["status"] for outcome in outcomes if outcome.kind == "RollbackBet"))

    found = journals_of(play)
    assert set(statuses) <= {"rolled_back", "tombstoned"}
    assert found.count("bet.rolled_back") + found.count("bet.tombstoned") == 40
    assert found.count("bet.authorized") == found.count("bet.rolled_back")
    assert found.state.wallet("acme", "ann", "EUR").cash_minor == 10000


def test_the_player_is_looked_up_before_the_lock_and_checked_after(journals_of, ledger_database):
    """A bet that comes to be between the look-up and the lock of its rollback is found: the rollback moves to its player's stream."""

    async def play(one, two):
        (session,) = await players(one, ask, ["ann"])
        bet_lock = locks._hash("Bet", "acme/eu/spin", "b1")
        async with await psycopg.AsyncConnection.connect(ledger_database, autocommit=True) as foreign:
            await foreign.execute("select pg_advisory_lock(%s)", (bet_lock,))
            bet = asyncio.create_task(ask_one(one, ask.bet("1", session_id=session)))
            await asyncio.to_thread(until_locked_out, ledger_database, 1)
            rollback = asyncio.create_task(ask_one(two, ask.rollback()))
            await asyncio.to_thread(until_locked_out, ledger_database, 2)
            await foreign.execute("select pg_advisory_unlock(%s)", (bet_lock,))
        assert (await bet).refusal_code is None
        assert (await rollback).result["status"] == "rolled_back"

    assert journals_of(play).state.wallet("acme", "ann", "EUR").cash_minor == 10000


def test_a_directory_that_is_wrong_heals(journals_of):
    """Where the journal remembers a bet that the database lost (a failover without synchronous replication), it looks again."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"])
        directory = journal._directory
        gone = ask.bet("1", "gone", session_id=session)
        (bet_key,) = [key for key in gone.needs if key[-1] == "gone"]
        directory._owners[bet_key] = next(iter(directory._owners.values()))
        assert (await ask_one(journal, ask.settle("1", "gone"))).refusal_code == "BET_NOT_FOUND"
        directory._owners[bet_key] = next(iter(directory._owners.values()))
        assert (await ask_one(journal, ask.rollback("gone"))).result["status"] == "tombstoned"

    journals_of(play, 1)


# Tenants


def test_the_first_wallets_of_a_tenant_race_for_the_exponent(journals_of):
    """I10: two players' first wallets with different exponents at once: one is opened, the other hears why not."""

    async def play(one, two):
        for n in range(15):
            tenant = Asks(tenant_id=f"tenant{n}", integration_id=None)
            outcomes = await asyncio.gather(
                ask_one(one, tenant.open_wallet("ann", "EUR", 2)), ask_one(two, tenant.open_wallet("bob", "EUR", 4))
            )
            assert sorted(str(outcome.refusal_code) for outcome in outcomes) == ["EXPONENT_FIXED", "None"]

    journals_of(play)


def test_another_tenant_touches_nothing(journals_of):
    """I11: with the bet, session and player ids of another tenant known, nothing of it can be reached."""
    bolt = Asks(tenant_id="bolt", integration_id="bolt/eu/spin")

    async def play(one, two):
        (session,) = await players(one, ask, ["ann"])
        await accepted(one, ask.bet("2", session_id=session))
        for journal in (one, two):
            for command, code in (
                (bolt.bet("1", "b2", session_id=session), "SESSION_NOT_FOUND"),
                (bolt.end_session(session), "SESSION_NOT_FOUND"),
                (bolt.settle("9"), "BET_NOT_FOUND"),
                (bolt.withdraw("1"), "WALLET_NOT_FOUND"),
                (bolt.start_session(), "WALLET_NOT_FOUND"),
            ):
                outcome = await ask_one(journal, command)
                assert (outcome.refusal_code, outcome.balances) == (code, None)
        buried = await accepted(two, bolt.rollback("b1", session_id=session))
        assert (buried.result["status"], buried.balances) == ("tombstoned", None)
        await accepted(one, ask.settle("5"))

    found = journals_of(play)
    (tombstone,) = [record for record in found.records if record["tenant_id"] == "bolt"]
    assert (tombstone["stream_type"], tombstone["player_id"]) == ("integration", None)
    assert found.state.wallet("acme", "ann", "EUR").cash_minor == 10300


def test_one_proof_as_two_calls_at_the_same_moment(journals_of):
    """The same signed bytes come to two endpoints, of two processes and of one: one of them acts, the other is refused."""

    async def play(*journals):
        (session,) = await players(journals[0], ask, ["ann"])
        for n in range(40):
            digest = n.to_bytes(16)
            bet = ask.bet("0.50", f"b{n}", session_id=session), Proof(digest, "acme/eu/spin", "POST /bet")
            award = ask.award("0.50", f"a{n}"), Proof(digest, "acme/eu/spin", "POST /award")
            nothing = None, Proof(digest, "acme/eu/spin", "POST /details")
            asked = [bet, award, nothing][n % 2 :]
            callbacks = [Callback((command,) if command else (), proof=proof) for command, proof in asked]
            outcomes = await asyncio.gather(
                *(journals[(n + at) % 4 // 2].submit(one) for at, one in enumerate(callbacks))
            )
            codes = [outcome.refusal_code for told in outcomes for outcome in told]
            assert codes.count(None) <= 1, codes
            assert set(codes) <= {None, "SIGNATURE_REUSED"}, codes

    found = journals_of(play)
    assert found.count("bet.authorized") + found.count("wallet.credit.award") > 0
