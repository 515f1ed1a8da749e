"""Every kind of event can be put back from the topics: the state, the balances and the answers are what they were."""

import psycopg

from audit.verify import verify
from ledger.jobs.restore_events import restore
from schemas.events import BY_FINGERPRINT
from schemas.registry import WireRecord
from tests.support import history
from tests.support.commands import BY
from tests.support.journals import settings_of
from tests.support.random_game import play
from tests.support.seeds import seeded_random

LOG = "select schema_fingerprint, body from wagerledger.event_log order by xid, position"
STATE = {
    "wallets": "tenant_id, player_id, currency",
    "bets": "integration_id, bet_id",
    "settlements": "integration_id, win_id",
    "rounds": "integration_id, player_id, round_id",
    "players": "tenant_id, player_id",
    "sessions": "session_id",
    "streams": "tenant_id, stream_type, stream_id",
}
ANSWERS = """
select scope, operation, idempotency_key, outcome::text, fingerprint from wagerledger.commands where first_version is not null
order by 1, 2, 3
"""


def wire(fingerprint, body):
    schema = BY_FINGERPRINT[fingerprint]
    return WireRecord(schema, body, schema.decode(body))


def tables(url):
    with psycopg.connect(url) as connection:
        return {
            name: rows_of(connection, f"select t::text from wagerledger.{name} t order by {key}")
            for name, key in STATE.items()
        }


def rows_of(connection, query):
    return connection.execute(query).fetchall()


def test_a_lost_log_comes_back_whole(ledger_database, ledger_database_of_module):
    """Into an empty database; a currency told in a tombstone's answer alone is all that may be forgotten."""
    play(settings_of(ledger_database_of_module), seeded_random(), players=4, steps=40)
    history.check(ledger_database_of_module)
    with psycopg.connect(ledger_database_of_module) as connection:
        lost, answers = rows_of(connection, LOG), rows_of(connection, ANSWERS)
    restore(settings_of(ledger_database), (wire(*row) for row in lost), by=BY)
    history.check(ledger_database)
    assert tables(ledger_database) == tables(ledger_database_of_module)
    with psycopg.connect(ledger_database) as connection:
        restored = rows_of(connection, ANSWERS)
    assert [row[:3] for row in restored] == [row[:3] for row in answers]
    differing = [(was[3], now[3]) for was, now in zip(answers, restored, strict=True) if was[3:] != now[3:]]
    assert all('"tombstoned"' in was for was, _ in differing)
    assert verify(settings_of(ledger_database), database=True, topics=False, bi=False).ok
