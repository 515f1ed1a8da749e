"""What is recorded stays: who may do what to which table."""

import secrets
from contextlib import contextmanager
from datetime import date

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import CheckViolation, InsufficientPrivilege, LockNotAvailable, ObjectNotInPrerequisiteState
from sqlalchemy import make_url

from cli.doctor import GUARDS_THAT_SLEEP
from ledger.admin.actions import Actor
from ledger.admin.generation import raise_generation
from ledger.journal.writer import Journal
from ledger.outcome import Callback, Proof
from ledger.store import migrate
from tests.support import history
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, players, run, settings_of

ask = Asks()

LOG = "select inhrelid::regclass::text from pg_inherits where inhparent = 'wagerledger.event_log'::regclass"
EVIDENCE = (
    "event_log", "commands", "refusals", "proofs", "acts", "sealed_leaves", "anchors", "archived", "rates",
    "log_generation", "currencies",
)  # fmt: skip
NO_TENANT = {
    "wagerledger.proofs": "scope = scope",
    "wagerledger.sealed_leaves": "leaves = leaves",
    "wagerledger.anchors": "last_xid = last_xid",
    "wagerledger.archived": "actor = actor",
    "wagerledger.log_generation": "reason = reason",
}
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
            await journal.submit(Callback((), proof=Proof(bytes(16), "acme/eu/spin", "POST /bet")))

    with login(ledger_database_of_module, "wagerledger_app") as url:
        run(lambda: main(url))
    history.check(ledger_database_of_module)
    return ledger_database_of_module


def tables(database_url, query=TABLES):
    with psycopg.connect(database_url) as connection:
        return [name for (name,) in connection.execute(query)]


def refused_everywhere(database_url, statements, before="set local lock_timeout = '5s'"):
    """Each statement must be refused, or it is returned. `before` is run in the same transaction."""
    done = []
    with psycopg.connect(database_url) as connection:
        for statement in statements:
            connection.execute(before)
            try:
                connection.execute(statement)
                done.append(statement)
            except InsufficientPrivilege:
                pass
            connection.rollback()
    return done


def evidence(database_url):
    """What is only ever added to: tables and every one of their partitions."""
    names = [f"wagerledger.{name}" for name in EVIDENCE]
    return [*names, *tables(database_url, LOG)]


def changes(table):
    return [
        f"update {table} set {NO_TENANT.get(table, 'tenant_id = tenant_id')}",
        f"delete from {table}",
        f"truncate {table}",
    ]


def removals(table):
    """Ways around the triggers."""
    partitioned, _, part = table.rpartition("_")
    parent = "wagerledger.event_log" if "event_log_" in table else partitioned
    found = [
        f"drop table {table} cascade",
        f"alter table {table} disable trigger append_only",
        f"alter table {table} disable trigger all",
        f"drop trigger append_only on {table}",
        f"alter trigger append_only on {table} rename to forgotten",
        f"alter table {table} set schema public",
        f"alter table {table} owner to current_user",
        f"create rule nothing as on delete to {table} do instead nothing",
    ]
    is_partition = "event_log_" in table or (part.isdigit() and "commands_" in table)
    return [*found, f"alter table {parent} detach partition {table}"] if is_partition else found


@contextmanager
def migrator(database_url):
    """The URL of a role that may become the owner, as whoever migrates without being a superuser is."""
    name, password = f"test_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    role = sql.Identifier(name)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login createrole password {}").format(role, sql.Literal(password)))
        connection.execute(sql.SQL("grant wagerledger_owner to {} with inherit false, set true").format(role))
        try:
            yield make_url(database_url).set(username=name, password=password).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("reassign owned by {} to current_user").format(role))
            connection.execute(sql.SQL("drop owned by {}").format(role))
            connection.execute(sql.SQL("drop role {}").format(role))


@contextmanager
def administrator(database_url):
    yield database_url


@contextmanager
def replica(database_url):
    """A superuser's session as logical replication applies rows in, and as a careless restore has it."""
    yield database_url + "?options=-c%20session_replication_role%3Dreplica"


WHO = {
    "app": lambda url: login(url, "wagerledger_app"),
    "reader": lambda url: login(url, "wagerledger_reader"),
    "sealer": lambda url: login(url, "wagerledger_sealer"),
    "migrator": migrator,
    "superuser": administrator,
    "superuser as replica": replica,
}


def test_the_journal_needs_no_more_than_the_app_role(played):
    """A gateway's role is enough for every command (the fixture has played them)."""
    assert history.check(played).count("bet.settled") == 1


