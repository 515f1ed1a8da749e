"""An archive brings a lost ledger back: state, keys, evidence and answers are what they were, in another database."""

import psycopg
import pytest

from audit.verify import verify
from evidence import log
from evidence.archive.restore import restore
from ledger.admin import games, integrations
from ledger.admin.actions import Actor
from ledger.admin.games import Game
from ledger.admin.secrets import Vault, new_secrets_key
from tests.support import history
from tests.support.journals import settings_of
from tests.support.random_game import play
from tests.support.seals import KEY, archive, deposit, opened, seal
from tests.support.seeds import seeded_random

BY = Actor("ops", "the server was lost")

STATE = {
    "wallets": "tenant_id, player_id, currency",
    "bets": "integration_id, bet_id",
    "settlements": "integration_id, win_id",
    "rounds": "integration_id, player_id, round_id",
    "players": "tenant_id, player_id",
    "sessions": "session_id",
    "currencies": "tenant_id, currency",
    "rates": "tenant_id, base, quote, as_of",
    "integrations": "integration_id",
    "keys_without_secrets": "kid",
    "games": "integration_id, game_id",
    "streams": "tenant_id, stream_type, stream_id",
}


def tables(url):
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(f"select t::text from wagerledger.{name} t order by {key}").fetchall()
            for name, key in STATE.items()
        }


def contents(url):
    """Every entry, without the transaction ids, which are a server's own."""
    with psycopg.connect(url, options="-c default_transaction_isolation=repeatable\\ read") as connection:
        return [entry._replace(xid=0) for entry in log.entries(connection, 0, log.horizon(connection))]


@pytest.fixture(scope="module")
def lost(ledger_database_of_module, tmp_path_factory):
    """A ledger, and the archive of it."""
    url, folder = ledger_database_of_module, tmp_path_factory.mktemp("archive")
    deposit(url, times=10, opens="q0")
    set_up(url)
    seal(url)
    play(settings_of(url), seeded_random(), players=3, steps=25)
    seal(url)
    archive(url, folder)
    return url, folder


def set_up(url):
    """Integrations and their games, as they change: keys of both kinds, options, a switch that is off."""
    vault, public_key = Vault(settings_of(url, secrets_key=new_secrets_key())), KEY.public_key().public_bytes_raw()
    with psycopg.connect(url) as connection:
        for name in ("spin", "cards"):
            integrations.add(connection, vault, by=BY, tenant_id="acme", region="EU", provider_id=name)
            games.put(connection, f"acme/EU/{name}", [Game(f"acme/EU/{name}", "g_1", "1", "One", enabled=True)], by=BY)
        spin, cards = "acme/EU/spin", "acme/EU/cards"
        integrations.rotate(connection, vault, spin, by=BY, overlap_s=60, public_keys=[public_key])
        integrations.set_options(connection, spin, {"policy.capture": "authorization"}, by=BY)
        integrations.set_enabled(connection, cards, enabled=False, by=BY)
        games.put(connection, cards, [Game(cards, "g_2", "2", "Two", enabled=False)], by=BY, replace=True)


def test_an_empty_database_becomes_the_lost_one(lost, ledger_database):
    """State, entries and their order are the same; the audit finds nothing; one act tells of the restore."""
    url, folder = lost
    restore(ledger_database, opened(folder), BY)
    assert tables(ledger_database) == tables(url)
    *restored, act = contents(ledger_database)
    assert restored == contents(url)
    assert b'"action":"log.' in act.body
    assert b"the server was lost" in act.body
    history.check(ledger_database)
    assert verify(settings_of(ledger_database), topics=False).findings == []


def test_the_anchors_of_the_lost_database_go_on(lost, ledger_database):
    """What was signed before the loss is extended by what is sealed after the restore."""
    _, folder = lost
    restore(ledger_database, opened(folder), BY)
    with psycopg.connect(ledger_database) as connection:
        heads = [
            line
            for (line,) in connection.execute("select signed_head::text from wagerledger.anchors order by tree_size")
        ]
    assert heads == list(opened(folder).anchors())
    deposit(ledger_database)
    assert seal(ledger_database).tree_size > opened(folder).tree_size
    assert archive(ledger_database, folder), "the same archive goes on as well"
    assert [entry._replace(xid=0) for entry in opened(folder).entries()] == contents(ledger_database)
