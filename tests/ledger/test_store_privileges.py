"""What is recorded stays: who may do what to which table."""

import secrets
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from ledger.journal import Journal
from ledger.store import migrate
from tests.support import history
from tests.support.asks import Asks
from tests.support.journals import accepted, ask_one, players, run, settings_of

ask = Asks()

LOG = "select inhrelid::regclass::text from pg_inherits where inhparent = 'wagerledger.event_log'::regclass"
TABLES = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'wagerledger'"


@contextmanager
def login(database_url, role):
    """The database's URL for a new login role that is a member of `role`."""
    name, password = f"test_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    with psycopg.connect(database_url, autocommit=True) as connection:
        create = "create role {} login password {} in role {}"
        connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Literal(password), sql.Identifier(role)))
        try:
            yield make_url(database_url).set(username=name, password=password).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def played(ledger_database_of_module):
    """A database with something in every table of the log, written by a role that has no more rights than a gateway."""

    async def main(url):
        async with Journal(settings_of(url)) as journal:
            (session,) = await players(journal, ask, ["ann"])
            await accepted(journal, ask.bet("2", session_id=session))
            await accepted(journal, ask.settle("5"))
            await accepted(journal, ask.rollback("b2"))
            await ask_one(journal, ask.bet("999", "b3", session_id=session))

    with login(ledger_database_of_module, "wagerledger_app") as url:
        run(lambda: main(url))
    history.check(ledger_database_of_module)
    return ledger_database_of_module


def tables(database_url, query=TABLES):
    with psycopg.connect(database_url) as connection:
        return [name for (name,) in connection.execute(query)]


def refused_everywhere(database_url, statements):
    """Each statement must be refused, or it is returned."""
    done = []
    with psycopg.connect(database_url) as connection:
        for statement in statements:
            try:
                connection.execute(statement)
                done.append(statement)
            except InsufficientPrivilege:
                pass
            connection.rollback()
    return done


def changes(table):
    column = (
        "refusal_id"
        if table.endswith("refusals")
        else "trace_id"
        if "event_log" in table or "commands" in table
        else "*"
    )
    value = "refusal_id" if column == "refusal_id" else "'x'"
    return [
        f"update {table} set {column} = {value}" if column != "*" else "",
        f"delete from {table}",
        f"truncate {table}",
    ]


def evidence(database_url):
    return ["wagerledger.event_log", "wagerledger.refusals", *tables(database_url, LOG)]


def test_the_journal_needs_no_more_than_the_app_role(played):
    """A gateway's role is enough for every command (the fixture has played them)."""
    assert history.check(played).count("bet.settled") == 1


def test_the_app_role_cannot_change_what_is_recorded(played):
    """Neither the log, nor any of its partitions, nor refusals, nor commands: no UPDATE, DELETE or TRUNCATE."""
    names = [*evidence(played), *(name for name in tables(played) if ".commands" in name)]
    with login(played, "wagerledger_app") as url:
        assert (
            refused_everywhere(
                url,
                [
                    change
                    for name in names
                    for change in changes(name)
                    if not change.startswith("update wagerledger.refusals")
                ],
            )
            == []
        )
        assert refused_everywhere(url, ["update wagerledger.refusals set code = 'x'"]) == []


def test_not_even_the_owner_can_without_dropping_the_trigger(played):
    """The triggers stand on the parent and on every partition, also on partitions added later and on the default one."""
    migrate.upgrade(played)
    names = evidence(played)
    assert "wagerledger.event_log_default" in names
    assert len(names) > 12
    statements = [change.replace("refusal_id = refusal_id", "code = 'x'") for name in names for change in changes(name)]
    assert refused_everywhere(played, statements) == []


