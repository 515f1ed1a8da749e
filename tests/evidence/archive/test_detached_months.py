"""Months that are only in the archive: they go when it has each of their events, and the audit goes on as before."""

from datetime import date

import psycopg
import pytest

from audit.anchors import verify_anchors
from audit.findings import AuditReport, CannotCheckError
from audit.reconcile import funds
from audit.reconcile.stores import LIABILITY, reconcile
from audit.sources import Sources
from audit.verify import verify
from evidence import proof
from evidence.archive.detached_months import MONTHS, ProvenMonth, prove
from evidence.archive.detached_months import detach as take_out
from evidence.archive.reader import Archive
from evidence.archive.segment import ArchiveError
from evidence.keys import to_text
from ledger.admin.actions import Actor
from ledger.entry import COMMAND
from tests.support.journals import settings_of
from tests.support.random_game import play
from tests.support.seals import KEY, TRUSTED, archive, deposit, opened, past_month, seal
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_database
from tests.support.wrong_hand import disarm

BY = Actor("ops", "thirteen months are enough")
MONTH = date(2026, 1, 1)
FAR = (2**40, 2**40)
"""Where no relay has to go back to."""


@pytest.fixture(scope="module")
def january(ledger_database_of_module, tmp_path_factory):
    """A ledger whose month is over: its players have gone on, one has not. And its archive."""
    url, folder = ledger_database_of_module, tmp_path_factory.mktemp("archive")
    with past_month(url):
        play(settings_of(url), seeded_random(), players=3, steps=12)
        seal(url)
        deposit(url, times=1)
    deposit(url)
    seal(url)
    archive(url, folder, segment_leaves=128)
    return url, folder


@pytest.fixture
def database(january, servers):
    """A copy to detach from."""
    with fresh_database(servers.database_url, template=january[0]) as url:
        yield url


def detach(url: str, archive: Archive, month: date = MONTH, published: tuple[int, int] = FAR) -> ProvenMonth:
    """As the command does it."""
    proven = prove(url, archive, month, published)
    with psycopg.connect(url) as connection:
        take_out(connection, archive, month, BY, proven)
    return proven


@pytest.fixture(scope="module")
def found(january):
    return opened(january[1])


def count(url, relation="event_log"):
    with psycopg.connect(url) as connection:
        return connection.execute(f"select count(*) from wagerledger.{relation}").fetchone()[0]


def test_a_month_that_the_archive_has_can_go(database, found):
    """The log gets smaller by exactly that month, an act says who did it, and its table stays as it was."""
    before = count(database)
    proven = detach(database, found)
    assert count(database, "event_log_2026_01") == proven.events > 0
    assert count(database) == before - proven.events > 0
    with psycopg.connect(database) as connection:
        assert connection.execute(MONTHS).fetchall() == [(MONTH,)]
        told = connection.execute(
            "select actor, reason, subject from wagerledger.acts where action = 'log.month_detached'"
        )
        assert told.fetchall() == [("ops", "thirteen months are enough", "2026-01")]


def test_the_audit_folds_every_stream_from_its_first_event(database, found):
    """With the archive the audit is as whole as before; without it nobody says that all is well."""
    streams = verify(settings_of(database), topics=False).checked["database.streams"]
    detach(database, found)
    with pytest.raises(CannotCheckError, match="2026-01 are detached from the log: give their archive"):
        verify(settings_of(database), topics=False)
    report = verify(settings_of(database), topics=False, archive=found)
    assert report.findings == []
    assert report.checked["database.streams"] == streams


def test_player_funds_are_those_of_the_whole_log(database, found):
    """With the archive they are what they were before; without it, with an old one, or with read models to compare, nobody tells a wrong sum."""
    settings = settings_of(database)
    before = funds.read(settings)
    detach(database, found)
    for attempt in (lambda: funds.read(settings), lambda: reconcile(settings, topics=False, models=[LIABILITY])):
        with pytest.raises(CannotCheckError, match="2026-01 are detached"):
            attempt()
    assert funds.read(settings, archive=found) == before
    with psycopg.connect(database) as connection:
        connection.execute(
            "insert into wagerledger.archived (month, last_xid, first_leaf, last_leaf, manifest_sha256, actor) values ('2026-02-01', 1, 0, %s, '', 'ops')",
            [found.tree_size],
        )
    with pytest.raises(CannotCheckError, match="too old"):
        funds.read(settings, archive=found)


