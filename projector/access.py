"""Who sees what of the read models: row-level security by tenant and region, and views with masked player ids.

The views of `bi` belong to a role of their own, that of `bi_masked` to another; neither can log in, and the policies of
the tables bind both. A policy lets a row pass whose tenant and region are granted to whoever asks. All of it is made
from the catalogue, so that a new read model is protected without a word.
"""

import contextlib
import secrets
from collections.abc import Collection, Sequence
from importlib.resources import files

import psycopg
import structlog
from psycopg import Connection, sql

READERS, ANALYSTS = "wagerledger_bi", "wagerledger_bi_masked"
"""Group roles: who may look into `bi`, and who into `bi_masked` alone."""
OWNER, MASKED_OWNER = "wagerledger_bi_owner", "wagerledger_bi_masked_owner"
"""The views' owners, which cannot log in."""
ROLES = READERS, ANALYSTS, OWNER, MASKED_OWNER

MASKED_IDS = {"player_id", "wallet_id", "stream_id", "session_id"}
"""Columns that are a player's id or hold one, or are the token that their games ask with: pseudonyms in the masked
views.
"""
HIDDEN = {"idempotency_key", "reference", "reason", "rollback_reason", "asked", "details", "actor", "approver"}
"""Columns that are the caller's own words and might name a player: null in the masked views, as all of type json."""
OF_NO_TENANT = {"checkpoints", "models", "statement_months"}
"""Tables without any tenant's data, which every reader may see."""
FOUNDATION = files("projector").joinpath("access.sql").read_text("utf-8")
IS_FOUNDED = "select to_regprocedure('access.places(name, boolean, regclass)') is not null"
FIRST_KEY = """
insert into access.masking_keys values ('*', %s, now(), 'projector', 'first key') on conflict do nothing
"""

MISSING_ROLES = "select name from unnest(%s::text[]) name where not exists (select from pg_roles where rolname = name)"
NOT_OURS = "select name from unnest(%s::text[]) name where not pg_has_role(current_user, name, 'set')"
BECOME = "grant {} to current_user with inherit false, set true"
CREATE_ROLES = """
grant usage on schema bi to {readers};
grant usage on schema bi_masked to {readers}, {analysts};
grant usage, create on schema bi to {owner};
grant usage, create on schema bi_masked to {masked_owner};
grant select, maintain on access.masking_keys to {masked_owner};
"""
# Readers make nothing: without temporary tables there is no schema either where a function of theirs could stand.
IS_OURS = "select pg_has_role(current_user, datdba, 'usage') from pg_database where datname = current_database()"
NOTHING_OF_THEIRS = "revoke temporary on database {} from public"
HAVE_SCHEMA = "select to_regnamespace('bi_masked') is not null"
UNPROTECTED = """
select c.relname, array_agg(a.attname::text) from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
where c.relnamespace = 'projections'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'masked_readers')
group by c.relname order by c.relname
"""
# To lock a view as a swap does, its owner must be allowed to lock the tables: maintain is the least that is enough.
PROTECT = """
alter table projections.{table} enable row level security;
create policy readers on projections.{table} for select to {owner} using ({players});
create policy masked_readers on projections.{table} for select to {masked_owner} using ({everybody});
grant select, maintain on projections.{table} to {owner}, {masked_owner};
"""
# The tenant is an index condition, and each function is asked once for a query: a row costs a comparison or two. The
# scopes are looked up row by row only for who has different regions in different tenants.
# A role's name has a collation of its own, by which no index is ordered.
OF_TENANT = 'tenant_id = any ((select access.tenants(current_user, {players}, {table}) collate "default")::text[])'
OF_REGION = """
coalesce(
    (select case when access.regions(current_user, {players}) = '{{*}}' then true end),
    region = any ((select access.regions(current_user, {players}) collate "default")::text[]),
    array[tenant_id || '/' || region, tenant_id || '/*', '*/' || region, '*/*']
        && (select access.scopes(current_user, {players}))::text[]
)
"""
OF_ALL_REGIONS = "array[tenant_id || '/*', '*/*'] && (select access.scopes(current_user, {players}))::text[]"