@pytest.mark.parametrize("who", WHO)
def test_nobody_changes_what_is_recorded(played, who):
    """No UPDATE, DELETE, TRUNCATE, DROP, DETACH or trigger switched off: on no table of the evidence and on none of its
    partitions, those added later and the default one included, whoever asks."""
    migrate.upgrade(played)
    names = evidence(played)
    assert "wagerledger.event_log_default" in names
    assert len(names) > 20
    with WHO[who](played) as url:
        assert refused_everywhere(url, [way for name in names for way in (*changes(name), *removals(name))]) == []
        everything = [
            "drop schema wagerledger cascade",
            "alter schema wagerledger rename to forgotten",
            "drop function wagerledger.refuse_change() cascade",
            "alter function wagerledger.refuse_change() rename to forgotten",
            "create or replace function wagerledger.refuse_change() returns trigger language plpgsql as 'begin return null; end'",
            "create or replace function wagerledger.require_act() returns trigger language plpgsql as 'begin return null; end'",
            "create or replace function wagerledger.key_of(kind text, owner text, id text) returns uuid language sql immutable return null::uuid",
            "create function wagerledger.another() returns integer language sql return 1",
            "drop trigger with_act on wagerledger.integrations",
            "alter table wagerledger.integration_keys disable trigger all",
            "truncate wagerledger.games",
        ]
        assert refused_everywhere(url, everything) == []


def test_every_guard_stands_in_every_session(played):
    """Whatever a migration adds: a trigger that is not ENABLE ALWAYS is passed by in a session that plays the replica."""
    with psycopg.connect(played) as connection:
        assert connection.execute(GUARDS_THAT_SLEEP).fetchone() == ("",)
        connection.execute("set local role wagerledger_owner")
        connection.execute("alter table wagerledger.games enable trigger with_act")
        connection.execute("reset role")
        assert connection.execute(GUARDS_THAT_SLEEP).fetchone() == ("with_act on wagerledger.games",)


def test_not_even_the_owner_by_mistake(played):
    """The role that owns the tables cannot log in, nobody inherits it, and as long as the triggers stand it changes nothing
    either."""
    with psycopg.connect(played) as connection:
        (may_login,) = connection.execute(
            "select rolcanlogin from pg_roles where rolname = 'wagerledger_owner'"
        ).fetchone()
        heirs = connection.execute(
            "select member::regrole from pg_auth_members where roleid = 'wagerledger_owner'::regrole and inherit_option"
        ).fetchall()
        owners = connection.execute(
            "select distinct relowner::regrole::text from pg_class where relnamespace = 'wagerledger'::regnamespace"
        ).fetchall()
        assert (may_login, heirs, owners) == (False, [], [("wagerledger_owner",)])
    statements = [change for name in evidence(played) for change in changes(name)]
    assert refused_everywhere(played, statements, "set local role wagerledger_owner") == []
    # The check can fail: without the trigger the owner may.
    without = "set local role wagerledger_owner; alter table wagerledger.refusals disable trigger append_only"
    assert refused_everywhere(played, ["delete from wagerledger.refusals"], without) == [
        "delete from wagerledger.refusals"
    ]


def test_who_migrates_need_not_be_a_superuser(empty_database):
    """It makes the tables, brings them up to date, adds months and begins a generation; and has no way to touch them by the way."""
    with migrate_once(empty_database), migrator(empty_database) as url:
        migrate.upgrade(url)
        migrate.upgrade(url)
        with psycopg.connect(url) as connection:
            assert raise_generation(connection, Actor("dba", "moved to another server")) == 2
        assert len(tables(empty_database, LOG)) == migrate.MONTHS_AHEAD + 2
        assert (
            refused_everywhere(
                url, [way for name in evidence(empty_database) for way in (*changes(name), *removals(name))]
            )
            == []
        )


