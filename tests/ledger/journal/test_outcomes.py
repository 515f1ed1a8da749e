"""What a caller of the journal hears, on a real PostgreSQL."""

import asyncio
import time
from dataclasses import replace

import psycopg
import pytest
from uuid_utils import uuid7

from ledger.core.policy import REVERSE, Policy
from ledger.journal.writer import Journal
from ledger.outcome import Callback
from schemas.errors import ERRORS
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, callback, players, run, settings_of

ask = Asks()


@pytest.fixture
def journal_of(ledger_database):
    """`journal_of(test)`: run a coroutine with a journal; afterwards the database is checked from end to end."""

    def with_journal(test, **settings):
        async def main():
            async with Journal(settings_of(ledger_database, **settings)) as journal:
                return await test(journal)

        result = run(main)
        history.check(ledger_database)
        return result

    return with_journal


def again(command):
    """The same callback as it arrives once more: another id and time of ours, the rest as it was."""
    return replace(command, command_id=str(uuid7()), received_at=command.received_at + 5_000_000)


def test_a_round_is_played(journal_of):
    """Every command's outcome carries the balances after it."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"], "10")
        bet = await accepted(journal, ask.bet("2", session_id=session))
        assert (bet.result["status"], bet.balances.cash_minor, bet.balances.held_minor) == ("authorized", 800, 200)
        win = await accepted(journal, ask.settle("5"))
        assert (win.result["status"], win.balances.cash_minor, win.balances.held_minor) == ("credited", 1300, 0)
        await accepted(journal, ask.bet("2", "b2", "r2", session_id=session))
        undone = await accepted(journal, ask.rollback("b2", "r2"))
        assert (undone.result["status"], undone.balances.cash_minor) == ("rolled_back", 1300)
        taken_back = await accepted(journal, ask.rollback(), rollback_of_settled=REVERSE)
        assert taken_back.balances.cash_minor == 1000
        ended = await accepted(journal, ask.end_session(session))
        assert ended.balances.cash_minor == 1000

    journal_of(play)


def test_a_repeat_hears_the_stored_bytes(journal_of):
    """I5: byte for byte the first answer, though the wallet has moved on, from this journal and from the database."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"])
        commands = [
            ask.bet("2", session_id=session),
            ask.settle("5"),
            ask.rollback("b9"),
            ask.bet("1000", "b2", session_id=session),
        ]
        first = [await ask_one(journal, command) for command in commands]
        await accepted(journal, ask.deposit("1"))
        for command, before in zip(commands, first, strict=True):
            repeated = await ask_one(journal, again(command))
            assert repeated == replace(before, replayed=True)
            assert repeated.answer == before.answer
        assert first[-1].refusal_code == "INSUFFICIENT_FUNDS"

    journal_of(play)


def test_the_same_key_with_other_content_is_refused(journal_of, ledger_database):
    """Another field, another kind of command: IDEMPOTENCY_MISMATCH, recorded as a refusal, and the first outcome stays."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"])
        bet = ask.bet("2", session_id=session, key="k")
        first = await accepted(journal, bet)
        for other in (ask.bet("3", session_id=session, key="k"), ask.settle("2", key="k"), ask.rollback(key="k")):
            outcome = await ask_one(journal, other)
            assert outcome.refusal_code == "IDEMPOTENCY_MISMATCH"
            assert ERRORS[outcome.refusal_code].text(outcome.details)
        assert (await ask_one(journal, again(bet))).answer == first.answer

    journal_of(play)
    with psycopg.connect(ledger_database) as connection:
        assert connection.execute(
            "select count(*) from wagerledger.refusals where code = 'IDEMPOTENCY_MISMATCH'"
        ).fetchone() == (3,)


def test_equal_amounts_are_the_same_content(journal_of):
    """2 and 2.00 ask the same."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"])
        first = await accepted(journal, ask.bet("2", session_id=session, key="k"))
        assert (await ask_one(journal, ask.bet("2.00", session_id=session, key="k"))).answer == first.answer

    journal_of(play)


def test_keys_belong_to_an_integration_and_an_operation(journal_of):
    """Two providers, and two classes of operation, may use the same key."""

    async def play(journal):
        reel = Asks(integration_id="acme/eu/reel")
        (session,) = await players(journal, ask, ["ann"])
        other = (await accepted(journal, reel.start_session())).result["session_id"]
        await accepted(journal, ask.bet("2", session_id=session, key="k"))
        await accepted(journal, reel.bet("2", session_id=other, key="k"))
        deposit = Asks(integration_id=None).deposit("2", key="k")
        await accepted(journal, deposit)
        outcome = await accepted(journal, replace(deposit, origin=replace(deposit.origin, operation="cashier")))
        assert outcome.balances.cash_minor == 10000

    journal_of(play)


