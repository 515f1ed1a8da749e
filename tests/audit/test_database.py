"""The audit of the database: a true history is clean, and whatever is changed behind the ledger's back is named."""

import asyncio
import re
from dataclasses import replace
from unittest import mock

import psycopg
import pytest

import audit.database
from audit.database import verify_database
from audit.finding_codes import codes, counters
from audit.findings import AuditReport, CannotCheckError
from audit.sources import Sources
from audit.verify import verify
from ledger.core import regions
from ledger.journal.writer import Journal
from runtime.progress import silent
from runtime.settings import Settings
from tests.support.commands import Asks
from tests.support.journals import accepted
from tests.support.pages import ROOT
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_database
from tests.support.wrong_hand import disarm

SOME_EVENT = "(select * from wagerledger.event_log where stream_type = 'player' and stream_version = 7 order by tenant_id, stream_id limit 1)"


@pytest.fixture(scope="module")
def played(ledger_database_of_module):
    """The URL of a database with a random history."""
    play(settings_of(ledger_database_of_module), seeded_random())
    return ledger_database_of_module


@pytest.fixture
def tampered(servers, played):
    """A copy of the history, and a way to change it."""
    with fresh_database(servers.database_url, template=played) as url:

        def tamper(*statements: str) -> AuditReport:
            with psycopg.connect(url) as connection:
                disarm(connection)
                for statement in statements:
                    changed = connection.execute(statement)
                    assert changed.rowcount, f"nothing was changed by {statement}"
            return check(url)

        yield tamper


def settings_of(url: str) -> Settings:
    return Settings(database_url=url)


def check(url: str) -> AuditReport:
    """The verdict, which is the same where the streams are checked in parts."""
    report, in_parts = verify(settings_of(url), topics=False), AuditReport()
    with Sources(settings_of(url)).ledger() as ledger:
        verify_database(ledger, None, in_parts, silent, parts=3)
    assert sorted(map(str, in_parts.findings)) == sorted(
        str(finding) for finding in report.findings if not finding.code.startswith("setting_")
    )
    assert in_parts.accounts == report.accounts
    assert in_parts.checked.items() <= report.checked.items()
    return report


def texts(report: AuditReport, code: str) -> str:
    assert code in report.counts, f"no {code} in\n{report.text()}"
    return "\n".join(str(finding) for finding in report.findings if finding.code == code)


def test_a_true_history_is_clean(played):
    """A random history that the journal wrote verifies without a finding, and everything in it was looked at."""
    report = check(played)
    assert report.ok, report.text()
    with psycopg.connect(played) as connection:
        events, streams = connection.execute(
            "select (select count(*) from wagerledger.event_log), (select count(*) from wagerledger.streams)"
        ).fetchone()
    assert (report.checked["database.events"], report.checked["database.streams"]) == (events, streams)
    assert report.accounts["acme", "EUR", "cashier"] < 0


def test_a_large_ledger_is_read_by_processes(played, monkeypatch):
    """As many as there are cores, at least two here, each with its part of one snapshot; together they say the same."""
    alone = check(played)
    monkeypatch.setattr(audit.database, "LEAST_EVENTS", 1)
    monkeypatch.setattr(audit.database, "cores", lambda: 2)
    shown = []
    together = verify(settings_of(played), topics=False, progress=lambda *said: shown.append(said))
    assert together.ok, together.text()
    assert (together.checked, together.accounts) == (alone.checked, alone.accounts)
    events = together.checked["database.events"]
    assert shown[-1] == ("database", events, events)


def test_an_empty_ledger_is_clean(ledger_database):
    """Nothing recorded, nothing wrong."""
    assert check(ledger_database).ok


@pytest.mark.parametrize("position", [3, 60, -40, -1])
def test_one_changed_byte_is_found(tampered, position):
    """A single other byte in one event breaks the chain at the next one, wherever it is."""
    at = position if position >= 0 else f"octet_length(e.body) {position}"
    report = tampered(
        f"update wagerledger.event_log e set body = set_byte(e.body, {at}, get_byte(e.body, {at}) # 1) from {SOME_EVENT} x where e.event_id = x.event_id"
    )
    chain = texts(report, "chain_broken")
    assert "version 8" in chain
    assert len(report.findings) < 10, report.text()


def test_a_changed_last_event_is_found(tampered):
    """The newest event has no successor; its stream's row holds its hash."""
    report = tampered(
        "update wagerledger.event_log e set body = set_byte(e.body, 70, get_byte(e.body, 70) # 1) from wagerledger.streams s "
        "where s.stream_type = 'player' and s.tenant_id = 'acme' and s.stream_id = 'p0' "
        "and (e.tenant_id, e.stream_type, e.stream_id, e.stream_version) = (s.tenant_id, s.stream_type, s.stream_id, s.version)"
    )
    assert "acme/player/p0" in texts(report, "head_differs")


