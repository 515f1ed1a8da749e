"""The two databases for a command: one transaction each, done once, whatever a restart does to the connection."""

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection

from cli.settings import settings_or_fail
from cli.trouble import naming
from patience.postgresql import transact
from patience.session import connect_as_is

T = TypeVar("T")


def on_ledger(action: Callable[[Connection[Any]], T]) -> T:
    """What `action` gives, in one transaction with the role of WAGERLEDGER_DATABASE_URL. It may be run again: it does
    nothing outside of the database.
    """
    settings = settings_or_fail()
    with naming("WAGERLEDGER_DATABASE_URL"):
        return transact(lambda: connect_as_is(settings.database_url.get_secret_value()), action, settings.patience)


def on_read_models(action: Callable[[Connection[Any]], T]) -> T:
    """The result of `action` in one transaction on the read models, with the role of WAGERLEDGER_BI_DATABASE_URL."""
    settings = settings_or_fail()
    with naming("WAGERLEDGER_BI_DATABASE_URL"):
        return transact(lambda: connect_as_is(settings.bi_database_url.get_secret_value()), action, settings.patience)
