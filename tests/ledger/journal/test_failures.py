"""When the database, the network or the clients fail: retryable errors or delay, and nothing else. Afterwards I1 to I7 hold."""

import asyncio
import contextlib
import time

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ledger.journal import locks
from ledger.journal.fair_queue import FairQueue
from ledger.journal.writer import SPLIT, DeadlineExceeded, Journal, Overloaded, Retryable, Unavailable
from ledger.outcome import Outcome
from ledger.store.migrate import upgrade
from ledger.streams import player_stream
from sandbox.servers.postgres import Postgres
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, callback, players, run, settings_of, until_answered
from tests.support.seeds import seeded_random
from tests.support.tcp_proxy import proxy_of, through
from tests.support.waiting import until, until_locked_out

ask = Asks()


@contextlib.asynccontextmanager
async def foreign_lock(database_url, player):
    """Somebody else holds a player's lock, as a paused process would."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(%s)", (locks.stream_lock(player_stream("acme", player)),))
        yield


async def seated(database_url, journal, *names):
    """Sessions of players with some cash. Wallets are opened by a journal that has all the time it needs; the one under test,
    whose deadline is short, knows the sessions and has a connection afterwards."""
    async with Journal(settings_of(database_url)) as patient:
        await players(patient, ask, names)
    started = [await until_answered(journal, callback(ask.start_session(name))) for name in names]
    return [outcome.result["session_id"] for (outcome,) in started]


# Too much, too late


async def test_too_many_callbacks_are_refused_at_once(ledger_database):
    """Past `journal_queue` the answer is Overloaded without waiting; what was taken in is answered, and then there is room again."""

    async with Journal(settings_of(ledger_database, journal_queue=20, journal_batch=4, journal_writers=1)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        async with foreign_lock(ledger_database, "ann"):
            first = asyncio.create_task(ask_one(journal, ask.bet("1", "first", session_id=session)))
            await asyncio.to_thread(until_locked_out, ledger_database)
            taken = [
                asyncio.create_task(ask_one(journal, ask.bet("1", f"b{n}", session_id=session))) for n in range(20)
            ]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                ask_one(journal, ask.bet("1", "late", session_id=session)).send(None)  # before it waits for anything
        assert {outcome.refusal_code for outcome in await asyncio.gather(first, *taken)} == {None}
        await accepted(journal, ask.bet("1", "late", session_id=session))
    assert history.check(ledger_database).count("bet.authorized") == 22


def _turn_of_the_other(database_url):
    """While a lock holds the writer up, one integration sends thirty bets and another one a single one. Gives how many of the
    thirty are answered before that one."""

    async def main():
        settings = settings_of(database_url, journal_batch=4, journal_writers=1)
        async with Journal(settings) as journal:
            other = Asks(integration_id="acme/eu/other")
            (session,) = await players(journal, ask, ["ann"])
            (others_session,) = await players(journal, other, ["bob"])
            answered = []

            async def answer(name, command):
                await accepted(journal, command)
                answered.append(name)

            async with foreign_lock(database_url, "ann"):
                first = asyncio.create_task(answer("first", ask.bet("1", "b", session_id=session)))
                await _a_writer_waits_for_its_lock(database_url)
                crowd = [answer("crowd", ask.bet("1", f"b{n}", session_id=session)) for n in range(30)]
                single = answer("single", other.bet("1", "x", session_id=others_session))
                tasks = [asyncio.create_task(one) for one in (*crowd, single)]
                await asyncio.sleep(0)
                assert journal.waiting == len(tasks)
            await asyncio.gather(first, *tasks)
            return answered.index("single") - 1

    return run(main)


async def _a_writer_waits_for_its_lock(database_url):
    asked = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            if await (await connection.execute(asked)).fetchone() == (True,):
                return
            await asyncio.sleep(0.01)


def test_a_crowd_of_one_integration_does_not_hold_up_another(ledger_database):
    """Who waits beside thirty of another integration is in the next batch, which has room for four."""
    assert _turn_of_the_other(ledger_database) < 4


def test_one_line_for_all_is_found(ledger_database, monkeypatch):
    """A planted fault: without turns, the one waits for the thirty."""
    append = FairQueue.append
    monkeypatch.setattr(FairQueue, "append", lambda queue, _, item: append(queue, None, item))
    assert _turn_of_the_other(ledger_database) == 30


async def test_one_integration_cannot_fill_the_queue(ledger_database):
    """Past `journal_queue_per_integration` its callbacks are Overloaded at once; another integration is taken in."""

    other = Asks(integration_id="acme/eu/other")
    settings = settings_of(ledger_database, journal_queue_per_integration=5, journal_batch=4, journal_writers=2)
    async with Journal(settings) as journal:
        (session,) = await players(journal, ask, ["ann"])
        (others_session,) = await players(journal, other, ["bob"])
        async with foreign_lock(ledger_database, "ann"):
            crowd = [
                asyncio.create_task(ask_one(journal, ask.bet("1", f"b{n}", session_id=session))) for n in range(12)
            ]
            single = asyncio.create_task(ask_one(journal, other.bet("1", "x", session_id=others_session)))
            outcomes = await asyncio.gather(*crowd[5:], return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Overloaded}
        taken = await asyncio.gather(*crowd[:5], single)
        assert {outcome.refusal_code for outcome in taken} == {None}
    assert history.check(ledger_database).count("bet.authorized") == 6


async def test_callbacks_that_waited_too_long_are_not_decided(ledger_database):
    """Past `journal_deadline_ms` in the queue the answer is DeadlineExceeded, and nothing was done."""

    async with Journal(
        settings_of(ledger_database, journal_deadline_ms=400, journal_batch=1, journal_writers=1)
    ) as journal:
        (session,) = await seated(ledger_database, journal, "ann")
        async with foreign_lock(ledger_database, "ann"):
            bets = [asyncio.create_task(ask_one(journal, ask.bet("1", f"b{n}", session_id=session))) for n in range(6)]
            outcomes = await asyncio.gather(*bets, return_exceptions=True)
        assert all(isinstance(outcome, Retryable) for outcome in outcomes)
        assert isinstance(outcomes[-1], DeadlineExceeded)  # the others had the writer for longer than that
        await until_answered(journal, callback(ask.bet("1", "b9", session_id=session)))
    assert history.check(ledger_database).count("bet.authorized") == 1


async def test_a_lock_that_is_not_had_is_no_business_answer(ledger_database):
    """A foreign session keeps one player's lock: that player hears Retryable and never a refusal; the others of the same batch
    are served; and later they are too, under the same keys."""

    async with Journal(settings_of(ledger_database, journal_deadline_ms=5000, journal_writers=1)) as journal:
        sessions = await seated(ledger_database, journal, "ann", "bob", "cid")
        bets = [callback(ask.bet("1", f"b{n}", session_id=sessions[n % 3])) for n in range(15)]
        async with foreign_lock(ledger_database, "ann"):
            outcomes = await asyncio.gather(*map(journal.submit, bets), return_exceptions=True)
        assert all(isinstance(outcome, Retryable) for outcome in outcomes[::3])
        assert [outcome[0].refusal_code for n, outcome in enumerate(outcomes) if n % 3] == [None] * 10
        for bet in bets:
            (outcome,) = await journal.submit(bet)
            assert outcome.refusal_code is None
    assert history.check(ledger_database).count("bet.authorized") == 15


# Clients that go


async def test_clients_that_vanish_leave_nothing_behind(ledger_database):
    """A thousand callers are gone before their answers: every bet is there or is not, no lock stays, the wallets answer at once."""

    async with Journal(settings_of(ledger_database)) as journal:
        sessions = await players(journal, ask, ["ann", "bob"], "1000")
        bets = [
            asyncio.create_task(ask_one(journal, ask.bet("1", f"b{n}", session_id=sessions[n % 2])))
            for n in range(1000)
        ]
        await asyncio.wait(bets, return_when=asyncio.FIRST_COMPLETED)
        for bet in bets:
            bet.cancel()
        await asyncio.gather(*bets, return_exceptions=True)
        for name in ("ann", "bob"):
            await accepted(journal, ask.deposit("1", name))
    with psycopg.connect(ledger_database) as connection:
        query = "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
        assert connection.execute(query).fetchone() == (0,)
    history.check(ledger_database)


async def test_a_vanished_client_past_its_deadline_does_not_stop_the_writer(ledger_database):
    """Its answer has nobody to go to, and the next caller is served."""

    async with Journal(
        settings_of(ledger_database, journal_deadline_ms=300, journal_batch=1, journal_writers=1)
    ) as journal:
        (session,) = await seated(ledger_database, journal, "ann")
        async with foreign_lock(ledger_database, "ann"):
            bets = [asyncio.create_task(ask_one(journal, ask.bet("1", f"b{n}", session_id=session))) for n in range(4)]
            await asyncio.sleep(0)
            assert journal._waiting == 4
            for bet in bets:
                bet.cancel()
            await asyncio.to_thread(until, lambda: journal._waiting == 0, "a writer that has taken all of them")
        await until_answered(journal, callback(ask.deposit("1")))


def test_leaving_drains(ledger_database):
    """What was taken in is committed and answered; what comes later is refused as retryable."""

    async def main():
        async with Journal(settings_of(ledger_database, journal_batch=16)) as journal:
            sessions = await players(journal, ask, ["ann", "bob", "cid"])
            bets = [
                asyncio.create_task(ask_one(journal, ask.bet("1", f"b{n}", session_id=sessions[n % 3])))
                for n in range(240)
            ]
            await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await ask_one(journal, ask.deposit("1"))
        return [bet.result().refusal_code for bet in bets]

    assert run(main) == [None] * 240
    assert history.check(ledger_database).count("bet.authorized") == 240


# The network


@pytest.mark.parametrize("cut_after", [b"COMMIT", b"event_log", b"pg_advisory_xact_lock", b"BEGIN"])
async def test_a_cut_connection_leaves_an_unknown_outcome_that_a_retry_settles(ledger_database, cut_after):
    """On a new connection the answer to COMMIT (or to what came before it) is lost: Retryable; the retry under the same key is one
    bet, paid once."""

    async with proxy_of(ledger_database) as proxy:
        url = through(proxy, ledger_database)
        async with Journal(settings_of(url, journal_writers=1)) as first:
            (session,) = await players(first, ask, ["ann"])
        bet = callback(ask.bet("2", session_id=session))
        async with Journal(settings_of(url, journal_writers=1)) as journal:
            proxy.cut_after = cut_after
            with pytest.raises(Unavailable):
                await journal.submit(bet)
            assert proxy.cut_after is None
            happened = history.check(ledger_database).count("bet.authorized")
            (outcome,) = await journal.submit(bet)
            assert (outcome.refusal_code, outcome.replayed) == (None, happened == 1)
            assert happened == (cut_after == b"COMMIT")
            await accepted(journal, ask.settle("5"))
    found = history.check(ledger_database)
    assert found.count("bet.authorized") == 1
    assert found.state.wallet("acme", "ann", "EUR").cash_minor == 10300


@pytest.mark.parametrize("cut_after", [b"COMMIT", b"journal_", b"BEGIN"])
async def test_a_kept_connection_that_is_cut_costs_a_caller_nothing(ledger_database, cut_after):
    """What goes in one exchange is sent once more: where the COMMIT was done all the same, that finds the first answer."""

    async with (
        proxy_of(ledger_database) as proxy,
        Journal(settings_of(through(proxy, ledger_database), journal_writers=1)) as journal,
    ):
        (session,) = await players(journal, ask, ["ann"])
        bet = callback(ask.bet("2", session_id=session))
        proxy.cut_after = cut_after
        (outcome,) = await journal.submit(bet)
        assert proxy.cut_after is None
        assert outcome.refusal_code is None
    assert history.check(ledger_database).count("bet.authorized") == 1


async def test_a_deaf_network_costs_a_deadline(ledger_database):
    """Packets vanish with the connection open: everybody who waits hears Retryable, and service is back with the network."""

    async with (
        proxy_of(ledger_database) as proxy,
        Journal(settings_of(through(proxy, ledger_database), journal_deadline_ms=500)) as journal,
    ):
        (session,) = await seated(ledger_database, journal, "ann")
        proxy.deaf = True
        started = time.monotonic()
        bets = [callback(ask.bet("1", f"b{n}", session_id=session)) for n in range(20)]
        answers = await asyncio.gather(*map(journal.submit, bets), return_exceptions=True)
        print(f"told after {time.monotonic() - started:.2f} s")
        assert all(isinstance(answer, Retryable) for answer in answers)
        proxy.deaf = False
        outcomes = await asyncio.gather(*(until_answered(journal, bet) for bet in bets))
        print(f"back after {time.monotonic() - started:.2f} s")
        assert {outcome.refusal_code for (outcome,) in outcomes} == {None}
    assert history.check(ledger_database).count("bet.authorized") == 20


CUTS = 100


async def test_connections_that_are_reset_again_and_again(ledger_database):
    """Every answer that said yes is in the log, every bet is there once."""
    random = seeded_random()
    told = {}

    async with (
        proxy_of(ledger_database) as proxy,
        Journal(settings_of(through(proxy, ledger_database), journal_batch=8)) as journal,
    ):
        sessions = await players(journal, ask, ["ann", "bob", "cid"])

        async def client(number):
            for n in range(8):
                bet = callback(ask.bet("1", f"b{number}-{n}", session_id=sessions[number % 3]))
                (told[bet.commands[0].origin.idempotency_key],) = await until_answered(journal, bet)

        async def saboteur():
            for _ in range(CUTS):
                await asyncio.sleep(random.uniform(0.005, 0.05))
                proxy.cut()

        await asyncio.gather(saboteur(), *(client(number) for number in range(24)))
    found = history.check(ledger_database)
    assert found.count("bet.authorized") == len(told) == 24 * 8
    assert {outcome.refusal_code for outcome in told.values()} == {None}


# Connections that were kept


def end_sessions(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        ended = "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        assert connection.execute(ended).fetchone()[0]


async def test_a_session_that_was_ended_while_idle_is_replaced(ledger_database):
    """The server, a restart or a firewall ended it meanwhile: the next bet is answered at once, each time."""

    async with (
        proxy_of(ledger_database) as proxy,
        Journal(settings_of(through(proxy, ledger_database), journal_writers=1)) as journal,
    ):
        (session,) = await players(journal, ask, ["ann"])
        for n in range(4):
            if n % 2:
                proxy.cut()
            else:
                await asyncio.to_thread(end_sessions, ledger_database)
            await accepted(journal, ask.bet("1", f"b{n}", session_id=session))
    assert history.check(ledger_database).count("bet.authorized") == 4


async def test_a_server_that_became_read_only_is_left(ledger_database):
    """Retryable while every session is read only, and nothing worse; served again as soon as a new one can write, under the
    same key, once."""

    def make(change):
        name = conninfo_to_dict(ledger_database)["dbname"]
        with psycopg.connect(ledger_database, autocommit=True) as connection:
            connection.execute("set default_transaction_read_only = off")
            connection.execute(f"alter database {name} {change}")

    async with Journal(settings_of(ledger_database, journal_writers=1)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        await journal._writers[0].connection.execute("set default_transaction_read_only = on")
        await journal._writers[0].connection.commit()
        await accepted(journal, ask.bet("1", "on another one", session_id=session))
        await asyncio.to_thread(make, "set default_transaction_read_only = on")
        await asyncio.to_thread(end_sessions, ledger_database)
        bet = callback(ask.bet("1", "in vain", session_id=session))
        for _ in range(3):
            with pytest.raises(Unavailable, match="read only"):
                await journal.submit(bet)
        await asyncio.to_thread(make, "reset default_transaction_read_only")
        (outcome,) = await journal.submit(bet)
        assert (outcome.refusal_code, outcome.replayed) == (None, False)
    assert history.check(ledger_database).count("bet.authorized") == 2


async def test_a_full_disk_is_no_fault_of_a_callback(ledger_database):
    """The server says it of every write: all hear Retryable at once, nothing is tried one by one, and it is well again by itself."""
    split = SPLIT._value.get()

    async with Journal(settings_of(ledger_database, journal_writers=1)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        bets = [callback(ask.bet("1", f"b{n}", session_id=session)) for n in range(5)]
        with psycopg.connect(ledger_database) as connection:
            connection.execute("set local role wagerledger_owner")
            connection.execute(FULL_DISK)
        for answer in await asyncio.gather(*map(journal.submit, bets), return_exceptions=True):
            assert isinstance(answer, Unavailable)
            assert "No space left" in str(answer)
        with psycopg.connect(ledger_database) as connection:
            connection.execute("set local role wagerledger_owner")
            connection.execute("drop function wagerledger.full_disk() cascade")
        for bet in bets:
            (outcome,) = await journal.submit(bet)
            assert (outcome.refusal_code, outcome.replayed) == (None, False)
    assert SPLIT._value.get() == split
    assert history.check(ledger_database).count("bet.authorized") == 5


FULL_DISK = """
create function wagerledger.full_disk() returns trigger language plpgsql as $$
begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
create trigger full_disk before insert on wagerledger.event_log for each row execute function wagerledger.full_disk();
"""


# The server


@pytest.fixture
def own_postgres(own_servers, tmp_path):
    """A server that may be killed."""
    server = Postgres("postgres", tmp_path, database="wagerledger")
    server.start()
    upgrade(server.url)
    yield server
    server.kill()


KILLS = 3


def until_more(seen, count, what):
    goal = len(seen) + count
    until(lambda: len(seen) >= goal, f"{count} more {what}")


async def test_postgres_is_killed_under_load(own_postgres):
    """kill -9 of the server, and a start, several times under load: callers hear Retryable and nothing worse; every yes is in the
    log; the unknown ones are settled by a retry under the same key."""
    heard: dict[str, Outcome] = {}
    errors = []

    async with Journal(settings_of(own_postgres.url)) as one, Journal(settings_of(own_postgres.url)) as two:
        sessions = await players(one, ask, [f"p{n}" for n in range(6)], "100000")
        stop = asyncio.Event()

        async def client(number):
            n = 0
            while not stop.is_set():
                n += 1
                bet_id = f"b{number}-{n}"
                for command in (ask.bet("2", bet_id, session_id=sessions[number % 6]), ask.settle("1", bet_id)):
                    asked = callback(command)
                    while command.origin.idempotency_key not in heard:
                        try:
                            (heard[command.origin.idempotency_key],) = await (one, two)[number % 2].submit(asked)
                        except Retryable as error:
                            errors.append(type(error))
                            await asyncio.sleep(0.05)

        clients = [asyncio.create_task(client(number)) for number in range(32)]
        for _ in range(KILLS):
            await asyncio.to_thread(until_more, heard, 200, "answers")
            await asyncio.to_thread(own_postgres.kill)
            await asyncio.to_thread(until_more, errors, 1, "retryable errors")
            await asyncio.to_thread(own_postgres.start)
        await asyncio.to_thread(until_more, heard, 200, "answers")
        stop.set()
        await asyncio.gather(*clients)
    assert {outcome.refusal_code for outcome in heard.values()} == {None}
    found = history.check(own_postgres.url)
    assert {key for _, key in found.accepted} >= heard.keys()
    assert found.count("bet.authorized") == found.count("bet.settled") == len(heard) / 2
    print(f"{len(heard)} commands, {len(errors)} retries, {KILLS} kills")


async def test_what_no_standby_has_confirmed_is_not_told(ledger_database):
    """While a synchronous standby is silent nobody hears a yes, not even by repeating; once it is back, there is one bet."""

    def name_standby(change):
        with psycopg.connect(ledger_database, autocommit=True) as connection:
            connection.execute("set synchronous_commit = local")
            connection.execute(f"alter system {change}")
            connection.execute("select pg_reload_conf()")

    def commits_wait(application):
        query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'SyncRep' and application_name = %s"
        with psycopg.connect(ledger_database) as connection:
            return connection.execute(query, [application]).fetchone() > (0,)

    async def probe():
        """Commit until a commit waits: nothing else tells that the reload has come into force."""
        url = f"{ledger_database}?application_name=probe"
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while True:
                await connection.execute("select pg_logical_emit_message(true, 'test', 'probe')")

    async with Journal(settings_of(ledger_database, journal_deadline_ms=1000)) as journal:
        (session,) = await seated(ledger_database, journal, "ann")
        bet = ask.bet("2", session_id=session)
        name_standby("set synchronous_standby_names = 'nobody'")
        probing = asyncio.create_task(probe())
        try:
            await asyncio.to_thread(until, lambda: commits_wait("probe"), "a commit that waits for the standby")
            tries = 0
            while tries < 3 or not commits_wait("wagerledger journal"):
                with pytest.raises(Retryable):
                    await ask_one(journal, bet)
                tries += 1
        finally:
            name_standby("reset synchronous_standby_names")
            probing.cancel()
        (outcome,) = await until_answered(journal, callback(bet))
        assert outcome.code == "REPEATED"
        assert outcome.balances.cash_minor == 9800


async def test_a_locked_player_is_waited_for_once(ledger_database):
    """However many callbacks a locked player has, the others wait for one of them, not for each."""

    async with Journal(settings_of(ledger_database, journal_deadline_ms=5000, journal_writers=1)) as journal:
        ann, bob = await seated(ledger_database, journal, "ann", "bob")
        async with foreign_lock(ledger_database, "ann"):
            asked = [asyncio.create_task(ask_one(journal, ask.bet("1", session_id=ann))) for _ in range(60)]
            await asyncio.to_thread(until_locked_out, ledger_database)
            await accepted(journal, ask.bet("1", session_id=bob))
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(one, Retryable) for one in told)
