"""(xid, position) is stream order, because all locks come before the first write. And where they do not, this very test sees it."""

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest

from ledger.journal import locks
from ledger.journal.writer import Journal
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, callback, players, run, settings_of
from tests.support.seeds import seeded_random

ask = Asks()

POLL = """
select xid::text::bigint, position, tenant_id, stream_type, stream_id, stream_version from wagerledger.event_log
where (xid, position) > (%s::text::xid8, %s) and xid < pg_snapshot_xmin(pg_current_snapshot())
order by xid, position limit 500
"""

XID_BEFORE_LOCKS = """
select count(pg_advisory_xact_lock(key + early.zero)::text), true
from (select pg_current_xact_id()::text::bigint * 0 as zero offset 0) early, unnest(%b::bigint[]) key
"""
"""The fault: a write (of an xid) before the locks, with the assertion lied to."""

JOURNALS = 5
WALLETS = 4
CLIENTS = 40
ROUNDS = 12
MOST_RACES = 10


async def tail(database_url: str, seen: list, done: asyncio.Event) -> None:
    """Read the log as the relay does, while it is written, and then until its end (a transaction elsewhere may hold the horizon back)."""
    cursor = (0, 0)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            rows = await (await connection.execute(POLL, cursor)).fetchall()
            seen += [row[2:] for row in rows]
            if rows:
                cursor = rows[-1][:2]
                continue
            if done.is_set():
                (written,) = await (await connection.execute("select count(*) from wagerledger.event_log")).fetchone()
                if len(seen) >= written:
                    return
            await asyncio.sleep(0.005)


def race(database_url: str, name: str = "p") -> list[tuple]:
    """Many writers over few wallets, tailed meanwhile. What the tail read, in its order."""
    seen: list[tuple] = []
    random = seeded_random()

    async def main():
        settings = settings_of(database_url, journal_writers=1, journal_batch=6)
        done = asyncio.Event()
        async with AsyncExitStack() as stack:
            journals = [await stack.enter_async_context(Journal(settings)) for _ in range(JOURNALS)]
            sessions = await players(journals[0], ask, [f"{name}{n}" for n in range(WALLETS)], "100000")
            tailing = asyncio.create_task(tail(database_url, seen, done))

            async def client(number):
                for n in range(ROUNDS):
                    journal = journals[number % JOURNALS]
                    bet_id = f"{name}-{number}-{n}"
                    await accepted(journal, ask.bet("2", bet_id, session_id=random.choice(sessions)))
                    await accepted(journal, ask.settle("1", bet_id))

            await asyncio.gather(*map(client, range(CLIENTS)))
        done.set()
        await tailing

    run(main)
    return seen


def inversions(seen: list[tuple]) -> int:
    """How often a stream's next event was not its next version."""
    last: dict[tuple, int] = {}
    wrong = 0
    for *stream, version in seen:
        wrong += version != last.get(tuple(stream), 0) + 1
        last[tuple(stream)] = version
    return wrong


def test_the_tail_of_the_log_is_complete_and_in_stream_order(ledger_database):
    """Nothing is lost, nothing comes twice, every stream in its order, while five journals race."""
    seen = race(ledger_database)
    found = history.check(ledger_database)
    assert len(seen) == len(set(seen)) == len(found.records)
    assert inversions(seen) == 0
    assert len(seen) == 3 * WALLETS + 2 * CLIENTS * ROUNDS


def test_a_write_before_the_locks_is_noticed(ledger_database, monkeypatch):
    """The same race with the rule switched off shows inversions, to the tail and to the checker: the test above can fail."""
    monkeypatch.setattr(locks, "TAKE", XID_BEFORE_LOCKS)
    for attempt in range(MOST_RACES):
        seen = race(ledger_database, f"p{attempt}-")
        print(f"{inversions(seen)} inversions in {len(seen)} events")
        if inversions(seen):
            break
    assert len(seen) == len(set(seen))
    assert inversions(seen) > 0
    with pytest.raises(AssertionError, match="in relay order"):
        history.check(ledger_database)


async def test_the_rule_is_asserted_in_the_code(ledger_database, monkeypatch):
    """A journal whose transaction has written before its locks refuses to go on, and nothing of it stays."""
    honest = XID_BEFORE_LOCKS.replace("true", "pg_current_xact_id_if_assigned() is null")

    async with Journal(settings_of(ledger_database)) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(locks, "TAKE", honest)
            with pytest.raises(AssertionError, match="locks must come before"):
                await accepted(journal, ask.open_wallet())
        await accepted(journal, ask.open_wallet())
    assert history.check(ledger_database).count("wallet.opened") == 1


async def test_what_is_sent_with_its_commit_keeps_the_rule(ledger_database, monkeypatch):
    """A bet of a known player is one exchange, with the COMMIT in it: a write before the locks ends it in the server, and
    nothing of it stays."""
    async with Journal(settings_of(ledger_database)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        with monkeypatch.context() as patched:
            patched.setattr(locks, "TAKE", XID_BEFORE_LOCKS.replace("true", locks.NOTHING_WRITTEN))
            with pytest.raises(psycopg.errors.DivisionByZero):
                await accepted(journal, ask.bet("1", "b1", session_id=session))
        await accepted(journal, ask.bet("1", "b2", session_id=session))
    assert history.check(ledger_database).count("bet.authorized") == 1


async def test_locks_are_taken_in_one_order(ledger_database):
    """Callbacks over the same players in opposite order, from two journals: nobody deadlocks."""

    async with Journal(settings_of(ledger_database)) as one, Journal(settings_of(ledger_database)) as two:
        await players(one, ask, ["ann", "bob"])
        pairs = [("ann", "bob"), ("bob", "ann")]
        asked = [
            (one, two)[n % 2].submit(callback(*[ask.deposit("1", name) for name in pairs[n % 2]])) for n in range(200)
        ]
        await asyncio.gather(*asked)
    found = history.check(ledger_database)
    assert {found.state.wallet("acme", name, "EUR").cash_minor for name in ("ann", "bob")} == {30000}
