"""Keys of 16 bytes: what they are made of, and what happens where two texts have the same one."""

import hashlib
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import UniqueViolation
from structlog.testing import capture_logs

from ledger.journal.writer import Journal
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, players, run, settings_of

ask = Asks()

PARTS = [
    ("api", "acme/eu/spin", "k1"),
    ("", "", ""),
    ("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("1:a", "1", ":1:b"), ("a1:b", "", "1:c"),
    ("\\x41", "\\", "\\\\101"),
    ("'quoted'", "né à Zürich 🎲", "\u00e9 \u0065\u0301"),
    ("x" * 9, "y" * 300, "\t\n\r\x01"),
]  # fmt: skip
WEAK = """
create or replace function wagerledger.key_of(kind text, owner text, id text) returns uuid
language sql immutable parallel safe return pg_catalog.md5(kind || '/' || owner || '/' || pg_catalog.split_part(id, '=', 1))::uuid
"""


def key_of(*parts: str) -> UUID:
    """As an auditor's own tool would make it."""
    framed = b"".join(b"%d:%s" % (len(part.encode()), part.encode()) for part in parts)
    return UUID(bytes=hashlib.sha256(framed).digest()[:16])


def test_a_key_is_what_is_written_of_it(ledger_database):
    """SHA-256 over each part with its length in bytes before it, cut to 16 bytes: for any text, and no two lists alike."""
    with psycopg.connect(ledger_database) as connection:
        for parts in PARTS:
            found = connection.execute("select wagerledger.key_of(%s, %s, %s)", parts).fetchone()
            assert found == (key_of(*parts),), parts
    assert len({key_of(*parts) for parts in PARTS}) == len(PARTS)


def test_two_texts_with_one_key_are_a_bug_that_costs_only_the_second(ledger_database):
    """Of SHA-256 nobody knows any; of a weak one here. The second is not taken for the first: neither its command is
    answered with the other's outcome, nor its bet or win with the other's state; nothing of it is written, and it is
    logged as the bug that it is."""
    with psycopg.connect(ledger_database) as connection:
        connection.execute("set role wagerledger_owner")
        connection.execute(WEAK)

    async def main():
        async with Journal(settings_of(ledger_database)) as journal:
            (session,) = await players(journal, ask, ["ann"])
            await accepted(journal, ask.bet("2", "bet=1", "round=1", session_id=session, key="key=1"))
            for bet_id, key in (("other", "key=2"), ("bet=2", "other")):
                with capture_logs() as logs, pytest.raises(UniqueViolation):
                    await ask_one(journal, ask.bet("2", bet_id, "round=2", session_id=session, key=key))
                assert ("error", "callback failed") in [(line["log_level"], line["event"]) for line in logs]
            outcome = await ask_one(journal, ask.settle("5", "bet=2", "round=2"))
            assert outcome.code == "BET_NOT_FOUND"
            await accepted(journal, ask.settle("5", "bet=1", "round=1"))

    run(main)
    with psycopg.connect(ledger_database) as connection:
        assert connection.execute("select bet_id, status from wagerledger.bets").fetchall() == [("bet=1", "settled")]
    history.check(ledger_database)
