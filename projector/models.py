"""Which read models the database has, at which versions: making them, stopping outdated ones, swapping rebuilt ones."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import psycopg
import structlog
from psycopg import Connection, sql

from projector import access, lookups
from projector.bookkeeping import BOOKKEEPING
from projector.database import LIVE, LOCK
from projector.projection import Projection, view_names
from projector.projections import PROJECTIONS

REPLACED = "projections_replaced"
"""Where the tables of an earlier version stand while a swap takes place; empty and gone before it is committed."""

# The functions give the views their units.
FOUNDATION = """
create schema projections;
create schema if not exists bi;

create table projections.models (
    name text primary key,
    version integer not null,
    tables text[] not null,
    views text not null, -- DDL
    since timestamptz not null default now(),
    stopped_at timestamptz -- from then on some events were not folded: only a rebuild helps
);

create function projections.amount(minor numeric, exponent integer) returns numeric immutable language sql
    return round(minor / 10::numeric ^ exponent, exponent);

create function projections.moment(micros bigint) returns timestamptz stable language sql
    return timestamptz 'epoch' + micros * interval '1 microsecond';
"""

FOUND = "select name, version, tables, views, stopped_at is not null from projections.models"
FOUND_EARLIER = "select name, version, '{}'::text[], '', false from projections.models"
IS_NOTED = """
select exists (select from pg_attribute where attrelid = 'projections.models'::regclass and attname = 'stopped_at')
"""
STOP = "update projections.models set stopped_at = now() where name = any(%s)"
# Larger than any before, whichever checkpoints were swapped in.
BEGIN_AGAIN = "update projections.checkpoints set generation = pg_current_xact_id()::text::bigint"
FOLDED = "select coalesce(sum(version), 0) from projections.streams"
NOTHING_FOLDED = "select not exists (select from projections.checkpoints where next_offset > 0)"
NOTE = """
insert into projections.models (name, version, tables, views) values (%s, %s, %s, %s)
on conflict (name) do update set version = excluded.version, tables = excluded.tables, views = excluded.views,
    since = now(), stopped_at = null
"""

# What the server knows of values it tells everybody in its estimates (EXPLAIN), of other tenants too: so it knows none.
# Batches find their rows by key, whatever is estimated.
WITHOUT_STATISTICS = """
select format('alter table %%s %%s', a.attrelid::regclass,
    string_agg(format('alter column %%I set statistics 0', a.attname), ', '))
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
    and a.attstattarget is distinct from 0
group by a.attrelid
"""

# A partitioned table comes after its partitions: it is moved and dropped with or after them.
TABLES_OF = """
select c.oid::regclass::text, c.relname from pg_class c
where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'models'
    and (%s::text[] is null or c.relname = any(%s)
        or exists (select from pg_partition_ancestors(c.oid) a join pg_class p on p.oid = a.relid
            where p.relname = any(%s)))
order by c.relkind desc, c.relname
"""
GRANTS = """
select case when g.grantee = 0 then 'public' else quote_ident(r.rolname) end, g.privilege_type
from pg_class c cross join aclexplode(c.relacl) g left join pg_roles r on r.oid = g.grantee
where c.oid = to_regclass(%s) and g.grantee <> c.relowner
"""

MODELS = (BOOKKEEPING, *PROJECTIONS)

log = structlog.get_logger()


class OutdatedModelsError(RuntimeError):
    """The tables were made by another version of this code. The message names the models and what to do."""


class Model(NamedTuple):
    """A read model as the database has it."""

    name: str
    version: int
    tables: list[str]
    views: str
    stopped: bool

    @property
    def view_names(self) -> list[str]:
        return view_names(self.views)


def ensure(connection: Connection, projections: Iterable[Projection] = PROJECTIONS) -> tuple[Projection, ...]:
    """Make the models where there are none, and give those to fold into.

    One that has an older version than this code is stopped, and a new one not begun, until it is rebuilt: it would lack
    the events of the past. The others go on. Raises OutdatedModelsError where that is no way.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        found = models(connection)
        if not found:
            _create(connection, projections)
            return tuple(projections)
        refuse_others(found, projections)
        if _truth(connection, NOTHING_FOLDED):
            _create_models(connection, [one for one in projections if one.name not in found])
            found = models(connection)
        if not (access.is_in_place(connection, _views(found)) and lookups.are_in_place(connection, _views(found))):
            _protect(connection)
        return _fitting(connection, found, projections)


