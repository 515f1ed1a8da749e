"""Bets keep their session alive in the ledger's tables: once each, with the bet or not at all, and hardly ever."""

import asyncio
from dataclasses import replace

import psycopg
import pytest
from uuid_utils import uuid7

from ledger.core.policy import Policy
from ledger.core.state import Player, State
from ledger.journal.batch import Batch
from ledger.journal.transaction import writes
from ledger.journal.unit_of_work import UnitOfWork, requests_of
from ledger.journal.writer import Journal
from ledger.store import sessions
from ledger.streams import player_stream
from tests.ledger.core.scene import session, wallet
from tests.support import history
from tests.support.commands import HOUR, NOW, Asks
from tests.support.journals import accepted, ask_one, callback, players, run, settings_of

ask = Asks()
LATE = ask.at(NOW + HOUR - 1)
"""Asks while the sessions of `players` are about to expire."""


@pytest.fixture
def ends_after(ledger_database):
    """`ends_after(play)`: the ends that bets gave to sessions in `play`, and the sessions' rows after it; all is folded."""

    def played(play):
        async def main():
            async with Journal(settings_of(ledger_database)) as journal:
                await play(journal)

        run(main)
        said = [one["payload"].get("session_expires_at") for one in history.check(ledger_database).records]
        with psycopg.connect(ledger_database) as connection:
            rows = connection.execute("select expires_at, extended_us from wagerledger.sessions").fetchall()
        return [end for end in said if end is not None], rows

    return played


def test_a_repeat_keeps_nothing_alive(ends_after):
    """The same bet again, and much later, hears its old answer; the session's end is the one that the first gave it."""

    async def play(journal):
        (session_id,) = await players(journal, ask, ["ann"])
        bet = LATE.bet(session_id=session_id)
        first = await accepted(journal, bet)
        for after in (1, HOUR - HOUR // 4, 3 * HOUR):
            again = replace(bet, command_id=str(uuid7()), received_at=bet.received_at + after)
            assert (await ask_one(journal, again)).answer == first.answer
        assert (await ask_one(journal, ask.at(NOW + 2 * HOUR).bet(session_id=session_id, bet_id="b2"))).refusal_code

    assert ends_after(play) == ([NOW + 2 * HOUR - 1], [(NOW + 2 * HOUR - 1, HOUR - 1)])


def test_many_bets_at_once_move_the_end_once(ends_after):
    """Whichever of them is first; the others find it moved."""

    async def play(journal):
        (session_id,) = await players(journal, ask, ["ann"])
        bets = [LATE.bet("1", f"b{number}", f"r{number}", session_id=session_id) for number in range(30)]
        await asyncio.gather(*[accepted(journal, bet) for bet in bets])

    assert ends_after(play) == ([NOW + 2 * HOUR - 1], [(NOW + 2 * HOUR - 1, HOUR - 1)])


def test_a_callback_that_is_refused_moves_no_end(ends_after):
    """Its first bet was possible, its second was not: nothing of either stays."""

    async def play(journal):
        (session_id,) = await players(journal, ask, ["ann"], "10")
        bets = [LATE.bet(text, f"b{text}", f"r{text}", session_id=session_id) for text in ("2", "9")]
        (outcome,) = await journal.submit(callback(*bets))
        assert outcome.refusal_code == "INSUFFICIENT_FUNDS"

    assert ends_after(play) == ([], [(NOW + HOUR, 0)])


def statements_of(bet):
    """What one bet writes."""
    loaded = State()
    loaded.put(wallet(), Player("acme", "ann", "eu"), session())
    stream = player_stream("acme", "ann")
    batch = Batch({stream}, loaded, {}, {}, NOW)
    asked = callback(bet)
    (outcome,) = UnitOfWork(batch, asked, requests_of(asked, lambda _: stream)).decide()
    assert outcome.refusal_code is None, outcome
    return [statement.sql for statement in writes(batch)]


def test_a_bet_that_moves_no_end_writes_no_session():
    """One that does writes its session's row, and nothing else more."""
    usual, moving = statements_of(ask.bet()), statements_of(LATE.bet())
    assert sessions.UPDATE not in usual
    assert sorted(moving) == sorted([*usual, sessions.UPDATE])
    assert usual == statements_of(ask.at(NOW + HOUR - Policy().session_idle_s * 500_000).bet())