def test_a_deleted_event_is_found(tampered):
    """An event that is gone leaves a hole in the versions, and its command names what does not exist."""
    report = tampered(f"delete from wagerledger.event_log e using {SOME_EVENT} x where e.event_id = x.event_id")
    assert "version 7 is gone" in texts(report, "version_missing")


def test_a_deleted_last_event_is_found(tampered):
    """A cut-off end is found by the stream's row and by the command."""
    report = tampered(
        "delete from wagerledger.event_log where (tenant_id, stream_type, stream_id, stream_version) in (select tenant_id, stream_type, stream_id, version from wagerledger.streams where stream_id = 'p0')"
    )
    assert "version" in texts(report, "head_differs")
    assert "names versions" in texts(report, "command_unexplained")


def test_two_swapped_events_are_found(tampered):
    """Two events that changed places break the chain, and their bytes name other versions than their rows."""
    place = "update wagerledger.event_log set stream_version = {} where tenant_id = 'acme' and stream_id = 'p0' and stream_version = {}"
    report = tampered(place.format(1000, 7), place.format(7, 8), place.format(8, 1000))
    assert "stream_version is 8 in the bytes, and 7 by the row" in texts(report, "column_differs")
    assert "version 7" in texts(report, "chain_broken")


def test_an_added_event_is_found(tampered):
    """A copied event at the end of a stream carries the wrong predecessor, version and id."""
    report = tampered(
        "insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint, trace_id, body) "
        "select s.recorded_at, s.tenant_id, s.stream_type, s.stream_id, s.version + 1, x.event_type, x.event_id, x.schema_fingerprint, x.trace_id, x.body "
        f"from {SOME_EVENT} x join wagerledger.streams s using (tenant_id, stream_type, stream_id)"
    )
    for code in ("chain_broken", "column_differs", "command_missing", "head_differs", "event_id_repeated"):
        assert code in report.counts, report.text()


def test_a_second_event_at_one_version_is_found(tampered):
    """The same version twice is named, although each row alone looks right."""
    report = tampered(
        "insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint, trace_id, body) "
        f"select x.recorded_at + interval '1 microsecond', x.tenant_id, x.stream_type, x.stream_id, x.stream_version, x.event_type, gen_random_uuid(), x.schema_fingerprint, x.trace_id, x.body from {SOME_EVENT} x"
    )
    assert "version 7" in texts(report, "version_repeated")


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("wallets", "cash_minor = cash_minor + 1", "cash_minor is"),
        ("wallets", "held_minor = held_minor + 1", "held_minor is"),
        ("wallets", "exponent = exponent + 1", "exponent is"),
        ("bets", "win_minor = win_minor + 1", "win_minor is"),
        ("bets", "status = 'void'", "status is 'void'"),
        ("bets", "rollback_id = 'rb_x'", "rollback_id is 'rb_x'"),
        ("sessions", "ended = not ended", "ended is"),
        ("sessions", "expires_at = expires_at + 1", "expires_at is"),
        ("sessions", "extended_us = extended_us + 1", "extended_us is"),
        ("settlements", "win_minor = win_minor + 1", "win_minor is"),
        ("bets", 'conversion = \'{"currency": "USD"}\'', "conversion is"),
        ("players", "restriction = 'self_excluded'", "restriction is"),
        ("currencies", "exponent = exponent + 1", "decimals"),
    ],
)
def test_a_changed_row_is_found(tampered, table, change, said):
    """Any stored value that the events do not lead to is named with what it is and what it should be."""
    report = tampered(
        f"update wagerledger.{table} set {change} where ctid = (select min(ctid) from wagerledger.{table}) and tableoid = (select tableoid from wagerledger.{table} where ctid = (select min(ctid) from wagerledger.{table}) limit 1)"
    )
    assert said in texts(report, "state_differs")


def test_a_session_that_was_not_extended_is_found(tampered):
    """Its bets say that they moved its end: a row that has the first one is named."""
    report = tampered(
        "update wagerledger.sessions set expires_at = expires_at - extended_us, extended_us = 0 where extended_us > 0"
    )
    assert "expires_at is" in texts(report, "state_differs")


@pytest.mark.parametrize(
    "table", ["wallets", "bets", "sessions", "settlements", "rounds", "players", "currencies", "streams"]
)
def test_a_deleted_row_is_found(tampered, table):
    """What the events lead to must be stored."""
    report = tampered(f"delete from wagerledger.{table} where ctid = (select min(ctid) from wagerledger.{table})")
    assert "state_missing" in report.counts, report.text()


