"""Look-ups: functions that find rows of a view by an index, and read nobody else's rows.

A view compares what somebody asks with every row that they may see, because a condition that went further down would
meet others' rows, and EXPLAIN, counters or the clock would show how far it came. A look-up takes the value as an
argument and goes to the index with the caller's own tenant and region in front of it: only rows of theirs are ever
read, whichever value they give. The planner cannot see into it, and none of the caller's settings changes how it reads.

It reads, as its caller and under the row policies, a view without a fence, in a schema that nobody may look into: the
function found it when it was made.

An index makes a look-up. Those of `indexes` are on tenant, region and column, each text with collation C, where the
column is not null. No other index can answer as well: no key has that collation, and another look-up's index has not
surely the row. A key of integration and id makes one too: an integration's id begins with its tenant and region.
"""

from collections.abc import Collection
from typing import NamedTuple

import psycopg
from psycopg import Connection, sql
from psycopg.types.json import Json

from projector import access

UNFENCED = {"bi": "bi_unfenced", "bi_masked": "bi_masked_unfenced"}
"""For each schema of views the one with its views without a fence."""
FENCE = "OFFSET 0"
TIME = "timestamp with time zone"

SHOWN_AS = {"occurred_at": "as_of"}
"""Columns of tables that every view shows under another name."""

# A view that shows the rows of a table one by one has the table's name, and adds nothing up.
WANTED = """
select distinct v.relname, t.relname, first.attname, shown.attname, format_type(shown.atttypid, null)
from pg_class v
join pg_class t on t.relname = v.relname and t.relnamespace = 'projections'::regnamespace and t.relkind in ('r', 'p')
join pg_index i on i.indrelid = t.oid and i.indnkeyatts >= 2
join pg_attribute first on first.attrelid = t.oid and first.attnum = i.indkey[0]
join pg_attribute second on second.attrelid = t.oid and second.attnum = i.indkey[1]
join pg_attribute a on a.attrelid = t.oid and case
    when i.indisprimary then (first.attname, a.attnum) = ('integration_id', i.indkey[1])
    else (first.attname, second.attname, a.attnum) = ('tenant_id', 'region', i.indkey[2])
        and pg_get_expr(i.indpred, t.oid) = format('(%%I IS NOT NULL)', a.attname)
end
join pg_attribute shown on shown.attrelid = v.oid and shown.attname = coalesce(%s::jsonb ->> a.attname, a.attname)
where v.relnamespace = 'bi'::regnamespace and v.relkind = 'v' and v.relname = any(%s)
    and pg_get_viewdef(v.oid) not like '%%GROUP BY%%'
order by 1, 4
"""
DEFINITION = "select pg_get_viewdef(%s::regclass)"
MADE = """
select distinct p.oid::regprocedure::text, n.nspname, p.proname, v.relname
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
join pg_class v on v.oid = d.refobjid join pg_namespace u on u.oid = v.relnamespace
where n.nspname in ('bi', 'bi_masked') and u.nspname = any(%s)
order by 1
"""
UNFENCED_VIEWS = """
select n.nspname || '.' || v.relname, v.relname from pg_class v join pg_namespace n on n.oid = v.relnamespace
where n.nspname = any(%s) and v.relkind = 'v' order by 1
"""

GIVE_SCHEMA = "grant usage, create on schema {unfenced} to {owner}"
GIVE_UNFENCED = "alter view {view} owner to {owner}; grant select on {view} to {readers}"
# Of the caller's settings none counts. The index that leads to the fewest rows is taken, whatever the sizes.
CREATE = """
create or replace function {function}({arguments}) returns setof {view}
stable strict parallel restricted language sql
set enable_seqscan = off set enable_bitmapscan = off set enable_indexscan = on set enable_nestloop = on
set seq_page_cost = 0 set random_page_cost = 0
set cpu_tuple_cost = 1 set cpu_index_tuple_cost = 0.005 set cpu_operator_cost = 0
set max_parallel_workers_per_gather = 0 set jit = off set plan_cache_mode = force_generic_plan
begin atomic
    select found.* from access.places(current_user, {players}, {table}) as place
    cross join lateral (
        select * from {unfenced} as v
        where v.tenant_id collate "C" = place.tenant_id and v.region collate "C" = place.region and {condition} offset 0
    ) as found
    where {place};
end;
revoke all on function {function}({types}) from public;
comment on function {function}({types}) is {meaning}
"""
GIVE = "grant execute on function {function}({types}) to {readers}"


class LookUp(NamedTuple):
    """A look-up of a view by a column of it."""

    view: str
    table: str
    first: str
    """What its index begins with: the tenant, or the integration, which names the tenant and region."""
    column: str
    kind: str

    @property
    def name(self) -> str:
        return name(self.view, self.column, of_time=self.kind == TIME)

    @property
    def schemas(self) -> tuple[str, ...]:
        """Not for who sees pseudonyms where an index by what they stand for would tell where it stands in it."""
        return ("bi",) if self.column in access.MASKED_IDS | access.HIDDEN else ("bi", "bi_masked")


def name(view: str, column: str, *, of_time: bool) -> str:
    """What the look-up of a view by a column is called."""
    of = column.removesuffix("_id")
    if of_time:
        return f"{view}_between"
    return f"{view}_with_id" if view == f"{of}s" else f"{view}_of_{of}"


def indexes(table: str, *columns: str) -> str:
    """The indexes of a read model's table that make its look-ups, by ids or times (`..._at`); and the one by which its
    tenants and regions are told.
    """
    lines = [f"create index {table}_tenant on {table} (tenant_id, region);"]
    for column in columns:
        of_time = column.endswith("_at")
        key = column if of_time else f'{column} collate "C"'
        lines.append(
            f"create index {name(table, column, of_time=of_time)} on {table} "
            f'(tenant_id collate "C", region collate "C", {key}) where {column} is not null;'
        )
    return "\n".join(lines)


