"""Replay: a wallet as it was, at any version and any time, from its events alone."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from audit.findings import CannotCheckError
from audit.replay import replay
from ledger.outcome import Balances
from runtime.settings import Settings
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.wrong_hand import disarm

DECIDED = """
select tenant_id, stream_id, last_version, outcome::text from wagerledger.commands
where stream_type = 'player' and last_version is not null order by tenant_id, stream_id, last_version
"""
TIMES = "select stream_version, recorded_at from wagerledger.event_log where (tenant_id, stream_type, stream_id) = ('acme', 'player', 'p0') order by 1"


@pytest.fixture(scope="module")
def played(ledger_database_of_module):
    settings = Settings(database_url=ledger_database_of_module)
    return settings, play(settings, seeded_random(), players=2)


@pytest.fixture
def database(ledger_database_of_module):
    with psycopg.connect(ledger_database_of_module, autocommit=True) as connection:
        yield connection


def test_every_version_equals_what_was_answered_then(played, database):
    """The balances of a replay at a version are those that the callback of that version heard."""
    settings, told = played
    answered = {command.origin.idempotency_key: outcome for command, outcome in told if not outcome.refusal_code}
    assert answered
    compared = 0
    for tenant_id, player_id, version, outcome in database.execute(DECIDED).fetchall():
        balances = json.loads(outcome)["balances"]
        if balances:
            expected = Balances(*balances)
            assert (
                Balances.of(replay(settings, f"{tenant_id}/{player_id}/{expected.currency}", at_version=version).wallet)
                == expected
            )
            compared += 1
    assert compared > 50


def test_a_callers_answer_is_the_replay(played, database):
    """What the journal told its caller, not only what it stored, comes out of the events."""
    settings, told = played
    versions = dict(
        database.execute(
            "select idempotency_key, last_version from wagerledger.commands where last_version is not null"
        ).fetchall()
    )
    deposits = [
        (command, outcome) for command, outcome in told if command.kind == "Deposit" and not outcome.refusal_code
    ]
    assert deposits
    for command, outcome in deposits:
        wallet = f"{command.origin.tenant_id}/{command.player}/{command.currency}"
        assert (
            Balances.of(replay(settings, wallet, at_version=versions[command.origin.idempotency_key]).wallet)
            == outcome.balances
        )


def test_a_time_is_the_last_version_until_then(played, database):
    """A replay at a time takes the events up to and with it."""
    settings, _ = played
    times = database.execute(TIMES).fetchall()
    for version, recorded_at in times[3::7]:
        last = max(v for v, t in times if t <= recorded_at)
        found = replay(settings, "acme/p0/EUR", at_time=recorded_at)
        assert (found.version, found.wallet) == (last, replay(settings, "acme/p0/EUR", at_version=last).wallet)
        assert found.version >= version


def test_the_whole_replay_is_the_stored_wallet(played, database):
    """Without a limit a replay ends at the stored row, the stream's head, and the open bets' stakes."""
    settings, _ = played
    found = replay(settings, "acme/p0/EUR")
    wallet = found.wallet
    assert database.execute(
        "select cash_minor, bonus_minor, held_minor, receivable_minor from wagerledger.wallets where (tenant_id, player_id, currency) = ('acme', 'p0', 'EUR')"
    ).fetchone() == (wallet.cash_minor, wallet.bonus_minor, wallet.held_minor, wallet.receivable_minor)
    assert database.execute(
        "select version, encode(head_hash, 'hex') from wagerledger.streams where (tenant_id, stream_type, stream_id) = ('acme', 'player', 'p0')"
    ).fetchone() == (found.version, found.head_hash)
    assert sum(bet.held_minor for bet in found.open_bets) == wallet.held_minor
    assert found.events[-1].wallet == wallet
    assert json.loads(json.dumps(found.to_dict()))["cash_minor"] == wallet.cash_minor
    assert "acme/p0/EUR at version" in found.text()


@pytest.mark.parametrize("wallet", ["acme", "acme/p0", "acme//EUR", "/p0/EUR", "acme/p0/"])
def test_what_is_no_wallet_is_refused(played, wallet):
    """The error shows how a wallet is written."""
    with pytest.raises(CannotCheckError, match="tenant/player/currency"):
        replay(played[0], wallet)


def test_a_wallet_that_was_not_there_is_refused(played):
    """Before its first event, or without any, there is nothing to show."""
    settings, _ = played
    for arguments in (
        {"wallet": "acme/nobody/EUR"},
        {"wallet": "acme/p0/USD"},
        {"wallet": "acme/p0/EUR", "at_time": datetime.now(UTC) - timedelta(days=1)},
    ):
        with pytest.raises(ValueError, match="no wallet"):
            replay(settings, **arguments)


def test_a_version_that_is_not_there_yet_is_refused(played):
    """The error says how far the stream goes; a time after its last event is its end."""
    settings, _ = played
    newest = replay(settings, "acme/p0/EUR")
    later = datetime.now(UTC) + timedelta(days=1)
    assert replay(settings, "acme/p0/EUR", at_version=newest.version, at_time=later) == newest
    with pytest.raises(ValueError, match=f"the stream is at version {newest.version}"):
        replay(settings, "acme/p0/EUR", at_version=newest.version + 1)


def test_a_broken_chain_is_not_replayed(played, database):
    """Events that do not follow each other prove nothing, and the error says where they part."""
    settings, _ = played
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        disarm(connection)
        connection.execute("delete from wagerledger.event_log where stream_id = 'p1' and stream_version = 5")
    with pytest.raises(ValueError, match="version 6 does not follow version 4"):
        replay(settings, "zeta/p1/EUR")


def test_an_unknown_source_is_refused(played):
    """The error names the known ones."""
    with pytest.raises(CannotCheckError, match="database and topics"):
        replay(played[0], "acme/p0/EUR", source="tea leaves")


def test_a_database_that_does_not_answer_is_no_replay():
    """What cannot be read is told apart from what is not there."""
    with pytest.raises(CannotCheckError, match="WAGERLEDGER_DATABASE_URL"):
        replay(Settings(database_url="postgresql://127.0.0.1:1/none"), "acme/p0/EUR")