@pytest.mark.parametrize(
    ("insert", "code"),
    [
        ("wallets select 'acme', 'p0', 'USD', 2, 100, 0, 0, 0", "state_unexplained"),
        ("wallets select 'acme', 'ghost', 'EUR', 2, 0, 0, 0, 0", "state_unexplained"),
        ("sessions select 's_x', 'acme/eu/spin', 'acme', 'p0', 'EUR', 'real', 'dice', 1, false", "state_unexplained"),
        (
            "bets select 'acme/eu/spin', 'b_x', 'acme', null, 'tombstoned', 'r', null, null, null, null, null, 0, 0, 0, 0, 0, null, 'rb'",
            "state_unexplained",
        ),
        (
            "bets select 'a', 'b_x', 'aaa', 'ghost', 'open', 'r', 's', 'g', 'EUR', 'real', 'h', 1, 1, 0, 1, 0, null, null",
            "state_unexplained",
        ),
        (
            "settlements select 'acme/eu/spin', 'w_x', 'st_x', 'acme', 'nobody', 'EUR', null, null, null, null, 'win', 5, 'house', 'real'",
            "state_unexplained",
        ),
        ("rounds select 'acme/eu/spin', 'ghost', 'r', 'acme'", "state_unexplained"),
        ("players select 'acme', 'ghost', 'locked', 'eu'", "state_unexplained"),
        ("currencies select 'acme', 'USD', 2", "state_unexplained"),
        ("streams select 'zzz', 'player', 'ghost', 3, sha256(''), now()", "head_differs"),
    ],
)
def test_an_unexplained_row_is_found(tampered, insert, code):
    """A row that no event made is named, whether its stream exists or not."""
    report = tampered(f"insert into wagerledger.{insert}")
    assert code in report.counts, report.text()


def test_another_region_is_found(ledger_database):
    """An event of another region than its player's, which only a rule that is switched off lets in, is named."""
    clerk = Asks("acme", None)

    async def act(*commands):
        async with Journal(settings_of(ledger_database)) as journal:
            for command in commands:
                await accepted(journal, command)

    asyncio.run(act(clerk.open_wallet(), clerk.deposit()))
    with mock.patch.object(regions, "foreign", return_value=None):
        asyncio.run(act(replace(clerk, region="us").deposit(), clerk.deposit()))
    report = check(ledger_database)
    assert report.counts == {"region_differs": 1}, report.text()
    assert "version 3: wallet.credit.deposit comes from region us" in texts(report, "region_differs")


def test_other_decimals_are_found(ledger_database):
    """Each player whose wallet opened with other decimals than the first one's is named, also where the parts of a
    ledger agree in themselves.
    """
    clerk = Asks("acme", None)

    async def act(*commands):
        async with Journal(settings_of(ledger_database)) as journal:
            for command in commands:
                await accepted(journal, command)

    asyncio.run(act(clerk.open_wallet("ann")))
    with psycopg.connect(ledger_database) as connection:
        disarm(connection)
        connection.execute("update wagerledger.currencies set exponent = 3")
    asyncio.run(act(clerk.open_wallet("bob", exponent=3), clerk.open_wallet("cid", exponent=3)))
    found = texts(check(ledger_database), "fold_refused").splitlines()
    text = "a wallet in EUR opened with 3 decimals, another with 2"
    assert found == [f"fold_refused: acme/player/{player}: {text}" for player in ("bob", "cid")]


def test_a_moved_player_is_found(tampered):
    """The stored region is the one that the first wallet fixed."""
    report = tampered("update wagerledger.players set region = 'us' where tenant_id = 'acme' and player_id = 'p0'")
    assert "region is 'us' and should be 'eu'" in texts(report, "state_differs")


def test_a_wallet_put_back_is_found(tampered):
    """A whole wallet as it was an event ago, with its stream's row, does not pass for the present."""
    report = tampered(
        "update wagerledger.streams set version = version - 1 where tenant_id = 'acme' and stream_id = 'p0'",
        "update wagerledger.wallets set cash_minor = cash_minor + 100, held_minor = 0 where tenant_id = 'acme' and player_id = 'p0'",
    )
    assert "version" in texts(report, "head_differs")
    assert "acme/p0" in texts(report, "state_differs")
    assert "books_unbalanced" in report.counts


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("idempotency_key = 'other'", "command_differs"),
        ("trace_id = 'other'", "command_differs"),
        ("fingerprint = sha256('')", "command_differs"),
        ("kind = 'Other'", "command_differs"),
        ("operation = 'other'", "command_differs"),
        ("outcome = replace(outcome::text, '\"result\"', '\"other\"')::json", "command_differs"),
        ("outcome = regexp_replace(outcome::text, '[-0-9]+\\]', '-77]')::json", "command_differs"),
        ("outcome = '[]'", "command_differs"),
        ("first_version = null, last_version = null", "command_missing"),
        ("last_version = last_version + 1", "command_shared"),
        ("first_version = 1000000, last_version = 1000000", "command_unexplained"),
        ("stream_id = 'ghost'", "command_unexplained"),
    ],
)
def test_a_changed_command_is_found(tampered, change, code):
    """Every event has one command that says what the event says, and no command claims more."""
    report = tampered(
        f"update wagerledger.commands set {change} where tenant_id = 'acme' and stream_id = 'p0' and first_version = 7"
    )
    assert code in report.counts, report.text()


