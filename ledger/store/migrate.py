"""Bring a ledger database to the current schema. Run by a role that may create tables, never by a running service."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text

MONTHS_AHEAD = 12

ADD_PARTITIONS = text("""
select wagerledger.add_event_log_partition((this_month + make_interval(months => n))::date)
from date_trunc('month', now() at time zone 'UTC') this_month, generate_series(0, :months) n
""")


def upgrade(database_url: str) -> None:
    """Run the missing migrations and make the event log's partitions for the months ahead. Safe to repeat, and to run
    twice at once.
    """
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.execute(ADD_PARTITIONS, {"months": MONTHS_AHEAD})
    engine.dispose()


def current_and_head(connection: Connection) -> tuple[str | None, str | None]:
    """The database's revision, and the one that this code expects."""
    current = MigrationContext.configure(connection, opts={"version_table_schema": "public"}).get_current_revision()
    return current, head()


def head() -> str | None:
    """The revision that this code expects."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