def _fitting(
    connection: Connection, found: dict[str, Model], projections: Iterable[Projection]
) -> tuple[Projection, ...]:
    fitting: dict[str, Projection] = {}
    for one in projections:  # those that one needs come before it
        model = found.get(one.name)
        if model and not model.stopped and model.version == one.version and fitting.keys() >= set(one.needs):
            fitting[one.name] = one
    names = {one.name for one in projections}
    if outdated := [name for name in names - fitting.keys() if name in found and not found[name].stopped]:
        connection.execute(STOP, [outdated])
        connection.execute(BEGIN_AGAIN)
    if waiting := sorted(names - fitting.keys()):
        log.warning("models_wait_for_rebuild", models=waiting, command=f"wagerledger project rebuild {waiting[0]}")
    return tuple(fitting.values())


def refuse_others(found: dict[str, Model], projections: Iterable[Projection]) -> None:
    """Refuse to go on where a model is newer than this code, or the projector's own tables are others. Raises
    OutdatedModelsError.
    """
    known = {one.name: one.version for one in (BOOKKEEPING, *projections)}
    if (own := found.get(BOOKKEEPING.name)) and own.version < BOOKKEEPING.version:
        raise OutdatedModelsError(
            f"the projector's own tables have version {own.version}, this code needs {BOOKKEEPING.version}; "
            "fold everything again with `wagerledger project --refold`"
        )
    newer = [model for model in found.values() if model.version > known.get(model.name, 0)]
    if newer:
        versions = ", ".join(
            f"{model.name} (there {model.version}, here {known.get(model.name, 'none')})" for model in newer
        )
        raise OutdatedModelsError(
            f"read models were made by newer code: {versions}; start that, "
            "or fold everything again with `wagerledger project --refold`"
        )


def models(connection: Connection) -> dict[str, Model]:
    """What the database has; nothing before the first projector."""
    if connection.execute("select to_regclass('projections.models')").fetchone() == (None,):
        return {}
    found = connection.execute(FOUND if _truth(connection, IS_NOTED) else FOUND_EARLIER).fetchall()
    return {row[0]: Model(*row) for row in found}


def folded(connection: Connection) -> int:
    """How many events the read models hold: none before the first projector has made them."""
    if connection.execute("select to_regclass('projections.streams')").fetchone() == (None,):
        return 0
    row = connection.execute(FOLDED).fetchone()
    assert row
    return int(row[0])


def reset(connection: Connection, projections: Iterable[Projection] = PROJECTIONS) -> None:
    """Drop all models with checkpoints and gate, and make them empty. A running projector notices and begins again.

    Raises psycopg.errors.DependentObjectsStillExist where somebody else's view stands on one of ours: it would be lost.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        views = {view for model in models(connection).values() for view in model.view_names}
        views |= {view for projection in MODELS for view in projection.view_names}
        lookups.drop(connection, views)
        views |= {*access.masked(views, connection), *lookups.unfenced(connection, views)}
        connection.execute(f"drop view if exists {', '.join(sorted(views))}")
        connection.execute("drop schema if exists projections cascade")
        _create(connection, projections)


def _create(connection: Connection, projections: Iterable[Projection]) -> None:
    connection.execute(FOUNDATION)
    access.found(connection)
    _create_models(connection, [BOOKKEEPING, *projections])


def _create_models(connection: Connection, projections: Collection[Projection]) -> None:
    """Empty models; their views last, because one may stand on another's."""
    for projection in projections:
        make_tables(connection, projection, LIVE)
        _note(connection, projection)
    for projection in projections:
        connection.execute(projection.views)
    _protect(connection)


def _protect(connection: Connection) -> None:
    views = _views(models(connection))
    lookups.make(connection, views, given=access.protect(connection, views))


