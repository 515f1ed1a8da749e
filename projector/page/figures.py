"""What the page shows, asked from the views of schema `bi` or `bi_masked`. Nothing else is read, nothing is written."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.rows import namedtuple_row
from pydantic import SecretStr

from patience import session

# The views are named without a schema: whoever may not look into bi finds the masked ones.
TIMEOUT_S = 5
WANTED = {
    "default_transaction_read_only": "on", "statement_timeout": str(1000 * TIMEOUT_S), "lock_timeout": "2000",
    "timezone": "UTC", "search_path": "bi,bi_masked",
}  # fmt: skip

FRESHNESS = """
select topic, partition, next_offset, end_offset, waiting_records, as_of, caught_up_at, moved_at, complete_until
from freshness order by topic, partition
"""
MODELS = "select model, version, since, stopped_at from models where model <> 'projector' order by model"
# Grouped, because a stream's id is a player's.
PARKED = """
select tenant_id, stream_type, reason, count(*) as streams, min(parked_at) as since
from parked_streams where %(tenant_id)s::text is null or tenant_id = %(tenant_id)s
group by tenant_id, stream_type, reason order by since
"""

CHOSEN = """
(%(tenant_id)s::text is null or tenant_id = %(tenant_id)s) and (%(currency)s::text is null or currency = %(currency)s)
"""
REVENUE = """
    sum(bets)::bigint as bets, sum(stake_minor - rolled_back_stake_minor)::bigint as stake_minor,
    sum(win_minor - reversed_win_minor + payout_minor)::bigint as win_minor,
    sum(ggr_minor)::bigint as ggr_minor, sum(bonus_cost_minor)::bigint as bonus_cost_minor
from revenue_by_day
"""
REVENUE_BY_DAY = f"""
select currency, exponent, day, {REVENUE}
where {CHOSEN} and day between %(first)s and %(last)s group by currency, exponent, day order by currency, exponent, day
"""
REVENUE_BY_PROVIDER = f"""
select currency, exponent, provider_id, {REVENUE}
where {CHOSEN} and day between %(first)s and %(last)s
group by currency, exponent, provider_id order by currency, exponent, ggr_minor desc
"""
SETTLEMENT_LAG = """
select provider_id, sum(bets)::bigint as bets, sum(upto_1s)::bigint as upto_1s, sum(upto_5s)::bigint as upto_5s,
    sum(upto_1m)::bigint as upto_1m, sum(upto_1h)::bigint as upto_1h,
    sum(mean_lag * bets::double precision) / sum(bets)::double precision as mean_lag, max(longest_lag) as longest_lag
from settlement_lag
where (%(tenant_id)s::text is null or tenant_id = %(tenant_id)s) and day between %(first)s and %(last)s
group by provider_id order by bets desc
"""
OPEN_HOLDS = f"""
select currency, exponent, age, age_order, sum(bets)::bigint as bets, sum(held_minor)::bigint as held_minor,
    min(oldest_at) as oldest_at
from open_holds where {CHOSEN}
group by currency, exponent, age, age_order order by currency, exponent, age_order
"""  # noqa: S608  # our own constants
# Of all tenants and currencies, because the choices are made of it too.
LIABILITY = """
select distinct on (tenant_id, region, currency) tenant_id, currency, exponent, cash_minor, bonus_minor, held_minor,
    receivable_minor, funds_minor
from liability where day <= %(last)s order by tenant_id, region, currency, day desc
"""

Rows = list[Any]
"""Named tuples, with the names of the statement."""


class NothingProjectedError(LookupError):
    """The database has no read models yet."""


class Choice(NamedTuple):
    """What the reader asked for. Days are those of UTC."""

    tenant_id: str | None = None
    currency: str | None = None
    days: int = 14
    last: date | None = None
    """Today, where nobody chose a day."""

    @property
    def last_day(self) -> date:
        return self.last or datetime.now(UTC).date()

    @property
    def first_day(self) -> date:
        return self.last_day - timedelta(days=self.days - 1)


class Figures(NamedTuple):
    """One look at the read models. A part is a text where it could not be read: it says why."""

    at: datetime
    freshness: Rows | str
    models: Rows | str
    parked: Rows | str
    revenue_by_day: Rows | str
    revenue_by_provider: Rows | str
    settlement_lag: Rows | str
    open_holds: Rows | str
    liability: Rows | str
    """What is owed to players, of all tenants and currencies."""


def connect(url: SecretStr) -> Connection[Any]:
    """A connection to the read models that cannot write. Raises psycopg.OperationalError."""
    return session.connect(
        url.get_secret_value(), WANTED, application_name="wagerledger-page", row_factory=namedtuple_row
    )


def look(connection: Connection[Any], choice: Choice) -> Figures:
    """The page's figures for a choice, read now. Raises NothingProjectedError; psycopg.OperationalError where the
    database does not answer.
    """
    if connection.execute("select to_regclass('freshness')").fetchone() == (None,):
        raise NothingProjectedError
    parameters = choice._asdict() | {"first": choice.first_day, "last": choice.last_day}
    statements = (
        FRESHNESS, MODELS, PARKED, REVENUE_BY_DAY, REVENUE_BY_PROVIDER, SETTLEMENT_LAG, OPEN_HOLDS, LIABILITY,
    )  # fmt: skip
    return Figures(datetime.now(UTC), *(_query(connection, statement, parameters) for statement in statements))


def _query(connection: Connection[Any], statement: str, parameters: Mapping[str, Any]) -> Rows | str:
    try:
        return connection.execute(statement, parameters).fetchall()
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return f"The database took longer than {TIMEOUT_S} s for it. Choose fewer days or one tenant."
    except psycopg.errors.InsufficientPrivilege:
        return "The role of this page may not read it."
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return "The read model is missing or of an earlier version: `wagerledger project rebuild` makes it."


def folded_records(connection: Connection[Any], topic: str) -> int | None:
    """How many records of a topic the models have had, transaction markers included; None where the role may not know.
    Raises psycopg.Error.
    """
    row = connection.execute("select sum(next_offset)::bigint from freshness where topic = %s", [topic]).fetchone()
    assert row
    return None if row[0] is None else int(row[0])
