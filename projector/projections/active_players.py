"""Active players: who bet, per UTC day and month; and how many sessions began, real and demo apart.

A player is active who placed a bet in real mode that was not free, also one that was rolled back later. Demo never
counts.
"""

from collections.abc import Sequence
from typing import Any

from ledger.core.state import DEMO, FREE
from projector.projection import Admitted, Projection, incoming
from projector.projections.periods import day_of
from projector.projections.views import REGION, TENANT, Column, fenced, view
from projector.tables import Tables

# Which players, and not how many: players of one day are in several batches, and a month's are not the sum of its days.
# Sessions have a row per partition, which lets projectors work side by side.
TABLES = """
create table player_days (
    tenant_id text not null,
    region text not null,
    day timestamptz not null,
    player_id text not null,
    first_at timestamptz not null,
    primary key (tenant_id, region, day, player_id)
);

create table session_days (
    tenant_id text not null,
    region text not null,
    day timestamptz not null,
    partition integer not null,
    real_sessions bigint not null,
    demo_sessions bigint not null,
    occurred_at timestamptz not null,
    primary key (tenant_id, region, day, partition)
) with (fillfactor = 50);
"""

AS_OF = Column("as_of", "When the ledger recorded the last event that changed the row (timestamptz, UTC).")
COUNTED = [
    Column("active_players", "Players who placed a bet in real mode that was not free."),
    Column("real_sessions", "Sessions in real mode that began."),
    Column("demo_sessions", "Demo sessions that began; they are in no other number."),
    AS_OF,
]


def _per(period: str) -> str:
    """The rest of the select: both tables, counted per day or month (in UTC)."""
    start = f"date_trunc('{period}', day, 'UTC')"
    return f"""
from (
    select tenant_id, region, ({start} at time zone 'UTC')::date as {period}, count(distinct player_id) as players,
        max(first_at) as as_of
    from {fenced("player_days")} group by 1, 2, 3
) as p full join (
    select tenant_id, region, ({start} at time zone 'UTC')::date as {period}, sum(real_sessions) as real_sessions,
        sum(demo_sessions) as demo_sessions, max(occurred_at) as as_of
    from {fenced("session_days")} group by 1, 2, 3
) as s using (tenant_id, region, {period})
"""  # noqa: S608  # our own constants


def _view(name: str, about: str, period: Column) -> str:
    expressions = {
        "active_players": "coalesce(players, 0)", "real_sessions": "coalesce(real_sessions, 0)",
        "demo_sessions": "coalesce(demo_sessions, 0)", "as_of": "greatest(p.as_of, s.as_of)",
    }  # fmt: skip
    counted = [one._replace(expression=expressions[one.name]) for one in COUNTED]
    return view(name, about, [TENANT, REGION, period, *counted], _per(period.name))


VIEWS = _view(
    "bi.active_players_by_day",
    "Players who bet, and sessions that began, per UTC day, tenant and region. Demo players are not counted.",
    Column("day", "UTC day (date)."),
) + _view(
    "bi.active_players_by_month",
    "The same per month: a player of many days counts once.",
    Column("month", "First day of the month in UTC (date)."),
)

PLAYERS = f"""
insert into player_days
select * from {incoming("tenant_id text, region text, day moment, player_id text, first_at moment")}
order by tenant_id, region, day, player_id
on conflict do nothing
"""  # noqa: S608  # our own constants

SESSIONS = f"""
insert into session_days as s
select * from {
    incoming('''
    tenant_id text, region text, day moment, partition integer, real_sessions bigint, demo_sessions bigint,
    occurred_at moment
''')
}
order by tenant_id, region, day, partition
on conflict (tenant_id, region, day, partition) do update set
    real_sessions = s.real_sessions + excluded.real_sessions,
    demo_sessions = s.demo_sessions + excluded.demo_sessions,
    occurred_at = greatest(s.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    # A player's events are in one stream, so their first one here is their earliest.
    players: dict[tuple[str, str, int, str], int] = {}
    sessions: dict[tuple[str, str, int, int], list[Any]] = {}
    for record, partition in events:
        event_type, payload, occurred_at = record["event_type"], record["payload"], record["occurred_at"]
        if event_type == "bet.authorized":
            if payload["mode"] != DEMO and payload["kind"] != FREE:
                day = day_of(occurred_at)
                players.setdefault((record["tenant_id"], record["region"], day, record["player_id"]), occurred_at)
        elif event_type == "session.started":
            key = record["tenant_id"], record["region"], day_of(occurred_at), partition
            row = sessions.setdefault(key, [*key, 0, 0, 0])
            row[5 if payload["mode"] == DEMO else 4] += 1
            row[6] = max(row[6], occurred_at)
    tables.write(PLAYERS, [(*player, first_at) for player, first_at in players.items()])
    tables.write(SESSIONS, sessions.values())


ACTIVE_PLAYERS = Projection("active_players", 2, TABLES, VIEWS, apply)
