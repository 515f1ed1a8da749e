"""`wagerledger audit acts`: who changed which setting, and why."""

from datetime import UTC
from typing import Annotated

import typer

from cli.database import on_ledger
from cli.options import Json
from cli.output import show, table
from ledger.admin.actions import find

COLUMNS = ("acted_at", "tenant_id", "action", "subject", "actor", "approver", "reason")


def acts(
    tenant: Annotated[str | None, typer.Option("--brand", "--tenant", help="Only of this tenant.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this one, such as an integration's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Newest first, at most so many.")] = 100,
    *,
    as_json: Json = False,
) -> None:
    """Print administrative acts, newest first: integrations, keys, policies, games, rates, the log's generation. With
    --json also what each one changed. Adjustments and restrictions are events: see `wallet events`.
    """
    found = on_ledger(lambda connection: find(connection, tenant_id=tenant, subject=subject, limit=limit))
    for act in found:
        act["acted_at"] = act["acted_at"].astimezone(UTC).isoformat()
    filters = [f"of tenant {tenant}"] * bool(tenant) + [f"about {subject}"] * bool(subject)
    nothing = " ".join(["No act", *filters, "is on record."])
    text = table(COLUMNS, ([act[name] for name in COLUMNS] for act in found)) if found else nothing
    show(found, as_json=as_json, text=text)


def add_to(app: typer.Typer) -> None:
    app.command()(acts)
