"""The connection to the read models' PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection
from pydantic import SecretStr

from patience import session
from projector.tables import Tables
from runtime import arrays

LIVE = "projections"
"""The schema of the tables that readers see, by the views of schema `bi`."""

# Shared by projection transactions, exclusive while tables are made, swapped or dropped. Any constant does.
LOCK = int.from_bytes(b"projectr")

# A commit that a crash of the server loses takes its checkpoint along, so waiting for the disk would buy nothing.
# Batches find their rows by key: a plan that was made on an empty table, and kept, is right for a full one too.
WANTED = {
    "synchronous_commit": "off", "statement_timeout": "60000", "lock_timeout": "30000", "timezone": "UTC", "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
}  # fmt: skip


def connect(url: SecretStr, schema: str = LIVE) -> Connection:
    """A connection for one projector into the tables of `schema`. Raises psycopg.OperationalError (retryable)."""
    wanted = WANTED | {"search_path": schema}
    connection = session.connect(url.get_secret_value(), wanted, application_name="wagerledger-projector", writes=True)
    arrays.register(connection)
    return connection


@contextmanager
def transaction(connection: Connection) -> Iterator[Tables]:
    """A transaction under which no model is made, swapped or dropped. It is committed when the server has done all of
    it, and each row that must be there was.
    """
    tables = Tables(connection)
    with connection.transaction():
        try:
            with connection.pipeline():
                tables.execute("select pg_advisory_xact_lock_shared(%s)", [LOCK])
                yield tables
        finally:  # also after an error: where others were here first, that is why
            tables.check()


def parked_streams(connection: Connection) -> int:
    """How many streams are parked, whoever projects them."""
    row = connection.execute("select count(*) from streams where parked_reason is not null").fetchone()
    assert row
    return int(row[0])
