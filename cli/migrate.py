"""`wagerledger migrate`: the deploy step for the ledger's database."""

import typer

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


def add_to(app: typer.Typer) -> None:
    app.command()(migrate)
