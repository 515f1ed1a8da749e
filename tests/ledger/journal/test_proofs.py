"""One proof, one call: signed bytes that do not name their call are remembered with it."""

import pytest

from ledger.core.policy import Policy
from ledger.journal.writer import Journal
from ledger.outcome import Callback, Proof
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import players, run, settings_of

ask = Asks()
KEEPS_KEYS = Policy(refusal_consumes_key=False, win_needs_bet=False)
BET = Proof(b"0123456789abcdef", "acme/eu/spin", "POST /bet")
ELSEWHERE = {
    "endpoint": BET._replace(operation="POST /award"),
    "spelling": BET._replace(operation="POST //bet"),
    "integration": BET._replace(scope="acme/eu/reel"),
}


def played(ledger_database, test):
    """What `test` does with a journal where ann has 100.00, and the log after it."""

    async def main():
        async with Journal(settings_of(ledger_database)) as journal:
            (session,) = await players(journal, ask, ["ann"])
            await test(session, lambda proof, *commands: journal.submit(Callback(commands, KEEPS_KEYS, proof=proof)))

    run(main)
    return history.check(ledger_database)


@pytest.mark.parametrize("proof", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_was_proven_once_proves_no_other_call(ledger_database, proof):
    """Whether the first call was accepted, refused, a repeat, or came to no decision."""

    async def test(session, submit):
        bet = ask.bet("2", session_id=session)
        calls = [(bet,), (ask.bet("900", "b2", session_id=session),), (bet,), ()]
        expected = [None, "INSUFFICIENT_FUNDS", None]
        for number, commands in enumerate(calls):
            digest = BET.digest[:-1] + bytes([number])
            outcomes = await submit(BET._replace(digest=digest), *commands)
            assert [outcome.refusal_code for outcome in outcomes] == expected[number : number + 1]
            (other,) = await submit(proof._replace(digest=digest), ask.award("5", f"a{number}"))
            assert (other.refusal_code, other.details) == ("SIGNATURE_REUSED", {})

    found = played(ledger_database, test)
    assert found.count("wallet.credit.award") == 0


def test_the_same_call_is_a_repeat_and_what_was_refused_is_decided_again(ledger_database):
    """A win that overtook its bet is paid when the same bytes come again; a third time they are a repeat."""

    async def test(session, submit):
        win = ask.settle("5")
        assert [one.refusal_code for one in await submit(BET, win)] == ["BET_NOT_FOUND"]
        await submit(BET._replace(digest=bytes(16)), ask.bet("2", session_id=session))
        (paid,), (repeat,) = await submit(BET, win), await submit(BET, win)
        assert (paid.refusal_code, paid.replayed, repeat.replayed) == (None, False, True)

    assert played(ledger_database, test).count("bet.settled") == 1


def test_a_refusal_of_reused_bytes_keeps_no_key(ledger_database):
    """The same command, proven by bytes of its own, is decided."""

    async def test(session, submit):
        bet = ask.bet("2", session_id=session)
        await submit(ELSEWHERE["endpoint"], ask.award("5"))
        assert [one.refusal_code for one in await submit(BET, bet)] == ["SIGNATURE_REUSED"]
        assert [one.refusal_code for one in await submit(BET._replace(digest=bytes(16)), bet)] == [None]

    played(ledger_database, test)
