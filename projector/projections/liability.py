"""Liability: what the tenant owes all players together, at the end of each UTC day.

The table holds what each day moved, and the view adds the days up. A day on which no wallet moved has no row: the row
before it holds. The day of an event is that of `occurred_at`, whenever it was folded.
"""

from collections.abc import Sequence

from projector.projection import Admitted, Projection, incoming
from projector.projections.periods import day_of
from projector.projections.views import AS_OF, CURRENCY, EXPONENT, REGION, TENANT, Column, amount, fenced, view
from projector.tables import Tables

# A row per partition lets projectors work side by side.
TABLES = """
create table liability_days (
    tenant_id text not null,
    region text not null,
    currency text not null,
    day timestamptz not null,
    partition integer not null,
    exponent smallint not null,
    cash_minor bigint not null,
    bonus_minor bigint not null,
    held_minor bigint not null,
    receivable_minor bigint not null,
    occurred_at timestamptz not null,
    primary key (tenant_id, region, currency, day, partition)
) with (fillfactor = 50);
"""

DAYS = f"""
from (
    select tenant_id, region, currency, day, max(exponent) as exponent,
        sum(sum(cash_minor)) over upto as cash_minor,
        sum(sum(bonus_minor)) over upto as bonus_minor,
        sum(sum(held_minor)) over upto as held_minor,
        sum(sum(receivable_minor)) over upto as receivable_minor,
        max(occurred_at) as occurred_at
    from {fenced("liability_days")}
    group by tenant_id, region, currency, day
    window upto as (partition by tenant_id, region, currency order by day)
) as days
"""  # noqa: S608  # our own constants

TOTAL = "cash_minor + bonus_minor + held_minor + receivable_minor"

VIEWS = view(
    "bi.liability",
    "Player funds of real money, per tenant, region and currency, at the end of each UTC day on which any wallet "
    "moved. Today's row is as of now.",
    [
        TENANT, REGION, CURRENCY, EXPONENT,
        Column("day", "UTC day (date).", "(day at time zone 'UTC')::date"),
        *amount("cash", "Withdrawable money of all players at the end of the day."),
        *amount("bonus", "Bonus money of all players at the end of the day."),
        *amount("held", "Stakes of open bets at the end of the day."),
        *amount("receivable", "What players owed at the end of the day; never positive."),
        *amount("funds", "All of it: what the tenant owed the players, less what they owed.", f"({TOTAL})"),
        AS_OF._replace(meaning="When the ledger recorded the day's last event that moved a wallet (timestamptz, UTC)."),
    ],
    DAYS,
)  # fmt: skip

COLUMNS = """
    tenant_id text, region text, currency text, day moment, partition integer, exponent smallint,
    cash_minor bigint, bonus_minor bigint, held_minor bigint, receivable_minor bigint, occurred_at moment
"""

MERGE = f"""
insert into liability_days as d
select * from {incoming(COLUMNS)}
order by tenant_id, region, currency, day, partition
on conflict (tenant_id, region, currency, day, partition) do update set
    cash_minor = d.cash_minor + excluded.cash_minor,
    bonus_minor = d.bonus_minor + excluded.bonus_minor,
    held_minor = d.held_minor + excluded.held_minor,
    receivable_minor = d.receivable_minor + excluded.receivable_minor,
    occurred_at = greatest(d.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants

PLACE = {"cash": 6, "bonus": 7, "held": 8, "receivable": 9}
"""The place of each account in a day's row."""


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    days: dict[tuple[str, str, str, int, int], list[int | str]] = {}
    for record, partition in events:
        if not record["postings"]:
            continue
        payload, occurred_at = record["payload"], record["occurred_at"]
        currency = payload["currency"]
        key = record["tenant_id"], record["region"], currency, day_of(occurred_at), partition
        row = days.get(key)
        if row is None:
            row = days[key] = [*key, payload["exponent"], 0, 0, 0, 0, occurred_at]
        row[10] = max(row[10], occurred_at)
        for posting in record["postings"]:
            if place := PLACE.get(posting["account"]):
                row[place] += posting["amount_minor"]
    tables.write(MERGE, days.values())


LIABILITY = Projection("liability", 2, TABLES, VIEWS, apply)