def test_a_settlement_before_its_bet_works_when_retried(journal_of):
    """What was not found leaves the key free; a refusal by a rule consumes it."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"], "1")
        early = ask.settle("5")
        assert (await ask_one(journal, early)).refusal_code == "BET_NOT_FOUND"
        dear = ask.bet("2", session_id=session)
        assert (await ask_one(journal, dear)).refusal_code == "INSUFFICIENT_FUNDS"
        await accepted(journal, ask.deposit("10"))
        assert (await ask_one(journal, again(dear))).refusal_code == "INSUFFICIENT_FUNDS"
        await accepted(journal, ask.bet("2", session_id=session))
        assert (await accepted(journal, again(early))).balances.cash_minor == 1400

    journal_of(play)


def test_a_policy_may_leave_the_key_free(journal_of):
    """With refusal_consumes_key off, the same key works once there is money."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"], "1")
        dear = ask.bet("2", session_id=session)
        assert (await ask_one(journal, dear, refusal_consumes_key=False)).refusal_code == "INSUFFICIENT_FUNDS"
        await accepted(journal, ask.deposit("10"))
        await accepted(journal, again(dear), refusal_consumes_key=False)

    journal_of(play)


@pytest.mark.parametrize("make", [lambda: ask.bet(session_id="s_none"), ask.settle, lambda: ask.end_session("s_none")])
def test_what_is_not_found_never_consumes_a_key(journal_of, ledger_database, make):
    """Nothing is kept of it but the record of the refusal."""

    async def play(journal):
        command = make()
        for _ in range(2):
            assert (await ask_one(journal, again(command))).refusal_code.endswith("_NOT_FOUND")

    journal_of(play)
    with psycopg.connect(ledger_database) as connection:
        counts = connection.execute(
            "select (select count(*) from wagerledger.commands), (select count(*) from wagerledger.refusals)"
        ).fetchone()
    assert counts == (0, 2)


# Several commands in one callback


def test_several_commands_are_one(journal_of):
    """In their order, on each other's result, on several wallets, with the balances after each."""

    async def play(journal):
        ann, _ = await players(journal, ask, ["ann", "bob"], "10")
        asked = ask.bet("10", session_id=ann), ask.settle("30"), ask.withdraw("25"), ask.deposit("25", "bob")
        outcomes = await journal.submit(callback(*asked))
        assert [outcome.balances.cash_minor for outcome in outcomes] == [0, 3000, 500, 3500]

    journal_of(play)


def test_a_bet_and_its_end_in_one_callback(journal_of):
    """The settlement, or the rollback, finds the bet that came just before it, though no look-up could."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"])
        won = await journal.submit(callback(ask.bet("2", session_id=session), ask.settle("3")))
        assert [outcome.balances.cash_minor for outcome in won] == [9800, 10100]
        undone = await journal.submit(callback(ask.bet("2", "b2", session_id=session), ask.rollback("b2")))
        assert undone[-1].balances.cash_minor == 10100

    journal_of(play)


def test_a_bet_and_its_end_in_two_callbacks_of_one_batch(journal_of):
    """Sent together, they are decided together, in the order in which they came."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"])
        some = [
            command
            for n in range(20)
            for command in (ask.bet("1", f"b{n}", session_id=session), ask.settle("2", f"b{n}"))
        ]
        outcomes = await asyncio.gather(*(ask_one(journal, command) for command in some))
        assert {outcome.refusal_code for outcome in outcomes} == {None}
        undone = [
            command
            for n in range(20, 40)
            for command in (ask.bet("1", f"b{n}", session_id=session), ask.rollback(f"b{n}"))
        ]
        outcomes = await asyncio.gather(*(ask_one(journal, command) for command in undone))
        assert {outcome.result["status"] for outcome in outcomes} == {"authorized", "rolled_back"}
        assert outcomes[-1].balances.cash_minor == 12000

    journal_of(play, journal_writers=1)


def test_one_refusal_refuses_all(journal_of, ledger_database):
    """Nothing of a refused callback stays; its answer tells the balances as they are; all of it works again under new keys."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"], "10")
        (outcome,) = await journal.submit(
            callback(ask.bet("6", "b1", session_id=session), ask.bet("6", "b2", session_id=session))
        )
        assert (outcome.refusal_code, outcome.details["available"]) == ("INSUFFICIENT_FUNDS", "4.00")
        assert (outcome.balances.cash_minor, outcome.balances.held_minor) == (1000, 0)
        outcomes = await journal.submit(
            callback(ask.bet("5", "b1", session_id=session), ask.bet("5", "b2", session_id=session))
        )
        assert outcomes[-1].balances.held_minor == 1000

    journal_of(play)


def test_a_refused_callback_is_refused_again_and_its_first_command_stays_free(journal_of):
    """The refusal is remembered under the key of the command that was refused, and under no other."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"], "10")
        small, dear = ask.bet("6", "b1", session_id=session), ask.bet("6", "b2", session_id=session)
        (first,) = await journal.submit(callback(small, dear))
        (second,) = await journal.submit(callback(again(small), again(dear)))
        assert second == replace(first, replayed=True)
        await accepted(journal, again(small))

    journal_of(play)