def test_a_deleted_command_is_found(tampered):
    """An event without its command could be done a second time."""
    report = tampered(
        "delete from wagerledger.commands where tenant_id = 'acme' and stream_id = 'p0' and first_version = 7"
    )
    assert "acme/player/p0 version 7" in texts(report, "command_missing")


@pytest.mark.parametrize(
    "change",
    [
        "event_id = gen_random_uuid()",
        "event_type = 'bet.settled.v9'",
        "trace_id = 'other'",
        "recorded_at = e.recorded_at + interval '1 microsecond'",
    ],
)
def test_a_changed_column_is_found(tampered, change):
    """The columns beside the bytes say what the bytes say."""
    report = tampered(f"update wagerledger.event_log e set {change} from {SOME_EVENT} x where e.event_id = x.event_id")
    assert "version 7" in texts(report, "column_differs")


def test_an_unknown_schema_is_found(tampered):
    """An event of a schema that we do not have is a finding, not a crash, and the other streams are still checked."""
    report = tampered(
        f"update wagerledger.event_log e set schema_fingerprint = '\\x0102' from {SOME_EVENT} x where e.event_id = x.event_id"
    )
    assert "0102" in texts(report, "schema_unknown")
    assert report.checked["database.streams_not_folded"] == 1


@pytest.mark.parametrize("body", ["''", "'\\xffffffffffffffffff'", "body || '\\x00'", "substr(body, 1, 100)"])
def test_an_undecodable_body_is_found(tampered, body):
    """Bytes that are no event are a finding, not a crash, and the other streams are still checked."""
    report = tampered(
        f"update wagerledger.event_log set body = {body} where tenant_id = 'acme' and stream_id = 'p0' and stream_version = 7"
    )
    assert "acme/player/p0 version 7" in texts(report, "body_undecodable")
    assert report.checked["database.streams_not_folded"] == 1


def test_every_stream_is_named_once(tampered):
    """Faults in many streams are all found in one run."""
    report = tampered(
        "update wagerledger.event_log set body = body || '\\x00' where stream_version = 5 and stream_type = 'player'"
    )
    assert report.counts["body_undecodable"] == 6


def test_a_database_that_does_not_answer_is_no_verdict():
    """What cannot be read is neither right nor wrong, and the error names the variable without the password."""
    with pytest.raises(CannotCheckError, match="WAGERLEDGER_DATABASE_URL") as caught:
        check("postgresql://nobody:hidden@127.0.0.1:1/none")
    assert "hidden" not in str(caught.value)


def test_every_code_is_explained():
    """A code without its meaning, cause, true copy and next command helps nobody; all that the audit finds and counts is among them."""
    named = "".join(path.read_text() for path in (ROOT / "audit").rglob("*.py"))
    found = set(re.findall(r"""find\(\s*"([a-z_]+)""", named))
    assert len(found) > 25
    assert found <= set(codes())
    assert all(one.meaning and one.cause and one.truth and one.next for one in codes().values())
    counted = set(re.findall(r"""checked(?:\.get\(|\[)"([a-z_.]+)""", named))
    assert len(counted) > 10
    assert counted <= set(counters())


def test_people_are_told_whose_it_is_and_what_to_do(tampered):
    """Each kind of finding once, with its streams, the copy that is true and the next command; programs get codes and counts."""
    report = tampered("update wagerledger.wallets set cash_minor = cash_minor + 500 where player_id = 'p0'")
    text = report.text()
    assert re.search(r"^state_differs, \d times?: A stored row", text, re.MULTILINE), text
    assert "  - player p0 of acme, version " in text
    assert "Next: wagerledger audit replay --wallet acme/p0/CURRENCY" in text
    assert "True copy: The events" in text
    assert "database.events: " in text
    assert text.endswith("What to do: docs/how-to/verify-found-something.md")
    assert not re.search(r"\w+\(\w+='", text), "objects of Python are no words"