def test_a_changed_wallet_is_found_though_its_events_are_detached(database, found):
    """The fold begins in the archive and ends in the stored rows: one cent more is a finding."""
    detach(database, found)
    with psycopg.connect(database) as connection:
        connection.execute(
            "update wagerledger.wallets set cash_minor = cash_minor + 1 where (tenant_id, player_id, currency) = ('zeta', 'p1', 'EUR')"
        )
    codes = {finding.code for finding in verify(settings_of(database), topics=False, archive=found).findings}
    assert codes == {"state_differs", "books_unbalanced"}


def test_the_anchors_hold_though_events_are_detached(database, found, tmp_path):
    """Entries that are only in the archive are proven from there; what is still in the log is named as ever."""
    detach(database, found)
    heads = tmp_path / "heads.jsonl"
    heads.write_text("\n".join(found.anchors()) + "\n")
    settings = settings_of(database, anchor_public_keys=to_text(KEY.public_key()), anchor_log="tests")

    def anchored(archive=None):
        report = AuditReport()
        verify_anchors(Sources(settings), report, files=[heads], archive=archive)
        return dict(report.counts)

    with pytest.raises(CannotCheckError, match="give their archive"):
        anchored()
    assert anchored(found) == {}
    with psycopg.connect(database) as connection:
        disarm(connection)
        connection.execute(
            "delete from wagerledger.refusals where refusal_id = (select min(refusal_id) from wagerledger.refusals)"
        )
        connection.execute(
            "delete from wagerledger.event_log where position = (select max(position) from wagerledger.event_log)"
        )
    assert anchored(found) == {"entry_missing": 2}


CHANGED = "update wagerledger.event_log_2026_01 set body = body || '\\x00' where event_id = (select event_id from wagerledger.event_log_2026_01 order by position limit 1 offset 7)"
MOVED = "update wagerledger.event_log_2026_01 set xid = (select max(xid) from wagerledger.event_log_2026_01) where position = (select min(position) from wagerledger.event_log_2026_01)"


@pytest.mark.parametrize("harm", [CHANGED, MOVED], ids=["changed", "moved"])
def test_a_month_that_the_archive_has_otherwise_stays(database, found, harm):
    """One byte or one place that differs keeps the whole month in the log."""
    with psycopg.connect(database) as connection:
        disarm(connection)
        connection.execute(harm)
    before = count(database)
    with pytest.raises(ArchiveError, match=r"not in its place in .*: nothing is detached"):
        detach(database, found)
    assert count(database) == before


def test_a_month_that_is_none_of_the_log_is_refused(database, found):
    """Nothing is detached twice, nor what was never there."""
    with pytest.raises(ArchiveError, match="no month of the event log, or is detached already"):
        detach(database, found, date(2025, 12, 1))


def test_a_month_in_which_a_relay_still_is_stays(database, found):
    """A relay proves its place by the last event that it has published: that event must stay in the log."""
    with pytest.raises(ArchiveError, match="every shard has published a later one"):
        detach(database, found, published=(0, 0))
    assert count(database, "archived") == 0


def test_a_command_can_be_proven_though_the_events_beside_it_are_detached(database, found):
    """Commands stay in the log, and so does the proof of what was asked and answered."""
    *_, command = (proof.content(entry) for entry in found.read(found.segments[0]) if entry.kind == COMMAND)
    names = command["scope"], command["operation"], command["idempotency_key"]

    def proven():
        with psycopg.connect(database, options="-c default_transaction_isolation=repeatable\\ read") as connection:
            return proof.prove_command(connection, *names, TRUSTED)

    before = proven()
    detach(database, found)
    assert proven() == before
