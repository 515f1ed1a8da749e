"""What each role of the BI database may see: granted, revoked and listed; who did it stays on record."""

import secrets
from datetime import datetime
from typing import NamedTuple

from psycopg import Connection, sql
from psycopg.rows import class_row

from ledger.admin.actions import Actor
from projector.access import ANALYSTS, IS_FOUNDED, READERS
from runtime.identifiers import name_fault

ALL = "*"

ADD = """
insert into access.grants (role_name, tenant_id, region, may_see_players, granted_by, grant_reason)
values (%s, %s, %s, %s, %s, %s)
"""
END = """
update access.grants set revoked_at = now(), revoked_by = %s, revoke_reason = %s
where revoked_at is null and role_name = %s and coalesce(tenant_id = %s, true) and coalesce(region = %s, true)
"""
IN_FORCE = "select bool_or(may_see_players) from access.grants where revoked_at is null and role_name = %s"
LIST = """
select role_name, tenant_id, region, may_see_players, granted_at, granted_by, grant_reason, revoked_at, revoked_by,
    revoke_reason
from access.grants where revoked_at is null or %s order by role_name, tenant_id, region, granted_at
"""
HAS_ROWS = """
select exists (select from bi.balances where %(tenant_id)s in (tenant_id, '*') and %(region)s in (region, '*'))
"""
IS_ROLE = "select exists (select from pg_roles where rolname = %s)"
SET_KEY = """
insert into access.masking_keys (tenant_id, key, changed_by, reason) values (%s, %s, %s, %s)
on conflict (tenant_id) do update set key = excluded.key, since = now(), changed_by = excluded.changed_by,
    reason = excluded.reason
"""


class GrantError(ValueError):
    """What was asked cannot be granted or revoked; the message says why."""


class Grant(NamedTuple):
    """A scope of a role."""

    role_name: str
    tenant_id: str
    region: str
    may_see_players: bool
    granted_at: datetime
    granted_by: str
    grant_reason: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoke_reason: str | None


def grant(connection: Connection, role: str, tenant_id: str, region: str, *, may_see_players: bool, by: Actor) -> None:
    """Let `role` see a tenant's rows of a region; `*` is all of them. A scope that the role has already is replaced.

    Without `may_see_players` it sees them in the masked views alone. Raises GrantError, AdminActionError.
    """
    by = by.checked()
    for name, value in (("tenant", tenant_id), ("region", region)):
        if value != ALL and (fault := name_fault(value)):
            raise GrantError(f"{name} {value!r} {fault}, or {ALL}")
    with connection.transaction():
        _refuse_unready(connection)
        if connection.execute(IS_ROLE, [role]).fetchone() != (True,):
            raise GrantError(f"the database has no role {role!r}: `create role ... login` makes one")
        connection.execute(END, [by.actor, by.reason, role, tenant_id, region])
        connection.execute(ADD, [role, tenant_id, region, may_see_players, by.actor, by.reason])
        _open_schemas(connection, role)


def has_rows(connection: Connection, tenant_id: str, region: str) -> bool:
    """Whether the read models know a wallet of the tenant in the region; `*` is any."""
    row = connection.execute(HAS_ROWS, {"tenant_id": tenant_id, "region": region}).fetchone()
    return row == (True,)


def revoke(connection: Connection, role: str, tenant_id: str | None, region: str | None, *, by: Actor) -> int:
    """Take scopes from `role`: those of the tenant and region, where they are named. Gives how many. Raises GrantError,
    AdminActionError.
    """
    by = by.checked()
    with connection.transaction():
        _refuse_unready(connection)
        ended = connection.execute(END, [by.actor, by.reason, role, tenant_id, region]).rowcount
        if not ended:
            raise GrantError(f"role {role!r} has no such scope: `wagerledger bi list` names all")
        if connection.execute(IS_ROLE, [role]).fetchone() == (True,):
            _open_schemas(connection, role)
        return ended


def load(connection: Connection, *, everything: bool = False) -> list[Grant]:
    """The grants in force, or `everything` that ever was. Raises GrantError."""
    _refuse_unready(connection)
    with connection.cursor(row_factory=class_row(Grant)) as cursor:
        return cursor.execute(LIST, [everything]).fetchall()


def rotate_key(connection: Connection, tenant_id: str, *, by: Actor) -> None:
    """Give a tenant another masking key, or with `*` all that have none of their own: every pseudonym changes, and the
    old ones lead to nobody any more. Raises GrantError, AdminActionError.
    """
    by = by.checked()
    if tenant_id != ALL and (fault := name_fault(tenant_id)):
        raise GrantError(f"tenant {tenant_id!r} {fault}, or {ALL}")
    _refuse_unready(connection)
    connection.execute(SET_KEY, [tenant_id, secrets.token_bytes(32), by.actor, by.reason])


def _refuse_unready(connection: Connection) -> None:
    if connection.execute(IS_FOUNDED).fetchone() != (True,):
        raise GrantError("there are no read models yet: start `wagerledger project` first")


def _open_schemas(connection: Connection, role: str) -> None:
    """Make the role a member of the group that its scopes ask for, and of no other."""
    row = connection.execute(IN_FORCE, [role]).fetchone()
    assert row
    wanted = {None: None, True: READERS, False: ANALYSTS}[row[0]]
    for group in (READERS, ANALYSTS):
        words = "grant {} to {}" if group == wanted else "revoke {} from {}"
        connection.execute(sql.SQL(words).format(sql.Identifier(group), sql.Identifier(role)))
