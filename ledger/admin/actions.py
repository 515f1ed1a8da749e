"""Administrative acts: every change of a setting says who did it, why, and who approved it.

The database demands it: at the end of a transaction that has changed integrations, keys, games, rates or the log's
generation without an act about the same subject, it refuses the whole of it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row
from uuid_utils import uuid7

from ledger.entry import canonical
from ledger.store import acts as store
from ledger.store import integrations
from runtime.clock import to_datetime

LONGEST = 1000


class AdminActionError(ValueError):
    """The act does not say who or why; the message says what is missing."""


class Actor(NamedTuple):
    """Who changes a setting, and why. Names are the operator's own; the reason holds no personal data."""

    actor: str
    reason: str
    approver: str | None = None
    """A second person who has agreed."""

    def checked(self) -> "Actor":
        """The actor without blanks around the words. Raises AdminActionError where a word cannot be recorded, or
        somebody would approve what they do.
        """
        approver = self.approver.strip() if self.approver is not None else None
        by = Actor(self.actor.strip(), self.reason.strip(), approver)
        for name, said in by._asdict().items():
            if said is not None and (not said or len(said) > LONGEST or not said.isprintable()):
                raise AdminActionError(f"{name} {said!r} must be 1 to {LONGEST} printable characters")
        if by.approver and by.approver.casefold() == by.actor.casefold():
            raise AdminActionError(f"{by.actor} cannot approve what {by.actor} does: name a second person")
        return by


class AdminAction(NamedTuple):
    """An administrative change: what was done to which subject, by whom and why."""

    by: Actor
    action: str
    """Such as integration.added; what comes before the point names the settings."""
    subject: str
    """What it was done to, such as the integration's id."""
    content: Mapping[str, Any]
    """The rows of each touched table after it, without secrets: enough to do it again (see `redo`)."""
    tenant_id: str = ""
    """Empty for the whole installation."""
    region: str = ""


def record(connection: psycopg.Connection[Any], action: AdminAction) -> None:
    """Write an administrative change down, in its own transaction. Raises AdminActionError."""
    by = action.by.checked()
    connection.execute(
        store.INSERT,
        {
            "act_id": str(uuid7()),
            "acted_at": datetime.now(UTC),
            "tenant_id": action.tenant_id,
            "region": action.region,
            "action": action.action,
            "subject": action.subject,
            **by._asdict(),
            "content": canonical(action.content).decode(),
        },
    )


def record_integration(connection: psycopg.Connection[Any], by: Actor, action: str, integration_id: str) -> None:
    """Write down how an integration and its keys are now, and stay the only one to change it. Raises
    AdminActionError.
    """
    # Before it reads: a twin that has not committed yet would be left out, and its act would come earlier.
    connection.execute(integrations.LOCK, [integration_id])
    row = connection.execute(store.INTEGRATION, [integration_id]).fetchone()
    assert row, f"{integration_id} was changed, so it is there"
    tenant_id, region, content = row
    record(connection, AdminAction(by, action, integration_id, content, tenant_id, region))


def redo(connection: psycopg.Connection[Any], recorded: Mapping[str, Any]) -> None:
    """Write down again, word for word, what was recorded (the fields of an entry of the log), and do it again: in the
    order of the acts, into a database that had none.

    A key whose secret nobody has given to this database comes back without it, and proves nobody until
    `integration restore-secret` is given the same secret.
    """
    acted_at = to_datetime(recorded["acted_at"])
    connection.execute(store.INSERT, {**recorded, "acted_at": acted_at})
    content = json.loads(recorded["content"])
    if "games" in content:
        removed = {"integration_id": recorded["subject"], "all": content["replaced"]}
        connection.execute(store.REMOVE_GAMES, {**removed, "games": json.dumps(content["games"])})
    for table, sql in store.REDO.items():
        if rows := content.get(table):
            connection.execute(sql, [json.dumps(rows)])


def find(
    connection: psycopg.Connection[Any], *, tenant_id: str | None = None, subject: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The latest acts, newest first; of one tenant, or about one subject."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(store.LIST, {"tenant_id": tenant_id, "subject": subject, "limit": limit}).fetchall()
