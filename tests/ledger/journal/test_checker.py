"""The checker that all the tests of the journal trust can fail: each kind of damage is found."""

import psycopg
import pytest

from ledger.journal.writer import Journal
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, players, run, settings_of
from tests.support.wrong_hand import disarm

ask = Asks()

DAMAGE = {
    "a balance is raised": ("update wagerledger.wallets set cash_minor = cash_minor + 1", "I7"),
    "a bet is opened again": ("update wagerledger.bets set status = 'open'", "I7"),
    "a settlement is gone": ("delete from wagerledger.settlements", "I7"),
    "a wallet nobody opened": ("insert into wagerledger.wallets values ('acme', 'eve', 'EUR', 2, 5, 0, 0, 0)", "I7"),
    "a head is moved": ("update wagerledger.streams set version = version + 1", "I7"),
    "an event is gone": ("delete from wagerledger.event_log where stream_version = 2", "I7"),
    "the last event is gone": ("delete from wagerledger.event_log where event_type = 'bet.settled'", "I7"),
    "one byte is another": (
        "update wagerledger.event_log set body = overlay(body placing '0' from length(body)) where stream_version = 3",
        "I7|not a",
    ),
    "a row says another type": (
        "update wagerledger.event_log set event_type = 'bet.settled' where event_type = 'bet.authorized'",
        "the columns",
    ),
    "a command is gone": ("delete from wagerledger.commands where kind = 'SettleBet'", "I6"),
    "a command claims another event": (
        "update wagerledger.commands set first_version = 2, last_version = 2 where kind = 'SettleBet'",
        "I5",
    ),
    "a command claims one too many": (
        "update wagerledger.commands set last_version = last_version + 1 where kind = 'SettleBet'",
        "I6",
    ),
    "a refusal has events": (
        """update wagerledger.commands set outcome = '{"refusal": "DUPLICATE"}' where kind = 'SettleBet'""",
        "I6",
    ),
    "the order is turned": (
        "update wagerledger.event_log set xid = '1' where stream_version = 4",
        "I7: in relay order",
    ),
}


@pytest.fixture(scope="module")
def played(ledger_database_of_module):
    async def main():
        async with Journal(settings_of(ledger_database_of_module)) as journal:
            (session,) = await players(journal, ask, ["ann"])
            await accepted(journal, ask.bet("2", session_id=session))
            await accepted(journal, ask.settle("5"))

    run(main)
    history.check(ledger_database_of_module)
    return ledger_database_of_module


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(played, damage):
    """Done by a superuser with the triggers off, seen by the checker, and taken back."""
    statement, named = DAMAGE[damage]
    with psycopg.connect(played) as connection:
        disarm(connection)
        assert connection.execute(statement).rowcount > 0
        with pytest.raises((AssertionError, ValueError), match=named):
            history.check_in(connection)
        connection.rollback()
    history.check(played)
