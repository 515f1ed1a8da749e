"""Settlement lag: how long bets of real money waited for their end, per provider and UTC day of that end.

The lag is from `bet.authorized` to the settlement or end of the round that ends the bet. A bet that was opened again
and ends once more counts again. Rollbacks are not settlements.
"""

from collections.abc import Sequence

from ledger.core.state import DEMO
from projector.projection import Admitted, Projection, incoming
from projector.projections.periods import day_of
from projector.projections.views import INTEGRATION, PROVIDER, REGION, SUMMED, TENANT, Column, fenced, view
from projector.tables import Tables

BOUNDS = {
    "upto_1s": "1 second", "upto_5s": "5 seconds", "upto_30s": "30 seconds", "upto_1m": "1 minute",
    "upto_5m": "5 minutes", "upto_15m": "15 minutes", "upto_1h": "1 hour", "upto_6h": "6 hours", "upto_1d": "1 day",
    "upto_7d": "7 days",
}  # fmt: skip
"""Upper bounds of the lag's buckets, by column; what waited longer is in none."""
KEY = "tenant_id, region, integration_id, day, partition"

# A row per partition lets projectors work side by side.
TABLES = f"""
create table settlement_lags (
    tenant_id text not null,
    region text not null,
    integration_id text not null,
    day timestamptz not null,
    partition integer not null,
    provider_id text,
    bets bigint not null,
    {", ".join(f"{bucket} bigint not null" for bucket in BOUNDS)}, -- each includes those before it
    total interval not null,
    longest interval not null,
    occurred_at timestamptz not null,
    primary key ({KEY})
) with (fillfactor = 50);
"""


def _percentile(share: float) -> str:
    """The smallest bound that so many bets keep; null where no bound does."""
    cases = " ".join(
        f"when sum({bucket}) >= {share} * sum(bets) then interval '{bound}'" for bucket, bound in BOUNDS.items()
    )
    return f"case {cases} end"


VIEWS = view(
    "bi.settlement_lag",
    "How long bets of real money waited for their settlement, per integration and UTC day of the settlement.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER._replace(expression="max(provider_id)"),
        Column("day", "UTC day of the settlement (date).", "(day at time zone 'UTC')::date"),
        Column("bets", "Bets that were settled, or ended with their round.", "sum(bets)"),
        *[Column(name, f"Those within {bound} of their beginning.", f"sum({name})") for name, bound in BOUNDS.items()],
        Column("p50_upto", "Half of the bets waited no longer than this bound; null above 7 days.", _percentile(0.5)),
        Column("p95_upto", "95 % of the bets waited no longer than this bound; null above 7 days.", _percentile(0.95)),
        Column("mean_lag", "Mean of all lags (interval).", "sum(total) / sum(bets)::double precision"),
        Column("longest_lag", "Longest of all lags (interval).", "max(longest)"),
        SUMMED,
    ],
    f"from {fenced('settlement_lags')} group by tenant_id, region, integration_id, settlement_lags.day",
)  # fmt: skip

MERGE = f"""
insert into settlement_lags as l
select e.tenant_id, e.region, e.integration_id, e.day, e.partition, max(e.provider_id), count(*),
    {", ".join(f"count(*) filter (where e.ended_at - b.authorized_at <= interval '{one}')" for one in BOUNDS.values())},
    sum(e.ended_at - b.authorized_at), max(e.ended_at - b.authorized_at), max(e.ended_at)
from {
    incoming('''
    tenant_id text, region text, integration_id text, day moment, partition integer, provider_id text, bet_id text,
    ended_at moment
''')
} join bets b on b.integration_id = e.integration_id and b.bet_id = e.bet_id
group by 1, 2, 3, 4, 5
order by 1, 2, 3, 4, 5
on conflict ({KEY}) do update set
    bets = l.bets + excluded.bets,
    {", ".join(f"{bucket} = l.{bucket} + excluded.{bucket}" for bucket in BOUNDS)},
    total = l.total + excluded.total,
    longest = greatest(l.longest, excluded.longest),
    occurred_at = greatest(l.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    ended = []
    for record, partition in events:
        payload, occurred_at = record["payload"], record["occurred_at"]
        match record["event_type"]:
            case "bet.settled" if payload["was_open"] and payload["ends_bet"] and payload["mode"] != DEMO:
                bet_ids = [payload["bet_id"]]
            case "round.finished":
                bet_ids = [bet["bet_id"] for bet in payload["bets"] if bet["mode"] != DEMO]
            case _:
                continue
        place = record["tenant_id"], record["region"], record["integration_id"], day_of(occurred_at), partition
        ended += [(*place, record["provider_id"], bet_id, occurred_at) for bet_id in bet_ids]
    tables.write(MERGE, ended)


SETTLEMENT_LAG = Projection("settlement_lag", 2, TABLES, VIEWS, apply, needs=("bets",))
