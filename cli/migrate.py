"""`wagerledger migrate`: the deploy step for the ledger's database; and what else only its role may do."""

import typer

from cli.database import on_ledger
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import fail, show
from cli.settings import settings_or_fail
from cli.trouble import naming, patiently


def migrate(*, as_json: Json = False) -> None:
    """Bring the ledger's tables up to date and make the event log's partitions for the months ahead.

    WAGERLEDGER_DATABASE_URL must name a role that may create tables and roles; the running services use lesser ones.
    """
    from psycopg.errors import LockNotAvailable

    from ledger.store.migrate import upgrade

    settings = settings_or_fail()
    try:
        with naming("WAGERLEDGER_DATABASE_URL"):
            left_out = patiently(lambda: upgrade(settings.database_url.get_secret_value()), "PostgreSQL")
    except LockNotAvailable:
        fail("A long read of the event log is in the way (an audit, a back-up?): nothing was changed, run it again.")
    text = "The ledger's database is up to date."
    if left_out:
        text += (
            f" No partition could be made for {', '.join(left_out)}: rows came before it and are in event_log_default. "
            "docs/operations.md, Partitions of the event log, says how it becomes the month's."
        )
    show({"migrated": True, "months_without_partition": left_out}, as_json=as_json, text=text)


def new_generation(actor: AdminActor, reason: AdminReason, *, as_json: Json = False) -> None:
    """Say that the log was moved or restored on purpose: relays then ask for `relay recover` instead of trusting ids.

    WAGERLEDGER_DATABASE_URL must name the role that migrates.
    """
    from ledger.admin.generation import raise_generation

    by = by_or_fail(actor, reason)
    generation = on_ledger(lambda connection: raise_generation(connection, by))
    show({"generation": generation}, as_json=as_json, text=f"The log is in generation {generation} now.")


def add_to(app: typer.Typer) -> None:
    app.command()(migrate)
    app.command("new-generation")(new_generation)