def _views(found: dict[str, Model]) -> list[str]:
    return [view for model in found.values() for view in model.view_names]


def make_tables(connection: Connection, projection: Projection, schema: str) -> None:
    """The model's tables, empty, in the schema that the connection works in."""
    assert connection.execute("select current_schema()").fetchone() == (schema,), schema
    connection.execute(projection.tables)
    for (without_statistics,) in connection.execute(WITHOUT_STATISTICS, [schema]).fetchall():
        connection.execute(without_statistics)


def swap(connection: Connection, shadow: str, projections: Collection[Projection]) -> None:
    """Put the models' tables of the shadow schema in the place of the live ones, within the caller's transaction.

    Views are replaced, not dropped, so that grants on them and what stands on them live on. Raises
    psycopg.errors.DependentObjectsStillExist where somebody else's view stands on a table, or on a view whose columns
    changed.
    """
    found = models(connection)
    _lock_as_readers_do(connection, [found[one.name] for one in projections if one.name in found])
    connection.execute(f"create schema {REPLACED}")
    for projection in projections:
        if model := found.get(projection.name):
            _move(connection, LIVE, REPLACED, model.tables)
    _move(connection, shadow, LIVE, None)
    connection.execute(f"set local search_path = {LIVE}")
    for projection in projections:
        _note(connection, projection)
    _replace_views(connection, projections)
    former = {view for one in projections if one.name in found for view in found[one.name].view_names}
    if gone := former - {view for one in projections for view in one.view_names}:
        lookups.drop(connection, gone)
        connection.execute(f"drop view if exists {', '.join(sorted(gone))}")
    _protect(connection)
    for table, _ in _tables(connection, REPLACED, None):
        connection.execute(f"drop table if exists {table}")
    connection.execute(f"drop schema {REPLACED}")
    connection.execute(BEGIN_AGAIN)


def _lock_as_readers_do(connection: Connection, swapped: Collection[Model]) -> None:
    """Views before their tables, in one statement: whoever reads takes them in this order too, or it ends in a
    deadlock. Raises psycopg.errors.LockNotAvailable after the caller's `lock_timeout`.
    """
    if views := [view for model in swapped for view in model.view_names]:
        views += [*access.masked(views, connection), *lookups.unfenced(connection, views)]
        connection.execute(f"lock table {', '.join(views)} in access exclusive mode")


def _replace_views(connection: Connection, projections: Iterable[Projection]) -> None:
    try:
        with connection.transaction():
            for projection in projections:
                connection.execute(projection.views)
    except psycopg.errors.InvalidTableDefinition:  # columns went or moved: only new ones at the end can be added
        _make_views_anew(connection)


def _make_views_anew(connection: Connection) -> None:
    """Drop the views of all models, because they stand on each other, and make them again with the same grants."""
    order = {projection.name: place for place, projection in enumerate(MODELS)}
    found = sorted(models(connection).values(), key=lambda model: order.get(model.name, len(order)))
    views = [view for model in found for view in model.view_names]
    grants = [(view, *grant) for view in views for grant in connection.execute(GRANTS, [view]).fetchall()]
    lookups.drop(connection, views)
    connection.execute(f"drop view if exists {', '.join(views)}")
    for model in found:
        connection.execute(model.views)
    for view, grantee, privilege in grants:
        connection.execute(f"grant {privilege} on {view} to {grantee}")


def _move(connection: Connection, source: str, target: str, tables: list[str] | None) -> None:
    """Move tables, or all of them, with their partitions, indexes and sequences."""
    for _, name in _tables(connection, source, tables):
        connection.execute(
            sql.SQL("alter table {} set schema {}").format(sql.Identifier(source, name), sql.Identifier(target))
        )


def _tables(connection: Connection, schema: str, names: list[str] | None) -> list[tuple[str, str]]:
    return connection.execute(TABLES_OF, [schema, names, names, names]).fetchall()


def _note(connection: Connection, projection: Projection) -> None:
    connection.execute(NOTE, [projection.name, projection.version, projection.table_names, projection.views])


def _truth(connection: Connection, question: str) -> bool:
    return connection.execute(question).fetchone() == (True,)
