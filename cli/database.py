"""The ledger's database for a command, or a clear end."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from cli.output import fail
from cli.settings import settings_or_fail


@contextmanager
def ledger_database() -> Iterator[psycopg.Connection]:
    """A connection with the role of the environment. What goes wrong with it ends the command."""
    settings = settings_or_fail()
    try:
        with psycopg.connect(settings.database_url.get_secret_value(), connect_timeout=10) as connection:
            yield connection
    except psycopg.Error as error:
        fail(f"WAGERLEDGER_DATABASE_URL: {error}")
