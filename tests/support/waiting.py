"""Waiting for what can be observed. A test never sleeps for a time in the hope that something has happened by then."""

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

T = TypeVar("T")

PAUSE_S = 0.02
"""Between two looks: short against all that is waited for, long enough to leave the processor to it."""


def until(condition: Callable[[], T | None], what: str, *, limit_s: float = 60.0) -> T:
    """What the condition gives, as soon as that is truthy. `what` is waited for: a failure names it and the last value.

    The limit is there for what never comes, not for what is slow: leave it generous. The last look begins after the
    limit, so that whoever was kept waiting for a processor looks once more. What the condition raises is not caught.
    """
    deadline = time.monotonic() + limit_s
    while True:
        late = time.monotonic() > deadline
        if seen := condition():
            return seen
        assert not late, f"waited {limit_s:g} s in vain for {what}; last seen: {seen!r}"
        time.sleep(PAUSE_S)


_SESSIONS_IN_LOCKS = """
select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""


def until_locked_out(database_url: str, sessions: int = 1) -> None:
    """Wait until so many sessions of this database, or more, wait for a lock that another one holds."""
    until(lambda: locked_out(database_url) >= sessions, f"{sessions} sessions that wait for a lock")


def locked_out(database_url: str) -> int:
    """How many sessions of this database wait now for a lock that another one holds."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        return int((connection.execute(_SESSIONS_IN_LOCKS).fetchone() or (0,))[0])


def patient_connection(database_url: str) -> psycopg.Connection:
    """For a transaction that stays open while others work: our servers end one that idles for ten seconds."""
    return psycopg.connect(database_url, options="-c idle_in_transaction_session_timeout=0")