VIEWS = """
select c.oid::int8, c.relname, pg_get_viewdef(c.oid), pg_get_userbyid(c.relowner) = %s,
    obj_description(c.oid) from pg_class c
where c.relnamespace = 'bi'::regnamespace and c.relkind = 'v' and c.relname = any(%s) order by c.relname
"""
COLUMNS = """
select attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
from pg_attribute where attrelid = %s::oid and attnum > 0 and not attisdropped order by attnum
"""
GIVE = "alter view bi.{view} owner to {owner}; grant select on bi.{view} to {readers}"
GIVE_MASKED = """
alter view bi_masked.{view} owner to {masked_owner}; grant select on bi_masked.{view} to {readers}, {analysts}
"""
KEY = """
coalesce((select k.key from access.masking_keys k where k.tenant_id = v.tenant_id),
    (select access.keyed(k.key, v.tenant_id) from access.masking_keys k where k.tenant_id = '*'))
"""
MASKED_VIEWS = """
select relname from pg_class where relnamespace = to_regnamespace('bi_masked') and relkind = 'v'
    and pg_get_userbyid(relowner) = %s
order by relname
"""
IN_PLACE = """
select not exists (
    select from unnest(%s::text[]) name
    left join pg_class v on v.oid = to_regclass('bi.' || name) and pg_get_userbyid(v.relowner) = %s
    left join pg_class m on m.oid = to_regclass('bi_masked.' || name) and pg_get_userbyid(m.relowner) = %s
    where v.oid is null or m.oid is null
)
"""

NAMES = {
    name: sql.Identifier(role)
    for name, role in zip(("readers", "analysts", "owner", "masked_owner"), ROLES, strict=True)
}

log = structlog.get_logger()


def found(connection: Connection) -> None:
    """Make what the views need to be made, where it is not there yet."""
    if connection.execute(IS_FOUNDED).fetchone() == (True,):
        return
    connection.execute(FOUNDATION)
    connection.execute(FIRST_KEY, [secrets.token_bytes(32)])


def protect(connection: Connection, views: Collection[str]) -> bool:
    """Put every table under its policies, give the `views` (bi.x) their owner, and make each again in `bi_masked`.

    Changes only what is not so already. False where the roles are missing and may not be made here: all stays closed to
    everybody but the owner.
    """
    found(connection)
    if not _have_roles(connection):
        return False
    if connection.execute(HAVE_SCHEMA).fetchone() != (True,):
        connection.execute("create schema bi_masked")
        connection.execute(sql.SQL(CREATE_ROLES).format(**NAMES))
        if connection.execute(IS_OURS).fetchone() == (True,):
            connection.execute(sql.SQL(NOTHING_OF_THEIRS).format(sql.Identifier(connection.info.dbname)))
    for table, columns in connection.execute(UNPROTECTED).fetchall():
        _protect(connection, table, columns)
    names = [view.removeprefix("bi.") for view in views]
    existing = [row[0] for row in connection.execute(MASKED_VIEWS, [MASKED_OWNER]).fetchall()]
    for oid, view, definition, is_ours, about in connection.execute(VIEWS, [OWNER, names]).fetchall():
        if not is_ours:
            connection.execute(sql.SQL(GIVE).format(view=sql.Identifier(view), **NAMES))
        _mask(connection, view, definition, connection.execute(COLUMNS, [oid]).fetchall(), about)
    for view in existing:
        if view not in names:
            connection.execute(sql.SQL("drop view bi_masked.{}").format(sql.Identifier(view)))
    return True


def is_in_place(connection: Connection, views: Collection[str]) -> bool:
    """All that `protect` makes is there."""
    names = [view.removeprefix("bi.") for view in views]
    return connection.execute(IN_PLACE, [names, OWNER, MASKED_OWNER]).fetchone() == (True,)