@contextmanager
def migrate_once(empty_database):
    """The roles belong to the server: a database was migrated there before, and this one may be made in by anybody."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for role in ("app", "reader", "sealer", "owner"):
            create = (
                f"do $$ begin create role wagerledger_{role} nologin; exception when duplicate_object then null; end $$"
            )
            connection.execute(create)
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("grant create on database {} to public").format(name))
        connection.execute("grant create on schema public to public")
    yield


def test_an_archived_month_is_detached(ledger_database):
    """Only one that is over, whose archive was verified and lacks nothing; it stays, as a table to which nothing is done."""
    month = date(2025, 1, 1)
    add_event = (
        "insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id,"
        " schema_fingerprint, trace_id, body) values ('2025-01-15', 't', 'player', 'p', %s, 'x', gen_random_uuid(), '', '', '')"
        " returning xid::text::bigint"
    )
    archive = (
        "insert into wagerledger.archived (month, last_xid, first_leaf, last_leaf, manifest_sha256, actor)"
        " values (%s, %s, 0, 1, sha256('manifest'), 'archivist')"
    )

    def detach(connection, which=month):
        with connection.transaction():
            connection.execute("set local role wagerledger_owner")
            return connection.execute("select wagerledger.detach_event_log_partition(%s)::text", [which]).fetchone()[0]

    with psycopg.connect(ledger_database, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("set local role wagerledger_owner")
            connection.execute("select wagerledger.add_event_log_partition(%s)", [month])
        (first_xid,) = connection.execute(add_event, [1]).fetchone()
        (last_xid,) = connection.execute(add_event, [2]).fetchone()
        with pytest.raises(ObjectNotInPrerequisiteState, match="2025-01 has no verified archive"):
            detach(connection)
        connection.execute(archive, [month, first_xid])
        with pytest.raises(ObjectNotInPrerequisiteState, match="2025-01 has events that its archive lacks"):
            detach(connection)
        connection.execute(archive, [month, last_xid])
        with connection.transaction():  # in which it stays the same month
            (this_month,) = connection.execute("select date_trunc('month', now() at time zone 'UTC')::date").fetchone()
            connection.execute(archive, [this_month, last_xid])
            with pytest.raises(ObjectNotInPrerequisiteState, match="is not over"):
                detach(connection, this_month)
        assert detach(connection) == "wagerledger.event_log_2025_01"
        assert connection.execute("select count(*) from wagerledger.event_log").fetchone() == (0,)
        assert connection.execute("select count(*) from wagerledger.event_log_2025_01").fetchone() == (2,)
    assert refused_everywhere(ledger_database, changes("wagerledger.event_log_2025_01")) == []


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


def test_the_app_role_cannot_say_where_an_entry_stands(played):
    """Neither its transaction id nor its position: behind the relay's cursor, or what is sealed, it would never be seen."""
    event = "recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint, trace_id, body"
    command = "scope, operation, idempotency_key, command_id, kind, tenant_id, stream_type, stream_id, outcome, trace_id, decided_at"
    refusal = "scope, operation, idempotency_key, command_id, kind, tenant_id, code, details, trace_id, refused_at"
    act = "act_id, acted_at, tenant_id, region, action, subject, actor, reason, content"
    values = {
        "event_log": (event, "now(), 't', 'player', 'p', 1, 'x', gen_random_uuid(), '', '', ''", "position"),
        "commands": (command, "'s', 'o', 'k', gen_random_uuid(), 'x', 't', 'player', 'p', '{}', '', now()", None),
        "refusals": (refusal, "'s', 'o', 'k', gen_random_uuid(), 'x', 't', 'X', '{}', '', now()", "refusal_id"),
        "acts": (act, "gen_random_uuid(), now(), 't', '', 'x', 'y', 'a', 'r', '{}'", "position"),
    }
    placed, allowed = [], []
    for table, (columns, row, position) in values.items():
        allowed.append(f"insert into wagerledger.{table} ({columns}) values ({row})")
        placed.append(f"insert into wagerledger.{table} ({columns}, xid) values ({row}, '3')")
        if position:
            placed.append(
                f"insert into wagerledger.{table} ({columns}, {position}) overriding system value values ({row}, 1)"
            )
    placed += [f"insert into {name} default values" for name in tables(played, LOG)]
    with login(played, "wagerledger_app") as url:
        assert refused_everywhere(url, placed) == []
        assert refused_everywhere(url, allowed) == allowed
        sealed = [
            "insert into wagerledger.sealed_leaves values (0, 1, '', 1)",
            "insert into wagerledger.anchors default values",
        ]
        assert refused_everywhere(url, sealed) == []


def test_the_sealer_role_adds_only_what_follows(played):
    """A chunk or an anchor that contradicts what is sealed would stay for ever, and end all sealing."""
    leaf = r"'\x' || repeat('00', 32)"
    contradictions = [
        r"anchors values (999999999, 1, '\x00', '{}')",
        f"sealed_leaves values (5, 1, ({leaf})::bytea, 3)",
        r"sealed_leaves values (0, 1, '\x00', 3)",
        f"sealed_leaves values (0, 1, ({leaf})::bytea, 999999999999)",
    ]
    with login(played, "wagerledger_sealer") as url, psycopg.connect(url) as connection:
        for row in contradictions:
            with pytest.raises(CheckViolation):
                connection.execute(f"insert into wagerledger.{row}")
            connection.rollback()
        connection.execute(f"insert into wagerledger.sealed_leaves values (0, 1, ({leaf})::bytea, 3)")
        with pytest.raises(CheckViolation, match="signed head is not of 1 leaves"):
            connection.execute(r"insert into wagerledger.anchors values (1, 3, '\x00', '{}')")
        connection.rollback()