def test_the_app_role_deletes_nothing_anywhere(played):
    """State moves by update; nothing but a game of the catalogue is ever deleted, and no table is emptied or changed in its shape."""
    forbidden = [
        "create table wagerledger.mine ()",
        "drop trigger append_only on wagerledger.event_log",
        "alter table wagerledger.wallets drop column cash_minor",
    ]
    forbidden += ["insert into wagerledger.log_generation (generation, reason) values (99, 'x')", "create schema mine"]
    forbidden += [
        "select wagerledger.add_event_log_partition('2099-01-01')",
        "update wagerledger.currencies set exponent = 3",
    ]
    for name in tables(played):
        forbidden += [f"delete from {name}", f"truncate {name}"]
    forbidden.remove("delete from wagerledger.games")
    with login(played, "wagerledger_app") as url:
        assert refused_everywhere(url, forbidden) == []


def test_the_app_role_cannot_say_where_an_event_stands(played):
    """Neither its transaction id nor its position: behind the relay's cursor it would never be published."""
    columns = "recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint, trace_id, body"
    values = "now(), 't', 'player', 'p', 1, 'x', gen_random_uuid(), '', '', ''"
    placed = [
        f"insert into wagerledger.event_log ({columns}, xid) values ({values}, '3')",
        f"insert into wagerledger.event_log ({columns}, position) overriding system value values ({values}, 1)",
    ]
    with login(played, "wagerledger_app") as url:
        assert refused_everywhere(url, placed) == []


def test_the_reader_role_only_reads_and_sees_no_key(played):
    """Everything but the integrations' keys, and nothing can be written."""
    names = [name for name in tables(played) if "event_log_" not in name]  # the log is read through its parent
    with login(played, "wagerledger_reader") as url:
        with psycopg.connect(url) as connection:
            for name in names:
                if name != "wagerledger.integration_keys":
                    connection.execute(f"select count(*) from {name}")
        forbidden = ["select * from wagerledger.integration_keys"]
        for name in names:
            forbidden += [f"insert into {name} default values", f"delete from {name}", f"truncate {name}"]
        assert refused_everywhere(url, forbidden) == []


def test_a_month_that_was_forgotten_does_not_stop_the_next(ledger_database, monkeypatch):
    """Rows of a month without a partition go to the default one and stay there; later months are added all the same."""
    far = "date_trunc('month', now()) + interval '14 months'"
    with psycopg.connect(ledger_database) as connection:
        connection.execute(
            "insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,"
            f" trace_id, body) values ({far}, 't', 'player', 'p', 1, 'x', gen_random_uuid(), '', '', '')"
        )
    before = len(tables(ledger_database, LOG))
    monkeypatch.setattr(migrate, "MONTHS_AHEAD", 16)
    migrate.upgrade(ledger_database)
    assert len(tables(ledger_database, LOG)) == before + 3


def test_a_new_month_does_not_queue_before_the_bets(ledger_database, monkeypatch):
    """A partition locks the whole log; behind a long read of it the deploy step gives up, instead of holding up all who write."""
    monkeypatch.setattr(migrate, "MONTHS_AHEAD", 14)
    with psycopg.connect(ledger_database) as auditor:
        auditor.execute("select count(*) from wagerledger.event_log")
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate.upgrade(ledger_database)
    migrate.upgrade(ledger_database)


def test_the_journal_sets_what_its_promises_need(ledger_database):
    """Durable commits and READ COMMITTED (each statement sees what was committed before its lock was had), whatever the server's defaults are."""
    with psycopg.connect(ledger_database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("alter database {} set default_transaction_isolation = 'repeatable read'").format(name)
        )
        connection.execute(sql.SQL("alter database {} set synchronous_commit = off").format(name))

    async def main():
        async with Journal(settings_of(ledger_database, journal_writers=1)) as journal:
            await accepted(journal, ask.open_wallet())
            connection = journal._writers[0].connection
            shown = await connection.execute(
                "select current_setting('transaction_isolation'), current_setting('synchronous_commit')"
            )
            assert await shown.fetchone() == ("read committed", "on")

    run(main)