def test_a_partly_repeated_callback_adds_the_rest(journal_of):
    """Known commands hear their stored outcome, new ones are decided; each has one effect."""

    async def play(journal):
        (session,) = await players(journal, ask, ["ann"], "10")
        bet = ask.bet("2", session_id=session)
        first = await accepted(journal, bet)
        known, new = await journal.submit(callback(again(bet), ask.settle("1")))
        assert known == replace(first, replayed=True)
        assert (new.replayed, new.balances.cash_minor) == (False, 900)

    journal_of(play)


def test_a_key_twice_in_one_callback(journal_of):
    """The same content: one effect, heard twice. Other content: the whole callback is refused."""

    async def play(journal):
        await players(journal, ask, ["ann"], "10")
        once = ask.deposit("1", key="k")
        first, second = await journal.submit(callback(once, again(once)))
        assert second == replace(first, replayed=True)
        assert first.balances.cash_minor == 1100
        (outcome,) = await journal.submit(callback(ask.deposit("1", key="l"), ask.deposit("2", key="l")))
        assert outcome.refusal_code == "IDEMPOTENCY_MISMATCH"
        assert (await accepted(journal, ask.deposit("3", key="l"))).balances.cash_minor == 1400

    journal_of(play)


# Callbacks that break


@pytest.mark.parametrize("poison", ["b\0", "b\ud800"])
def test_a_poisoned_callback_fails_alone(journal_of, poison):
    """What PostgreSQL cannot store fails by itself; its neighbours in the batch, and the next callbacks, are answered."""

    async def play(journal):
        sessions = await players(journal, ask, [f"p{n}" for n in range(8)])
        bad = callback(ask.bet("1", poison, session_id=sessions[0]))
        good = [callback(ask.bet("1", f"b{n}", session_id=session)) for n, session in enumerate(sessions)]
        error, *answers = await asyncio.gather(journal.submit(bad), *map(journal.submit, good), return_exceptions=True)
        assert isinstance(error, Exception)
        assert [outcome.refusal_code for (outcome,) in answers] == [None] * 8
        await accepted(journal, ask.bet("1", "after", session_id=sessions[0]))

    journal_of(play, journal_writers=1)


def test_a_rule_that_raises_fails_alone(journal_of):
    """A bug in rendering (or in a rule) costs one callback its answer, moves nothing, and is told to its caller."""

    def broken(outcome):
        raise ZeroDivisionError

    async def play(journal):
        sessions = await players(journal, ask, [f"p{n}" for n in range(8)])
        bad = Callback((ask.bet("1", "bad", session_id=sessions[0]),), Policy(), broken)
        good = [callback(ask.bet("1", f"b{n}", session_id=session)) for n, session in enumerate(sessions)]
        error, *answers = await asyncio.gather(journal.submit(bad), *map(journal.submit, good), return_exceptions=True)
        assert isinstance(error, ZeroDivisionError)
        assert [outcome.refusal_code for (outcome,) in answers] == [None] * 8
        assert (await ask_one(journal, ask.settle("0", "bad"))).refusal_code == "BET_NOT_FOUND"

    journal_of(play, journal_writers=1)


def test_a_command_that_names_nobody_is_a_bug(journal_of):
    """An operator's command without a player is refused at the door, not in a batch."""

    async def play(journal):
        with pytest.raises(AssertionError, match="names no player"):
            await journal.submit(callback(Asks(integration_id=None).end_session("s1")))

    journal_of(play)


def test_the_clock_jumps(journal_of, monkeypatch):
    """Two years ahead and back again: time in a stream never runs backwards, and events of a month without a partition are kept."""
    now = time.time_ns()

    async def play(journal):
        await players(journal, ask, ["ann"])
        for jump_s in (2 * 366 * 86400, 60, -366 * 86400, 0):
            monkeypatch.setattr(time, "time_ns", lambda jump_s=jump_s: now + jump_s * 10**9)
            await accepted(journal, ask.deposit("1"))
        monkeypatch.undo()

    journal_of(play)


def test_two_thousand_callers_at_once(journal_of):
    """Far more than there are connections, in batches far larger than usual: everybody is answered."""

    async def play(journal):
        sessions = await players(journal, ask, [f"p{n}" for n in range(50)])
        bets = [ask_one(journal, ask.bet("1", f"b{n}", session_id=sessions[n % 50])) for n in range(2000)]
        assert {outcome.refusal_code for outcome in await asyncio.gather(*bets)} == {None}

    journal_of(play, journal_batch=1000)
