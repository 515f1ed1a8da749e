"""What is decided on remembered streams is what would have been decided on read ones, in one exchange instead of two."""

import asyncio
from contextlib import AsyncExitStack
from unittest import mock

import psycopg
import pytest

from ledger.core.commands import Command
from ledger.core.state import Bet
from ledger.journal import known_streams, transaction
from ledger.journal.known_streams import KnownStreams
from ledger.journal.pipeline import Connection
from ledger.journal.writer import Journal
from ledger.store import streams
from ledger.store.statement import Statement
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, callback, players, settings_of
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.wrong_hand import disarm

ask = Asks()
NO_SESSION = {"session": "ignored", "bet_after_round_end": "refuse"}


@pytest.fixture
def exchanges(monkeypatch) -> list[int]:
    """How many statements each exchange had, from now on."""
    counted: list[int] = []
    run = Connection.run

    async def counting(self, statements, **how):
        counted.append(len(statements))
        return await run(self, statements, **how)

    monkeypatch.setattr(Connection, "run", counting)
    return counted


def wrong_hand(database_url: str, sql: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, connection.transaction():
        disarm(connection)
        connection.execute(sql.encode())


async def test_a_known_players_bet_is_one_exchange(ledger_database, exchanges):
    """Once the journal has written for a player, each bet and each win of theirs is locked, decided, written and committed at
    once; a journal that has not, reads first."""
    async with Journal(settings_of(ledger_database)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        for command in (
            ask.bet("1", "b1", session_id=session),
            ask.settle("2", "b1"),
            ask.bet("1", "b2", session_id=session),
        ):
            exchanges.clear()
            await accepted(journal, command)
            assert len(exchanges) == 1, command
        async with Journal(settings_of(ledger_database)) as stranger:
            exchanges.clear()
            await accepted(stranger, ask.bet("1", "b3", session_id=session))
            assert len(exchanges) == 3  # whose session, what is there, what is new
    assert history.check(ledger_database).count("bet.authorized") == 3


async def test_what_little_is_not_known_is_read_first(ledger_database, exchanges):
    """A batch most of whose players the journal knows goes at once, after one reading of the others, and knows them then."""
    names = [f"player{n}" for n in range(7)]
    async with Journal(settings_of(ledger_database)) as other, Journal(settings_of(ledger_database)) as journal:
        sessions = await players(other, ask, names)
        known, strange = sessions[:4], sessions[4:]
        for n, session in enumerate(known):
            await accepted(journal, ask.bet("1", f"a{n}", session_id=session))

        async def of_all(number: int, *of: str) -> int:
            exchanges.clear()
            bets = [accepted(journal, ask.bet("1", f"c{number}-{n}", session_id=one)) for n, one in enumerate(of)]
            await asyncio.gather(*bets)
            return len(exchanges)

        assert await of_all(1, *known, strange[0]) == 3  # whose session, the stranger, all at once
        assert await of_all(2, *known, strange[0]) == 1
        assert await of_all(3, known[0], *strange[1:]) == 3  # whose sessions, what is there, what is new
    assert history.check(ledger_database).count("bet.authorized") == 4 + 5 + 5 + 3


async def test_what_moves_between_the_reading_and_the_locks_is_seen(ledger_database, monkeypatch):
    """A wallet that another journal empties in between pays nothing."""
    async with Journal(settings_of(ledger_database)) as other, Journal(settings_of(ledger_database)) as journal:
        ann, bob, eve = await players(other, ask, ["ann", "bob", "eve"], "10")
        for n, session in enumerate((ann, bob)):
            await accepted(journal, ask.bet("1", f"a{n}", session_id=session))
        read_rest = transaction._read_rest

        async def slowly(*of: object) -> bool:
            done = await read_rest(*of)
            await accepted(other, ask.bet("10", "all", session_id=eve))
            return done

        monkeypatch.setattr(transaction, "_read_rest", slowly)
        bets = [ask.bet("1", f"b{n}", session_id=session) for n, session in enumerate((ann, bob, eve))]
        decided = await asyncio.gather(*(ask_one(journal, bet) for bet in bets))
        assert [one.refusal_code for one in decided] == [None, None, "INSUFFICIENT_FUNDS"]
    assert history.check(ledger_database).count("bet.authorized") == 5


async def test_what_belongs_to_a_stream_that_is_not_locked_is_read_under_locks(ledger_database, monkeypatch):
    """A bet of a player who is not in the batch may change meanwhile, and no head of the batch would show it."""
    read_rest, enough = transaction._read_rest, []

    async def noting(*of: object) -> bool:
        enough.append(await read_rest(*of))
        return enough[-1]

    monkeypatch.setattr(transaction, "_read_rest", noting)
    async with Journal(settings_of(ledger_database)) as other, Journal(settings_of(ledger_database)) as journal:
        ann, bob, _, zoe = await players(other, ask, ["ann", "bob", "eve", "zoe"])
        await accepted(other, ask.bet("1", "taken", session_id=zoe))
        for n, session in enumerate((ann, bob)):
            await accepted(journal, ask.bet("1", f"a{n}", session_id=session))
        bets = [ask.bet("1", f"b{n}", session_id=session) for n, session in enumerate((ann, bob))]
        bets.append(ask.debit("1", "taken", player="eve"))
        decided = await asyncio.gather(*(ask_one(journal, bet, session="ignored") for bet in bets))
    assert [one.refusal_code for one in decided] == [None, None, "DUPLICATE"]
    assert enough == [False]


async def test_a_refusal_is_decided_on_what_was_read(ledger_database, exchanges):
    """No event of a refusal moves a stream, and so nothing would prove that what it was decided on is still so."""
    async with Journal(settings_of(ledger_database)) as journal, Journal(settings_of(ledger_database)) as cashier:
        (session,) = await players(journal, ask, ["ann"], "1")
        await accepted(cashier, ask.deposit("9"))
        exchanges.clear()
        await accepted(journal, ask.bet("10", "b1", session_id=session))
        assert (await ask_one(journal, ask.bet("1", "b2", session_id=session))).refusal_code == "INSUFFICIENT_FUNDS"


async def test_repeats_are_repeats(ledger_database):
    """The same keys again, alone and among new ones: the first answers, byte for byte."""
    async with Journal(settings_of(ledger_database)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        bets = [ask.bet("1", f"b{n}", session_id=session) for n in range(3)]
        first = [await accepted(journal, bet) for bet in bets]
        again = await asyncio.gather(*(accepted(journal, bet) for bet in bets))
        mixed = await journal.submit(callback(ask.bet("1", "b9", session_id=session), bets[0]))
        assert [one.answer for one in again] == [one.answer for one in first]
        assert mixed[1].answer == first[0].answer
        twin = await ask_one(journal, ask.bet("2", "b0", session_id=session))
        assert twin.refusal_code == "DUPLICATE"
    assert history.check(ledger_database).count("bet.authorized") == 4


async def _follows_the_head(database_url: str) -> bool:
    """Whether a bet follows the event that the database ends with, where that is of another history of the same length."""
    async with Journal(settings_of(database_url)) as journal:
        (session,) = await players(journal, ask, ["ann"])
        wrong_hand(database_url, "update wagerledger.streams set head_hash = sha256('another history')")
        await accepted(journal, ask.bet("1", "b1", session_id=session))
    with psycopg.connect(database_url) as connection:
        ((linked,),) = connection.execute(
            "select body from wagerledger.event_log order by stream_version desc limit 1"
        ).fetchall()
        ((other,),) = connection.execute("select sha256('another history')").fetchall()
    return other in linked


async def _sees_what_is_there(database_url: str) -> bool:
    """Whether a round that is over, in a way that this process could not know, takes no bet."""
    async with Journal(settings_of(database_url)) as journal:
        await players(journal, ask, ["ann"])
        await accepted(journal, ask.debit("1", "b1", "r1"), **NO_SESSION)
        wrong_hand(
            database_url,
            "insert into wagerledger.rounds (integration_id, player_id, round_id, tenant_id)"
            " select integration_id, player_id, 'r2', tenant_id from wagerledger.bets",
        )
        return (await ask_one(journal, ask.debit("1", "b2", "r2"), **NO_SESSION)).refusal_code == "ROUND_FINISHED"


async def _is_one_history(database_url: str) -> bool:
    """Whether two journals in turns, with streaks so that each trusts its memory, leave what one would have."""
    random = seeded_random()
    async with AsyncExitStack() as stack:
        journals = [await stack.enter_async_context(Journal(settings_of(database_url))) for _ in range(2)]
        sessions = await players(journals[0], ask, ["ann", "bob"])
        played: list[Command] = []
        for n in range(60):
            journal = journals[0 if n % 12 < 8 else random.randrange(2)]
            who = random.randrange(2)
            played.append(ask.bet("0.50", f"b{n}", session_id=sessions[who]))
            await accepted(journal, played[-1])
            await ask_one(journals[random.randrange(2)], ask.settle("1", f"b{random.randrange(n + 1)}"))
    return history.check(database_url).count("bet.authorized") == len(played)


async def _knows_what_ended(database_url: str) -> bool:
    """Whether a win for a bet that the end of its round has ended, and no command has named, is one beside an ended bet."""
    async with Journal(settings_of(database_url)) as journal:
        await players(journal, ask, ["ann"])
        await accepted(journal, ask.debit("1", "b1", "r1"), **NO_SESSION, capture="authorization")
        await accepted(journal, ask.finish("r1"))
        await accepted(journal, ask.settle("5", "b1"))
    return history.check(database_url).count("bet.settled") == 1


async def _is_one_random_life(database_url: str) -> bool:
    """Whether all kinds of commands of several players, as they come, leave one history."""
    await asyncio.to_thread(play, settings_of(database_url), seeded_random(), players=3, steps=40)
    return bool(history.check(database_url).count("bet.settled"))


PROMISES = [_knows_what_ended, _is_one_random_life, _follows_the_head, _sees_what_is_there, _is_one_history]


@pytest.mark.parametrize("promise", PROMISES)
async def test_a_wrong_memory_costs_time_and_nothing_else(ledger_database, promise):
    """Whatever others did to the stream, or should not have done, is seen before anything is written."""
    assert await promise(ledger_database)


def _version_is_enough(monkeypatch) -> None:
    sql = streams.ADVANCE.replace("and s.head_hash = n.expected_hash", "and n.expected_hash is not null")
    assert sql != streams.ADVANCE
    monkeypatch.setattr(streams, "ADVANCE", sql)


def _absent_is_absent(monkeypatch) -> None:
    monkeypatch.setattr(Statement, "finds_nothing", property(lambda self: self))


def _nobody_counts(monkeypatch) -> None:
    monkeypatch.setattr(Statement, "raising", property(lambda self: self))
    monkeypatch.setattr(transaction, "UniqueViolation", ZeroDivisionError)


def _only_what_is_named(monkeypatch) -> None:
    learn = KnownStreams.learn

    def learning(self, batch, requests):
        named = {key for request in requests for key in request.command.needs}
        kept = {key: one for key, one in batch.state.entities.items() if key in named or key[0] is not Bet}
        with mock.patch.object(batch.state, "entities", kept):
            learn(self, batch, requests)

    monkeypatch.setattr(KnownStreams, "learn", learning)


def _always_sure(monkeypatch) -> None:
    monkeypatch.setattr(known_streams, "LIKELY", 0.0)
    monkeypatch.setattr(KnownStreams, "check", lambda *_: None)


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        (_only_what_is_named, _knows_what_ended),
        (_version_is_enough, _follows_the_head),
        (_absent_is_absent, _sees_what_is_there),
        (_nobody_counts, _is_one_history),
        (_always_sure, _is_one_history),
    ],
)
async def test_planted_faults_are_found(ledger_database, monkeypatch, fault, promise):
    """Each look before the leap is needed: without it a promise above is broken, or the callback fails."""
    fault(monkeypatch)
    try:
        kept = await promise(ledger_database)
    except Exception:  # noqa: BLE001  # any way of not keeping it
        kept = False
    assert not kept