def test_the_reader_role_only_reads_and_sees_no_key(played):
    """Everything but the secrets of integrations, and nothing can be written."""
    names = [name for name in tables(played) if "event_log_" not in name]  # the log is read through its parent
    with login(played, "wagerledger_reader") as url:
        with psycopg.connect(url) as connection:
            for name in names:
                if name != "wagerledger.integration_keys":
                    connection.execute(f"select count(*) from {name}")
            connection.execute("select count(*) from wagerledger.keys_without_secrets")
        forbidden = ["select * from wagerledger.integration_keys"]
        for name in names:
            forbidden += [f"insert into {name} default values", f"delete from {name}", f"truncate {name}"]
        assert refused_everywhere(url, forbidden) == []


def add_event(connection, recorded_at, version=1):
    connection.execute(
        "insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,"
        f" trace_id, body) values ({recorded_at}, 't', 'player', 'p', {version}, 'x', gen_random_uuid(), '', '', '')"
    )


def test_a_month_that_was_forgotten_does_not_stop_the_next(ledger_database, monkeypatch):
    """Rows of a month without a partition go to the default one and stay there; later months are added all the same, and the one
    that is left out is named."""
    with psycopg.connect(ledger_database) as connection:
        add_event(connection, "date_trunc('month', now()) + interval '14 months'")
        named = "select to_char(date_trunc('month', now()) + interval '14 months', 'YYYY-MM')"
        (month,) = connection.execute(named).fetchone()
    before = len(tables(ledger_database, LOG))
    monkeypatch.setattr(migrate, "MONTHS_AHEAD", 16)
    assert migrate.upgrade(ledger_database) == [month]
    assert len(tables(ledger_database, LOG)) == before + 3


def test_a_month_in_the_default_partition_becomes_one_of_its_own(ledger_database):
    """As it is: no row is moved, changed or free to be changed meanwhile; the next such month finds a default partition again."""

    def adopt(connection):
        with connection.transaction():
            connection.execute("set local role wagerledger_owner")
            return connection.execute("select wagerledger.adopt_event_log_default()::text").fetchone()[0]

    rows = "select tableoid::regclass::text, stream_version, position from wagerledger.event_log order by position"
    with psycopg.connect(ledger_database, autocommit=True) as connection:
        with pytest.raises(ObjectNotInPrerequisiteState, match="no rows"):
            adopt(connection)
        add_event(connection, "'2025-01-31 23:59:59+00'")
        add_event(connection, "'2025-01-01 00:00:00+00'", 2)
        before = connection.execute(rows).fetchall()
        assert adopt(connection) == "wagerledger.event_log_2025_01"
        add_event(connection, "'2025-01-15 00:00:00+00'", 3)
        add_event(connection, "'2025-02-01 00:00:00+00'", 4)
        after = connection.execute(rows).fetchall()
        assert [row[1:] for row in after[:2]] == [row[1:] for row in before]
        assert [table for table, *_ in after] == ["wagerledger.event_log_2025_01"] * 3 + [
            "wagerledger.event_log_default"
        ]
        add_event(connection, "'2025-03-01 00:00:00+00'", 5)
        with pytest.raises(ObjectNotInPrerequisiteState, match="several months"):
            adopt(connection)
        assert connection.execute(GUARDS_THAT_SLEEP).fetchone() == ("",)
    guarded = "wagerledger.event_log_2025_01", "wagerledger.event_log_default"
    assert refused_everywhere(ledger_database, [change for table in guarded for change in changes(table)]) == []


def test_a_new_month_does_not_queue_before_the_bets(ledger_database, monkeypatch):
    """A partition locks the whole log; behind a long read of it the deploy step gives up, instead of holding up all who write."""
    monkeypatch.setattr(migrate, "MONTHS_AHEAD", 14)
    with psycopg.connect(ledger_database) as auditor:
        auditor.execute("select count(*) from wagerledger.event_log")
        with pytest.raises(LockNotAvailable, match="lock timeout"):
            migrate.upgrade(ledger_database)
    migrate.upgrade(ledger_database)


async def test_the_journal_sets_what_its_promises_need(ledger_database):
    """Durable commits and READ COMMITTED (each statement sees what was committed before its lock was had), whatever the server's defaults are."""
    with psycopg.connect(ledger_database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("alter database {} set default_transaction_isolation = 'repeatable read'").format(name)
        )
        connection.execute(sql.SQL("alter database {} set synchronous_commit = off").format(name))

    async with Journal(settings_of(ledger_database, journal_writers=1)) as journal:
        await accepted(journal, ask.open_wallet())
        connection = journal._writers[0].connection
        shown = await connection.execute(
            "select current_setting('transaction_isolation'), current_setting('synchronous_commit')"
        )
        assert await shown.fetchone() == ("read committed", "on")
