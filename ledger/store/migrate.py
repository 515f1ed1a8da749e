"""Bring a ledger database to the current schema. Run by a role that may create tables, never by a running service."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

MONTHS_AHEAD = 12

# A new partition locks the whole log. Behind somebody's long read of it that would keep every bet waiting as well.
DO_NOT_QUEUE = text("set local lock_timeout = '2s'")

# The tables belong to a role that nobody can log in as; whoever migrates becomes it.
IS_HANDED_OVER = text("""
select exists (
    select from pg_namespace n join pg_roles r on r.oid = n.nspowner
    where n.nspname = 'wagerledger' and r.rolname = 'wagerledger_owner'
)
""")
BECOME_OWNER = text("set local role wagerledger_owner")

ADD_PARTITIONS = text("""
select wagerledger.add_event_log_partition((this_month + make_interval(months => n))::date)
from date_trunc('month', now() at time zone 'UTC') this_month, generate_series(0, :months) n
""")

WITHOUT_PARTITION = text("""
select to_char(month, 'YYYY-MM')
from date_trunc('month', now() at time zone 'UTC') this_month, generate_series(0, :months) n,
    lateral (select this_month + make_interval(months => n) as month) named
where to_regclass('wagerledger.event_log_' || to_char(month, 'YYYY_MM')) is null
order by month
""")


def upgrade(database_url: str) -> list[str]:
    """Run the missing migrations and make the event log's partitions for the months ahead. Safe to repeat, and to run
    twice at once. Gives the months, such as 2026-11, that still have none: their first rows came before it, and are in
    the default partition.

    Raises psycopg.Error, with nothing changed: LockNotAvailable where a long read of the log is in the way.
    """
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            if connection.scalar(IS_HANDED_OVER):
                connection.execute(BECOME_OWNER)
            command.upgrade(config, "head")
            connection.execute(BECOME_OWNER)
            connection.execute(DO_NOT_QUEUE)
            connection.execute(ADD_PARTITIONS, {"months": MONTHS_AHEAD})
            return list(connection.scalars(WITHOUT_PARTITION, {"months": MONTHS_AHEAD}))
    except DBAPIError as error:
        raise (error.orig or error) from error  # the driver's own, as everywhere else
    finally:
        engine.dispose()


def head() -> str | None:
    """The revision that this code expects."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
