"""Who sees what of the read models: rows by tenant and region, players or their pseudonyms."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ledger.admin.actions import Actor
from projector import access, grants, lookups, models
from projector.projections import PROJECTIONS
from tests.projector.direct_fold import Folded, fold
from tests.support.pages import ROOT
from tests.support.random_ledger import decoded, random_ledger
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_database

BY = Actor("dba", "a test")
PLAYER_COLUMNS = "player_id", "stream_id", "wallet_id"
LEAK = """
create schema anybody; grant usage on schema anybody to public;
create function anybody.leak(anything text) returns boolean cost 0.0000001 language plpgsql as $$
begin raise notice 'leaked %', anything; return true; end $$;
create function anybody.sha256(secret bytea) returns bytea language plpgsql as $$
begin raise notice 'leaked %', secret; return ''; end $$
"""
"""Functions that somebody made for a reader, who can make none."""
MEASURED = (
    "Actual Rows", "Actual Loops", "Rows Removed by Filter", "Rows Removed by Join Filter",
    "Rows Removed by Index Recheck", "Heap Fetches", "Index Searches", "Node Type", "Plan Rows",
)  # fmt: skip
"""What EXPLAIN ANALYZE tells of a step and a condition may not change. A step that was never taken has 0 loops."""
PLANNERS = "", "enable_seqscan = off"

Query = Callable[..., list[Any]]


def moved(part: Any) -> Any:
    """An event, with brand-b in another region; an integration's id begins with its tenant and region."""
    match part:
        case {"tenant_id": "brand-b", **rest}:
            return moved(rest) | {"tenant_id": "brand-b", "region": "br"}
        case dict():
            return {key: moved(value) for key, value in part.items()}
        case list():
            return [moved(value) for value in part]
        case str():
            return part.replace("brand-b/eu/", "brand-b/br/")
    return part


@pytest.fixture(scope="module")
def books(servers: Servers) -> Iterator[Folded]:
    """Two tenants' books in two regions."""
    rng = seeded_random()
    records = [moved(record) for record in decoded(random_ledger(rng, 300).recorded)]
    with fresh_database(servers.bi_database_url) as url, fold(url, records, rng) as books:
        books.connection.execute(LEAK)
        yield books


@pytest.fixture
def reader(books: Folded) -> Iterator[Callable[..., Query]]:
    """A login of the read models' database with the given scopes; asks as that role."""
    roles: list[str] = []
    with contextlib.ExitStack() as stack:

        def make(*scopes: tuple[str, str, bool]) -> Query:
            role = f"reader_{secrets.token_hex(4)}"
            books.connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
            roles.append(role)
            for tenant_id, region, players in scopes:
                grants.grant(books.connection, role, tenant_id, region, may_see_players=players, by=BY)
            url = make_conninfo(books.connection.info.dsn, password=books.connection.info.password, options="")
            connection = stack.enter_context(psycopg.connect(url, autocommit=True))
            connection.execute(sql.SQL("set session authorization {}").format(sql.Identifier(role)))

            def query(statement: str) -> list[Any]:
                notices: list[str] = []
                connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
                rows = connection.execute(statement).fetchall() if not statement.startswith("\n") else None
                if rows is None:
                    connection.execute(statement)
                    return []
                return [*rows, *notices]

            query.role = role  # type: ignore[attr-defined]
            return query

        yield make
    for role in roles:
        books.connection.execute(sql.SQL("drop owned by {}; drop role {}").format(*[sql.Identifier(role)] * 2))
    books.connection.execute("delete from access.grants")


def views(books: Folded) -> dict[str, dict[str, str]]:
    """The columns of each view of `bi`, with their types."""
    found: dict[str, dict[str, str]] = {}
    for view, column, kind in books.query(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'bi'"
    ):
        found.setdefault(view, {})[column] = kind
    return found


def of_tenants(books: Folded) -> list[str]:
    return sorted(view for view, columns in views(books).items() if "tenant_id" in columns)