def make(connection: Connection, views: Collection[str], *, given: bool) -> None:
    """Make the look-ups of the `views` (bi.x), and drop those of none. Unless they are `given` to readers, because the
    roles are missing, they are the owner's alone.
    """
    schemas = [schema for schema in UNFENCED if given or schema == "bi"]
    for schema in schemas:
        unfenced = sql.Identifier(UNFENCED[schema])
        connection.execute(sql.SQL("create schema if not exists {}").format(unfenced))
        if given:
            connection.execute(sql.SQL(GIVE_SCHEMA).format(unfenced=unfenced, owner=access.owner_of(schema)))
    wanted = _wanted(connection, views)
    _drop_others(connection, wanted)
    for schema in schemas:
        for view in sorted({one.view for one in wanted}):
            _unfence(connection, schema, view, given=given)
        for one in wanted:
            if schema in one.schemas:
                _create(connection, schema, one, given=given)


def are_in_place(connection: Connection, views: Collection[str]) -> bool:
    """All that `make` makes is there, and nothing that it drops."""
    wanted = {(schema, one.name) for one in _wanted(connection, views) for schema in one.schemas}
    return {(schema, made) for _, schema, made, _ in _made(connection)} == wanted


def unfenced(connection: Connection, views: Collection[str]) -> list[str]:
    """The views without a fence that there are of these."""
    names = {view.removeprefix("bi.") for view in views}
    return [name for name, view in _unfenced(connection) if view in names]


def drop(connection: Connection, views: Collection[str]) -> None:
    """Drop the look-ups of the `views` (bi.x), which could not be dropped themselves else.

    Raises psycopg.errors.DependentObjectsStillExist where something of somebody else's stands on one.
    """
    names = {view.removeprefix("bi.") for view in views}
    for function, _, _, view in _made(connection):
        if view in names:
            connection.execute(f"drop function {function}")


def _wanted(connection: Connection, views: Collection[str]) -> list[LookUp]:
    names = [view.removeprefix("bi.") for view in views]
    return [LookUp(*row) for row in connection.execute(WANTED, [Json(SHOWN_AS), names]).fetchall()]


def _made(connection: Connection) -> list[tuple[str, str, str, str]]:
    """Each function, its schema and name, and the view that it looks up."""
    return connection.execute(MADE, [list(UNFENCED.values())]).fetchall()


def _unfenced(connection: Connection) -> list[tuple[str, str]]:
    return connection.execute(UNFENCED_VIEWS, [list(UNFENCED.values())]).fetchall()


def _drop_others(connection: Connection, wanted: Collection[LookUp]) -> None:
    known = {(schema, one.name) for one in wanted for schema in one.schemas}
    for function, schema, made, _ in _made(connection):
        if (schema, made) not in known:
            connection.execute(f"drop function {function}")
    shown = {one.view for one in wanted}
    for unfenced, view in _unfenced(connection):
        if view not in shown:
            connection.execute(f"drop view {unfenced}")


def _unfence(connection: Connection, schema: str, view: str, *, given: bool) -> None:
    name = sql.Identifier(UNFENCED[schema], view)
    row = connection.execute(DEFINITION, [f"{schema}.{view}"]).fetchone()
    assert row
    assert row[0].count(FENCE) == 1, f"{schema}.{view} has not one fence"
    create = sql.SQL("create or replace view {} as {}").format(name, sql.SQL(row[0].replace(FENCE, "")))
    try:
        with connection.transaction():
            connection.execute(create)
    except psycopg.errors.InvalidTableDefinition:  # columns went or moved
        drop(connection, [view])
        connection.execute(sql.SQL("drop view {}").format(name))
        connection.execute(create)
    if given:
        give = sql.SQL(GIVE_UNFENCED)
        connection.execute(give.format(view=name, owner=access.owner_of(schema), readers=access.readers_of(schema)))


def _create(connection: Connection, schema: str, one: LookUp, *, given: bool) -> None:
    column, place = sql.Identifier("v", one.column), sql.SQL("true")
    about = f"The rows of {schema}.{one.view} with"
    if one.kind == TIME:
        arguments, types = "since timestamptz, until timestamptz", "timestamptz, timestamptz"
        condition = sql.SQL("{} >= $1 and {} < $2").format(column, column)
        about += f" since <= {one.column} < until, found by an index."
    elif one.first == "integration_id":
        arguments, types = f"integration_id text, {one.column} text", "text, text"
        condition = sql.SQL("v.integration_id = $1 and {} = $2").format(column)
        place = sql.SQL("starts_with($1, place.tenant_id || '/' || place.region || '/')")
        about += f" this {one.column} of the integration, found by an index."
    else:
        arguments, types = f"{one.column} text", "text"
        condition = sql.SQL('{} collate "C" = $1').format(column)
        about += f" this {one.column}, found by an index."
    function = {"function": sql.Identifier(schema, one.name), "types": sql.SQL(types)}
    statement = sql.SQL(CREATE).format(
        arguments=sql.SQL(arguments), view=sql.Identifier(schema, one.view),
        unfenced=sql.Identifier(UNFENCED[schema], one.view), players=sql.SQL("true" if schema == "bi" else "false"),
        table=sql.SQL("{}::regclass").format(sql.Literal(f"projections.{one.table}")),
        condition=condition, place=place, meaning=sql.Literal(about), **function,
    )  # fmt: skip
    connection.execute(statement)
    if given:
        connection.execute(sql.SQL(GIVE).format(readers=access.readers_of(schema), **function))