def owner_of(schema: str) -> sql.Composable:
    """Who owns the views of `bi` or `bi_masked`."""
    return NAMES["owner" if schema == "bi" else "masked_owner"]


def readers_of(schema: str) -> sql.Composable:
    """Who may look into them."""
    return NAMES["readers"] if schema == "bi" else sql.SQL(", ").join((NAMES["readers"], NAMES["analysts"]))


def masked(views: Collection[str], connection: Connection) -> list[str]:
    """The masked views that there are of these."""
    existing = {f"bi_masked.{row[0]}" for row in connection.execute(MASKED_VIEWS, [MASKED_OWNER]).fetchall()}
    return [name for view in views if (name := view.replace("bi.", "bi_masked.", 1)) in existing]


def _have_roles(connection: Connection) -> bool:
    """All roles are there, and we may give views to their owners: roles are the server's, and another login may have
    made them.
    """
    missing = [row[0] for row in connection.execute(MISSING_ROLES, [list(ROLES)]).fetchall()]
    try:
        for role in missing:
            # That of another database of the server may be as quick.
            known = psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation
            with contextlib.suppress(*known), connection.transaction():
                connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
        for (owner,) in connection.execute(NOT_OURS, [[OWNER, MASKED_OWNER]]).fetchall():
            with connection.transaction():
                connection.execute(sql.SQL(BECOME).format(sql.Identifier(owner)))
    except psycopg.errors.InsufficientPrivilege as error:
        log.warning("bi_is_closed", reason=str(error).strip(), hint="make roles and grants as deploy/bi-logins.sh does")
        return False
    return True


def _protect(connection: Connection, table: str, columns: Sequence[str]) -> None:
    """A table without a tenant that we do not know is seen by nobody."""
    if "tenant_id" in columns:
        policy = f"{OF_TENANT} and {OF_REGION if 'region' in columns else OF_ALL_REGIONS}"
        name = sql.Literal(f"projections.{table}").as_string(connection) + "::regclass"
        players, everybody = (policy.format(players=which, table=name) for which in ("true", "false"))
    else:
        players = everybody = str(table in OF_NO_TENANT).lower()
    statement = sql.SQL(PROTECT).format(
        table=sql.Identifier(table), players=sql.SQL(players), everybody=sql.SQL(everybody), **NAMES
    )
    connection.execute(statement)


def _mask(
    connection: Connection, view: str, definition: str, columns: Sequence[tuple[str, str, str | None]], about: str
) -> None:
    name = sql.Identifier("bi_masked", view)
    selected = sql.SQL(", ").join(_masked(column, kind) for column, kind, _ in columns)
    create = sql.SQL("create or replace view {} as select {} from ({}) v").format(
        name, selected, sql.SQL(definition.rstrip().rstrip(";"))
    )
    try:
        with connection.transaction():
            connection.execute(create)
    except psycopg.errors.InvalidTableDefinition:  # columns went or moved
        connection.execute(sql.SQL("drop view {}").format(name))
        connection.execute(create)
    connection.execute(sql.SQL(GIVE_MASKED).format(view=sql.Identifier(view), **NAMES))
    connection.execute(sql.SQL("comment on view {} is {}").format(name, sql.Literal(f"Masked: {about}")))
    for column, _, meaning in columns:
        comment = sql.SQL("comment on column {} is {}")
        connection.execute(comment.format(sql.Identifier("bi_masked", view, column), sql.Literal(meaning)))


def _masked(column: str, kind: str) -> sql.Composed:
    name = sql.Identifier(column)
    if column in MASKED_IDS:
        return sql.SQL("access.pseudonym({}, v.{}) as {}").format(sql.SQL(KEY), name, name)
    if column in HIDDEN or kind in ("json", "jsonb"):
        return sql.SQL("null::{} as {}").format(sql.SQL(kind), name)
    return sql.SQL("v.{} as {}").format(name, name)