def test_every_table_and_view_of_a_tenant_names_its_region(books: Folded) -> None:
    """A row says whose it is and where it may be held; only the projector's own streams are of all regions of a tenant."""
    tables: dict[str, set[str]] = {}
    for table, column in books.query(
        "select table_name, column_name from information_schema.columns where table_schema = 'projections'"
    ):
        tables.setdefault(table, set()).add(column)
    without = {table for table, columns in tables.items() if not {"tenant_id", "region"} <= columns}
    assert without == access.OF_NO_TENANT | {"streams", "parked_events", "refused_commands"}
    without = {view for view, columns in views(books).items() if not {"tenant_id", "region"} <= columns.keys()}
    assert without == {"freshness", "models", "parked_streams", "statement_months"}


def test_nobody_without_a_grant_sees_anything(reader: Callable[..., Query]) -> None:
    """A login that was granted nothing cannot even look into a schema of ours."""
    query = reader()
    for table in ("bi.bets", "bi_masked.bets", "projections.bets", "access.grants", "access.masking_keys"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(f"select count(*) from {table}")


def test_a_reader_sees_the_rows_of_his_scopes(books: Folded, reader: Callable[..., Query]) -> None:
    """In every view, and by every count of it, a reader has the rows of the tenants and regions that they were granted; the owner has all."""
    both = {(tenant, "eu" if tenant == "brand-a" else "br") for tenant in ("brand-a", "brand-b")}
    whole, a, br, nothing, mixed = (
        reader(("*", "*", True)), reader(("brand-a", "eu", True)), reader(("*", "br", True)),
        reader(("brand-a", "br", True)), reader(("brand-a", "*", True), ("*", "br", True)),
    )  # fmt: skip
    assert {row[:2] for row in books.query("select distinct tenant_id, region from bi.bets")} == both
    for view in of_tenants(books):
        having = "tenant_id, region" if "region" in views(books)[view] else "tenant_id, null"
        statement = f"select {having}, count(*) from bi.{view} group by 1, 2 order by 1"
        rows = books.query(statement)
        assert whole(statement) == rows, view
        assert a(statement) == [row for row in rows if row[:2] == ("brand-a", "eu")], view
        assert br(statement) == [row for row in rows if row[1] == "br"], view
        assert nothing(statement) == [], view
        assert mixed(statement) == [row for row in rows if row[0] == "brand-a" or row[1] == "br"], view
    assert a("select distinct tenant_id from bi.balances_at(now())") == [("brand-a",)]
    assert {row[:2] for row in books.query("select distinct tenant_id, region from bi.bets")} == both, "the owner too"


def test_a_function_of_the_reader_gets_no_row_of_others(reader: Callable[..., Query]) -> None:
    """A cheap function in a condition is asked only about rows that pass the policy, and a changed search_path turns none of our functions into the reader's."""
    query = reader(("brand-a", "eu", True), ("brand-b", "br", False))
    for view in ("bets", "balances", "player_statements"):
        told = query(f"select count(*) from bi.{view} where anybody.leak(tenant_id || player_id)")
        assert any(str(one).startswith("leaked brand-a") for one in told), view
        assert not any("brand-b" in str(one) for one in told), view
    query("\nset search_path = anybody, pg_catalog")
    assert not any("leaked" in str(one) for one in query("select player_id from bi_masked.balances"))


def test_a_reader_makes_nothing(reader: Callable[..., Query]) -> None:
    """No function, operator, table, view or schema, in any schema of theirs or ours, and none that would pass for leakproof."""
    query = reader(("brand-a", "eu", True))
    for made in (
        "function {}.f() returns int language sql return 1", "table {}.t (n int)", "view {}.v as select 1 as n",
        "operator {}.=== (leftarg = text, rightarg = text, function = texteq)", "schema theirs",
        "function {}.g(text) returns bool leakproof language sql return true",
    ):  # fmt: skip
        for schema in ("pg_temp", "public", "bi", "bi_masked", "access"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                query(f"\ncreate {made.format(schema)}")


def conditions(books: Folded, view: str, columns: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """On each column of a view: a value that rows of brand-b have and none of brand-a, and one that nobody has."""
    nobodys = {
        "text": "'nobody'", "uuid": f"'{'0' * 32}'", "bigint": "-987654321", "integer": "-987654321",
        "smallint": "-321", "numeric": "-987654321.5", "timestamp with time zone": "'1970-01-01 00:00:01Z'",
        "date": "'1970-01-01'", "interval": "'-99 years'",
    }  # fmt: skip
    for column, kind in columns.items():
        if nobody := nobodys.get(kind):
            values = "select {0} from bi.{1} where tenant_id = '{2}' and {0} is not null".format
            of_b, of_a = (values(column, view, tenant) for tenant in ("brand-b", "brand-a"))
            for (value,) in books.query(f"select {column}::text from ({of_b} except {of_a}) as b limit 1"):
                yield column, f"'{value}'::{kind}", f"{nobody}::{kind}"


def told_by_plan(query: Query, statement: str) -> list[tuple[Any, ...]]:
    """What EXPLAIN ANALYZE measured in each step."""
    told: list[tuple[Any, ...]] = []

    def walk(step: dict[str, Any]) -> None:
        told.append((step.get("Subplan Name"), *(step.get(name) for name in MEASURED)))
        for under in step.get("Plans", ()):
            walk(under)

    ((((explained,),),)) = [query(f"explain (analyze, timing off, buffers off, format json) {statement}")[:1]]
    walk(explained[0]["Plan"])
    return told


def leaks(books: Folded, query: Query, schema: str) -> set[str]:
    """The columns of a schema of which a plan tells whether somebody else has a value; all but `tenant_id` are compared
    within the other tenant as well.
    """
    compared, found = 0, set()
    for view in of_tenants(books):
        for column, theirs, nobodys in conditions(books, view, views(books)[view]):
            whose = "true" if column == "tenant_id" else "tenant_id = 'brand-b'"
            for condition in (f"{column} = {{}}", f"{whose} and {column} >= {{}}"):
                asked = f"select * from {schema}.{view} where {condition}"
                compared += 1
                if told_by_plan(query, asked.format(theirs)) != told_by_plan(query, asked.format(nobodys)):
                    found.add(f"{view}.{column}: {condition.format(theirs)}, {condition.format(nobodys)}")
    assert compared > 200
    return found


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("schema", ["bi", "bi_masked"])
def test_a_plan_tells_nothing_of_others(books: Folded, reader: Callable[..., Query], schema: str, planner: str) -> None:
    """Whichever way a view is read, EXPLAIN ANALYZE tells the same of a value that rows of another tenant have and of one that nobody has: rows, loops, steps never taken, rows removed, and what was estimated."""
    books.connection.execute("analyze")
    query = reader(("brand-a", "eu", schema == "bi"))
    if planner:
        query(f"\nset {planner}")
    assert leaks(books, query, schema) == set()


def test_a_view_without_its_fence_is_found(books: Folded, reader: Callable[..., Query]) -> None:
    """The search for leaks would see one: a condition that PostgreSQL moves below the policy."""
    query = reader(("brand-a", "eu", True))
    ((fenced,),) = books.query("select pg_get_viewdef('bi.balances'::regclass)")
    try:
        assert "OFFSET 0" in fenced
        books.connection.execute(f"create or replace view bi.balances as {fenced.replace('OFFSET 0', '')}")
        assert {one.partition(":")[0] for one in leaks(books, query, "bi")} >= {"balances.cash_minor"}
    finally:
        books.connection.execute(f"create or replace view bi.balances as {fenced}")


def look_ups(books: Folded, schema: str) -> list[lookups.LookUp]:
    """Those that a schema has."""
    made = {name for _, of, name, _ in lookups._made(books.connection) if of == schema}
    return [one for one in lookups._wanted(books.connection, [f"bi.{v}" for v in views(books)]) if one.name in made]


def test_every_view_of_single_rows_is_looked_up(books: Folded) -> None:
    """Rows that name a player are found by the player, those with an id of their own by it, and all but balances by time; with pseudonyms not by what these stand for."""
    made = {schema: {one.name for one in look_ups(books, schema)} for schema in lookups.UNFENCED}
    wanted = set()
    for view, columns in views(books).items():
        own = f"{view.removesuffix('s')}_id" in columns
        wanted |= {f"{view}_of_player"} if "player_id" in columns else set()
        wanted |= {f"{view}_with_id"} if own else set()
        wanted |= {f"{view}_between"} if (own or "player_id" in columns) and view != "balances" else set()
    assert made["bi"] == wanted
    listed = {
        lookups.name(*one[::2], of_time=one[2].endswith("_at")) for model in PROJECTIONS for one in model.look_ups
    }
    assert listed == wanted, "the reference tells others"
    for table in {one.table for one in look_ups(books, "bi")}:
        told = "select bool_or(indexdef like %s) from pg_indexes where schemaname = 'projections' and tablename = %s"
        assert books.query(told, "% USING btree (tenant_id, region)", table) == [(True,)], (
            f"{table}: what are its regions?"
        )
    assert made["bi_masked"] == {one for one in wanted if "of_player" not in one} - {"sessions_with_id"}


def test_look_ups_run_as_who_asks_and_for_readers_alone(books: Folded) -> None:
    """None has its owner's rights, or is open to everybody; and nobody but the views' owners may look into the schemas that they read."""
    for function, schema, *_ in lookups._made(books.connection):
        ((definer, strict, everybody, groups),) = books.query(
            "select prosecdef, proisstrict, has_function_privilege('public', oid, 'execute'), "
            "array(select r from unnest(array['wagerledger_bi', 'wagerledger_bi_masked']) r "
            "where has_function_privilege(r, oid, 'execute')) from pg_proc where oid = %s::regprocedure", function,
        )  # fmt: skip
        assert (definer, strict, everybody) == (False, True, False), function
        assert len(groups) == {"bi": 1, "bi_masked": 2}[schema], function
    seeing = "select r from unnest(array['public', 'wagerledger_bi', 'wagerledger_bi_masked']) r, unnest(%s::text[]) s "
    assert books.query(seeing + "where has_schema_privilege(r, s, 'usage')", list(lookups.UNFENCED.values())) == []


@pytest.mark.parametrize("schema", ["bi", "bi_masked"])
def test_what_look_ups_read_cannot_be_read(books: Folded, reader: Callable[..., Query], schema: str) -> None:
    """A view without a fence is found by no statement of a reader, by its name, its number or the search path, nor the function that tells scopes."""
    query, unfenced = reader(("brand-a", "eu", schema == "bi")), lookups.UNFENCED[schema]
    ((number,),) = books.query(f"select '{unfenced}.bets'::regclass::oid::int8")
    for statement in (
        f"select * from {unfenced}.bets", f"table {unfenced}.bets", f"\ndo $$ begin perform from {unfenced}.bets; end $$",
        f"\nprepare p as select * from {unfenced}.bets", f"select null::{unfenced}.bets",
        f"select table_to_xml({number}::regclass, true, false, '')", f"select query_to_xml('table {unfenced}.bets', true, false, '')",
        "select * from access.places('postgres', true, 'bi.bets')",
    ):  # fmt: skip
        # Servers without libxml have no functions for XML.
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
            query(statement)
    query(f"\nset search_path = {unfenced}")
    with pytest.raises(psycopg.errors.UndefinedTable):
        query("select * from bets")


def asked(one: lookups.LookUp, schema: str, value: str, within: str) -> tuple[str, str]:
    """A look-up of a value, or of the moment that it is, and the same asked of the view; where it has to be named, within an integration."""
    viewed = f"{schema}.{one.view} where {one.column} = {value}"
    if one.kind == lookups.TIME:
        return f"{schema}.{one.name}({value}, {value} + interval '1 microsecond')", viewed
    if one.first == "integration_id":
        return f"{schema}.{one.name}({within}, {value})", f"{viewed} and integration_id = {within}"
    return f"{schema}.{one.name}({value})", viewed


def within(one: lookups.LookUp) -> str:
    return "integration_id" if one.first == "integration_id" else "null::text"


@pytest.mark.parametrize("schema", ["bi", "bi_masked"])
def test_a_look_up_finds_what_its_view_has(books: Folded, reader: Callable[..., Query], schema: str) -> None:
    """Whatever scopes a login has, and for all of them, it gets the rows of the view that have the value."""
    players = schema == "bi"
    a, b, every = ("brand-a", "eu", players), ("brand-b", "br", players), ("*", "*", players)
    readers = [reader(*scopes) for scopes in (
        (a,), (a, b), (every,), (("*", "br", players),), (("brand-a", "*", players), ("*", "br", players)),
        (("brand-a", "br", players),), (("brand-x", "*", players),),
    )]  # fmt: skip
    found = 0
    for one in look_ups(books, schema):
        values = books.query(
            f"select distinct on (tenant_id, {within(one)}) {one.column}::text, {within(one)} from {schema}.{one.view} "
            f"where {one.column} is not null"
        )
        for value, integration in values:
            looked_up, viewed = asked(one, schema, f"'{value}'::{one.kind}", f"'{integration}'")
            for query in (books.query, *readers):
                rows = query(f"select v::text from {looked_up} v order by 1")
                assert rows == query(f"select v::text from (select * from {viewed}) v order by 1"), looked_up
                found += bool(rows)
    assert found > 50
    assert readers[0](f"select * from {schema}.bets_between('-infinity', null)") == []


HOSTILE = (
    "set jit = off",
    "set enable_seqscan = on; set enable_indexscan = off; set plan_cache_mode = force_custom_plan; set random_page_cost = 1e9",
    (
        "set seq_page_cost = 0; set random_page_cost = 0; set cpu_tuple_cost = 0; set cpu_index_tuple_cost = 0; "
        "set cpu_operator_cost = 0; set enable_bitmapscan = on; set enable_indexscan = off"
    ),
)
"""Settings of who wants to see others' rows read."""
TOUCHED = """select c.relname, pg_stat_get_xact_tuples_returned(c.oid), pg_stat_get_xact_tuples_fetched(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'projections' and c.relkind in ('r', 'i') order by 1
"""
"""What PostgreSQL tells everybody of what a transaction of theirs has read, also within a function."""


def read_by(query: Query, statement: str) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The steps that EXPLAIN ANALYZE shows, and the tables and indexes of which a row or entry was read."""
    query("\nbegin")
    try:
        before = query(TOUCHED)
        told = told_by_plan(query, statement)
        return told, [after[0] for after, former in zip(query(TOUCHED), before, strict=True) if after != former]
    finally:
        query("\nrollback")


def read_of_others(books: Folded, query: Query, schema: str, made: list[lookups.LookUp]) -> set[str]:
    """Those of the look-ups that read anything for a value that only rows of others have, or tell more than of one that nobody has."""
    found, compared = set(), 0
    for one in made:
        for _, theirs, nobodys in conditions(books, one.view, {one.column: one.kind}):
            compared += 1
            ((integration,),) = books.query(
                f"select {within(one)} from bi.{one.view} where {one.column} = {theirs} and tenant_id = 'brand-b' limit 1"
            )
            of_them, of_nobody = (
                read_by(query, "select * from " + asked(one, schema, value, f"'{integration}'")[0])
                for value in (theirs, nobodys)
            )
            if of_them != of_nobody or of_them[1]:
                found.add(f"{one.name}: {of_them[1]}")
            assert [step[MEASURED.index("Node Type") + 1] for step in of_them[0]] == ["Function Scan"], one.name
    assert compared > 5
    return found


@pytest.mark.parametrize("settings", HOSTILE)
@pytest.mark.parametrize("schema", ["bi", "bi_masked"])
def test_a_look_up_reads_nothing_of_others(
    books: Folded, reader: Callable[..., Query], schema: str, settings: str
) -> None:
    """For a value that rows of another tenant or region have no row and no entry of an index is read, whatever the caller sets; plan and counters are those of a value that nobody has."""
    query = reader(("brand-a", "eu", schema == "bi"), ("brand-b", "eu", schema == "bi"))
    query(f"\n{settings}")
    assert read_of_others(books, query, schema, look_ups(books, schema)) == set()


FAULTS = {
    "asks for no scope": (
        "create or replace function bi.sessions_with_id(session_id text) returns setof bi.sessions stable strict "
        "language sql set enable_seqscan = off begin atomic "
        "select * from bi_unfenced.sessions v where v.session_id = $1; end"
    ),
    "takes any integration": (
        "create or replace function bi.bets_with_id(integration_id text, bet_id text) returns setof bi.bets stable strict "
        "language sql set enable_seqscan = off begin atomic "
        "select * from bi_unfenced.bets v where v.integration_id = $1 and v.bet_id = $2; end"
    ),
    "reads by an index that does not begin with the scope": (
        "drop index sessions_with_id; "
        'create index sessions_with_id on sessions (session_id collate "C") where session_id is not null'
    ),
    "reads as its caller likes": "alter function bi.sessions_with_id(text) reset all",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_look_up_that_reads_of_others_is_found(books: Folded, reader: Callable[..., Query], fault: str) -> None:
    """The search would see a look-up without a scope, in anybody's integration, over another index, or under the caller's settings."""
    query = reader(("brand-a", "eu", True), ("brand-b", "eu", True))
    query(f"\n{HOSTILE[1]}")
    made = look_ups(books, "bi")
    functions = "select string_agg(pg_get_functiondef(oid), ';') from pg_proc where oid = any(%s::regprocedure[])"
    ((before,),) = books.query(functions, ["bi.sessions_with_id(text)", "bi.bets_with_id(text, text)"])
    ((index,),) = books.query("select pg_get_indexdef('sessions_with_id'::regclass)")
    try:
        books.connection.execute(FAULTS[fault])
        (found,) = read_of_others(books, query, "bi", made)
        assert found.partition(":")[0] == ("bets_with_id" if "integration" in fault else "sessions_with_id")
    finally:
        books.connection.execute(f"drop index sessions_with_id; {index}; {before}")


def test_the_server_keeps_no_values_of_the_models(books: Folded) -> None:
    """Its statistics, which estimates are made from, have no row of any table: ANALYZE leaves each column out."""
    books.connection.execute("analyze")
    assert books.query("select tablename, attname from pg_stats where schemaname = 'projections'") == []


def test_the_policy_is_an_index_condition(books: Folded, reader: Callable[..., Query]) -> None:
    """Every table of tenants has an index that begins with the tenant, and a reader's rows can be found by it: others' are not even read."""
    query = reader(("brand-a", "eu", True))
    query("\nset enable_seqscan = off")
    for view in of_tenants(books):
        plan = "\n".join(row[0] for row in query(f"explain (costs off) select * from bi.{view}"))
        assert "Index Cond: (tenant_id = ANY (" in plan, plan
        assert "Seq Scan" not in plan, plan


def test_parked_streams_and_offsets_are_for_those_who_may_see_them(books: Folded, reader: Callable[..., Query]) -> None:
    """A parked stream, which names a player, is seen by who was granted its tenant in all regions; offsets, which count all tenants' records, by who sees all."""
    with books.connection.transaction(force_rollback=False):
        books.connection.execute(
            "insert into streams values ('brand-b', 'player', 'zoe', 3, '', 'gap', now()) on conflict do nothing"
        )
        books.connection.execute(
            "insert into checkpoints values ('t', 0, 7, 1, 9, now(), now(), now()) on conflict do nothing"
        )
    offsets = "select next_offset, end_offset, waiting_records from bi.freshness where topic = 't'"
    parked = "select stream_id from bi.parked_streams"
    assert (reader(("*", "*", True))(offsets), books.query(parked)) == ([(7, 9, 2)], [("zoe",)])
    for scope, seen in ((("brand-a", "*"), []), (("brand-b", "br"), []), (("brand-b", "*"), [("zoe",)])):
        query = reader((*scope, True))
        assert (query(parked), query(offsets)) == (seen, [(None, None, 2)]), scope


def test_an_analyst_sees_no_player(books: Folded, reader: Callable[..., Query]) -> None:
    """Every view exists masked, and shows the same rows with pseudonyms: no cell holds a player's id, and each player has one pseudonym per tenant. Schema bi and the keys stay shut."""
    players = {record["player_id"] for record in books.records if record["player_id"]} | {"zoe"}
    query = reader(("*", "*", False))
    for view, columns in views(books).items():
        rows = query(f"select v::text from bi_masked.{view} v")
        assert len(rows) == books.query(f"select count(*) from bi.{view}")[0][0], view
        cells = [cell for (row,) in rows for cell in row.strip("()").replace('"', "").split(",")]
        assert not players & set(cells), view
        assert not any(f"/{player}" in cell or f"{player}/" in cell for cell in set(cells) for player in players), view
        if masked := [column for column in PLAYER_COLUMNS if column in columns]:
            expected = books.query(
                f"select count(distinct (tenant_id, {masked[0]})) from bi.{view} where {masked[0]} is not null"
            )
            assert query(f"select count(distinct {masked[0]}) from bi_masked.{view}") == expected, view
    for shut in ("bi.bets", "access.masking_keys"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(f"select * from {shut}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query("select access.pseudonym('key', 'anna')")


def test_players_of_one_tenant_and_pseudonyms_of_another(reader: Callable[..., Query]) -> None:
    """Who may see the players of one tenant sees only the pseudonyms of another that they were granted without them."""
    query = reader(("brand-a", "*", True), ("brand-b", "*", False))
    assert query("select distinct tenant_id from bi.balances") == [("brand-a",)]
    assert query("select distinct tenant_id from bi_masked.balances order by 1") == [("brand-a",), ("brand-b",)]


def test_a_new_key_makes_new_pseudonyms(books: Folded, reader: Callable[..., Query]) -> None:
    """With a tenant's key its pseudonyms change, and nobody else's."""
    query = reader(("*", "*", False))
    statement = "select tenant_id, array_agg(player_id order by 1) from bi_masked.balances group by 1 order by 1"
    before = dict(query(statement))
    grants.rotate_key(books.connection, "brand-a", by=BY)
    after = dict(query(statement))
    assert not set(before["brand-a"]) & set(after["brand-a"])
    assert before["brand-b"] == after["brand-b"]


def test_what_is_revoked_is_not_seen_any_more(books: Folded, reader: Callable[..., Query]) -> None:
    """A revocation counts from the next query on, and who granted and revoked stays on record."""
    query = reader(("brand-a", "eu", True))
    assert query("select count(*) from bi.bets")[0][0] > 0
    grants.revoke(books.connection, query.role, None, None, by=BY)  # type: ignore[attr-defined]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query("select count(*) from bi.bets")
    (known,) = (one for one in grants.load(books.connection, everything=True) if one.role_name == query.role)  # type: ignore[attr-defined]
    assert (known.granted_by, known.revoked_by) == ("dba", "dba")
    known = ("brand-a", "eu"), ("brand-a", "*"), ("*", "br"), ("*", "*"), ("brand-a", "br"), ("brand-x", "*")
    assert [grants.has_rows(books.connection, *scope) for scope in known] == [True] * 4 + [False] * 2
    with pytest.raises(grants.GrantError, match="create role"):
        grants.grant(books.connection, "nobody_here", "*", "*", may_see_players=False, by=BY)


def test_a_view_of_ours_stands_on_tables_alone(books: Folded) -> None:
    """A masked view of one that stands on another would read that with its owner's rights, and lose rows."""
    nested = books.query(
        "select distinct r.ev_class::regclass::text from pg_depend d join pg_rewrite r on r.oid = d.objid "
        "join pg_class c on c.oid = d.refobjid where d.classid = 'pg_rewrite'::regclass "
        "and c.relnamespace = 'bi'::regnamespace and c.oid <> r.ev_class"
    )
    assert nested == []


def test_what_is_in_place_is_left_alone(books: Folded) -> None:
    """A projector that starts finds the policies as they should be."""
    assert access.is_in_place(books.connection, [f"bi.{view}" for view in views(books)])
    models.ensure(books.connection)


def test_what_stands_on_a_look_up_lives_on(books: Folded) -> None:
    """Views are made again, as when a rebuild takes its place, without a look-up being dropped; where one has to be, what somebody has built on it is not lost in silence."""
    names = [view for one in models.MODELS for view in one.view_names]
    with books.connection.transaction(force_rollback=True):
        books.connection.execute("create view public.theirs as select * from bi.bets_between('-infinity', 'infinity')")
        before = books.query("select count(*) from public.theirs")
        models._replace_views(books.connection, PROJECTIONS)
        models._protect(books.connection)
        assert books.query("select count(*) from public.theirs") == before != [(0,)]
        with pytest.raises(psycopg.errors.DependentObjectsStillExist), books.connection.transaction():
            lookups.drop(books.connection, names)
    assert lookups.are_in_place(books.connection, names)


def test_a_projector_with_the_deployed_rights_protects_and_grants(servers: Servers) -> None:
    """The rights that deploy/bi-logins.sh gives are enough to make, protect, swap and grant; without the roles all stays closed."""
    role = f"projector_{secrets.token_hex(4)}"
    with fresh_database(servers.bi_database_url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for group in access.ROLES:
                if connection.execute(grants.IS_ROLE, [group]).fetchone() != (True,):
                    connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(group)))
            connection.execute(
                sql.SQL(
                    "create role {role} login; grant {a}, {b} to {role} with admin option; grant {c}, {d} to {role}; "
                    "grant create on database {name} to {role}"
                ).format(
                    role=sql.Identifier(role), name=sql.Identifier(connection.info.dbname),
                    **dict(zip("abcd", map(sql.Identifier, access.ROLES), strict=True)),
                )
            )  # fmt: skip
        with psycopg.connect(url, autocommit=True, options="-c search_path=projections") as connection:
            connection.execute(sql.SQL("set session authorization {}").format(sql.Identifier(role)))
            models.ensure(connection)
            names = [view for one in models.MODELS for view in one.view_names]
            assert access.is_in_place(connection, names)
            with connection.transaction():
                models._lock_as_readers_do(connection, list(models.models(connection).values()))
            with connection.transaction():
                models._make_views_anew(connection)
                models._protect(connection)
            assert access.is_in_place(connection, names)
            models.reset(connection)
            assert access.is_in_place(connection, names)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(role)))
    with psycopg.connect(servers.bi_database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_login_makes_nothing_where_it_is_deployed(servers: Servers) -> None:
    """What deploy/bi-logins.sh takes from everybody is all that a login could leave on the server's disk."""
    script = (ROOT / "deploy" / "bi-logins.sh").read_text()
    taken = [line.partition("--")[0] for line in script.splitlines() if line.startswith("revoke")]
    with fresh_database(servers.bi_database_url) as url, psycopg.connect(url, autocommit=True) as connection:
        for line in taken:
            connection.execute(line.replace("wagerledger_bi ", f'"{connection.info.dbname}" ').encode())
        if connection.execute(grants.IS_ROLE, [access.READERS]).fetchone() != (True,):
            connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(access.READERS)))
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(access.READERS)))
        for making in (
            "create temporary table mine ()", "create table public.mine ()", "create schema mine", "select lo_create(0)",
            "select lo_creat(-1)", "select lo_from_bytea(0, 'x')",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(making)
