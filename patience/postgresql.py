"""One database transaction, done once, whatever happens to the connection meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

from patience.retry import Patience
from patience.trouble import TransientError, is_transient

T = TypeVar("T")

# Said first: a block of psycopg's `transaction()` that opens one on its own also commits it; inside of one it does not.
# It takes no snapshot, so that `action` may still set the isolation level.
BEGIN = "show transaction_isolation"
# Asked just before the commit; null where nothing was written.
XID = "select pg_current_xact_id_if_assigned()::text"
FATE = "select pg_xact_status(%s::xid8)"


class UnknownOutcomeError(Exception):
    """A connection was lost while its transaction was committed, and what became of it could not be asked."""


class _UndoneError(TransientError):
    """The commit did not happen."""


def transact(connect: Callable[[], Connection[Any]], action: Callable[[Connection[Any]], T], patience: Patience) -> T:
    """The result of `action`, in one database transaction of a connection of its own, tried again as a whole while the
    trouble may pass. A connection that is lost at the commit itself is followed by a question to the server: so it is
    done once.

    `action` neither commits nor does anything outside of the database that must not happen twice. Raises
    UnknownOutcomeError; psycopg.Error; whatever `action` raises, with everything undone.
    """
    return patience.call(lambda: _once(connect, action, patience), "PostgreSQL")


def _once(connect: Callable[[], Connection[Any]], action: Callable[[Connection[Any]], T], patience: Patience) -> T:
    with connect() as connection:
        connection.execute(BEGIN)
        result = action(connection)
        row = connection.execute(XID).fetchone()
        try:
            connection.commit()
        except psycopg.Error as error:
            if not is_transient(error):
                raise
            with suppress(psycopg.Error):
                connection.close()
            _settle(connect, row and row[0], error, patience)
    return result


def _settle(connect: Callable[[], Connection[Any]], xid: str | None, error: psycopg.Error, patience: Patience) -> None:
    """Return where the commit happened. Raises _UndoneError, UnknownOutcomeError."""
    if xid is None:
        return  # it has only read

    def fate() -> str | None:
        with connect() as connection:
            row = connection.execute(FATE, [xid]).fetchone()
        if row and row[0] == "in progress":
            raise TransientError("the server has not noticed yet that the connection is gone")
        return row[0] if row else None

    try:
        found = patience.call(fate, "PostgreSQL")
    except (psycopg.Error, TransientError) as unanswered:
        raise UnknownOutcomeError(
            f"it is not known whether this was done ({unanswered}): look before you repeat it"
        ) from error
    if found == "aborted":
        raise _UndoneError(str(error)) from error
    if found != "committed":
        raise UnknownOutcomeError(
            "the server no longer knows whether this was done: look before you repeat it"
        ) from error
