"""`wagerledger migrate`: the deploy step for the ledger's database; and what else only its role may do."""

import typer

from cli.acts import ActActor, ActReason, by_or_fail
from cli.database import ledger_database
from cli.output import Json, fail, show
from cli.settings import settings_or_fail


def migrate(*, as_json: Json = False) -> None:
    """Bring the ledger's tables up to date and make the event log's partitions for the months ahead.

    WAGERLEDGER_DATABASE_URL must name a role that may create tables and roles; the running services use lesser ones.
    """
    from psycopg.errors import LockNotAvailable
    from sqlalchemy.exc import OperationalError

    from ledger.store.migrate import upgrade

    try:
        upgrade(settings_or_fail().database_url.get_secret_value())
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            fail(
                "A long read of the event log is in the way (an audit, a back-up?): nothing was changed, run it again."
            )
        fail(f"WAGERLEDGER_DATABASE_URL: {str(error.orig).strip()}")
    show({"migrated": True}, as_json=as_json, text="The ledger's database is up to date.")


def new_generation(actor: ActActor, reason: ActReason, *, as_json: Json = False) -> None:
    """Say that the log was moved or restored on purpose: relays then ask for `relay recover` instead of trusting ids.

    WAGERLEDGER_DATABASE_URL must name the role that migrates.
    """
    from ledger.generation import raise_generation

    by = by_or_fail(actor, reason)
    with ledger_database() as connection:
        generation = raise_generation(connection, by)
    show({"generation": generation}, as_json=as_json, text=f"The log is in generation {generation} now.")


def add_to(app: typer.Typer) -> None:
    app.command()(migrate)
    app.command("new-generation")(new_generation)
