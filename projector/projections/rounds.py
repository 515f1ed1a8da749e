"""Rounds: one row per round, with what was staked, won and rolled back in it."""

from collections.abc import Sequence
from typing import Any

from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections import totals
from projector.projections.totals import Played, played
from projector.projections.views import (
    AS_OF,
    AS_OF_VERSION,
    CURRENCY,
    EXPONENT,
    GAME,
    INTEGRATION,
    MODE,
    PROVIDER,
    REGION,
    TENANT,
    TRACE,
    Column,
    amount,
    fenced,
    view,
)
from projector.tables import Tables

# A table game's round has many players, so bets of several currencies and modes. They are never added up: each has a
# row of its own. Players are in different partitions, so "last" is by time and event id, not by arrival: a second fold
# gives the same row.
TABLES = f"""
create table rounds (
    integration_id text not null,
    round_id text not null,
    currency text not null,
    mode text not null,
    tenant_id text not null,
    region text not null,
    provider_id text,
    game_id text,
    exponent smallint not null,
    {totals.DDL},
    first_at timestamptz not null,
    occurred_at timestamptz not null,
    event_id uuid not null,
    stream_version bigint not null,
    trace_id text not null,
    primary key (integration_id, round_id, currency, mode)
) with (fillfactor = 80);
{lookups.indexes("rounds", "first_at")}
"""

VIEWS = view(
    "bi.rounds",
    "Bets of a round, a row per currency and mode (one player: one row). Sums of money: only where mode = 'real'.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER,
        Column("round_id", "The provider's id of the round, unique within the integration."),
        GAME, MODE, CURRENCY, EXPONENT,
        *totals.view_columns(),
        *amount("award", "Promotions, jackpots and payouts that named the round, less those taken back."),
        Column("first_at", "When the ledger recorded the first event of the round (timestamptz, UTC)."),
        Column("last_at", "When the ledger recorded the last event of the round (timestamptz, UTC).", "occurred_at"),
        AS_OF_VERSION._replace(meaning="Version of that event in its player's stream."), AS_OF, TRACE,
    ],
    f"from {fenced('rounds')}",
)  # fmt: skip

COLUMNS = f"""
    integration_id text, round_id text, currency text, mode text, tenant_id text, region text, provider_id text,
    game_id text, exponent smallint, {totals.COLUMNS}, first_at moment,
    occurred_at moment, event_id uuid, stream_version bigint, trace_id text
"""

MERGE = f"""
insert into rounds as r
select * from {incoming(COLUMNS)}
order by integration_id, round_id, currency, mode
on conflict (integration_id, round_id, currency, mode) do update set
    game_id = least(r.game_id, excluded.game_id),
    {totals.added("r", "excluded")},
    first_at = least(r.first_at, excluded.first_at),
    (occurred_at, event_id, stream_version, trace_id) = (
        select last.* from (values
            (r.occurred_at, r.event_id, r.stream_version, r.trace_id),
            (excluded.occurred_at, excluded.event_id, excluded.stream_version, excluded.trace_id)
        ) as last order by 1 desc, 2 desc limit 1)
"""  # noqa: S608  # our own constants


Key = tuple[str, str, str, str]
FIRST = 9
"""The place in a row where the totals begin; after them come first_at and what is known of the last event."""
KNOWN = slice(FIRST + len(totals.Totals._fields), None)


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    rounds: dict[Key, list[Any]] = {}
    for record, _ in events:
        for part in played(record):
            if part.round_id is not None:
                _add(record, part, part.round_id, rounds)
    tables.write(MERGE, rounds.values())


def _add(record: dict[str, Any], part: Played, round_id: str, rounds: dict[Key, list[Any]]) -> None:
    payload, occurred_at = record["payload"], record["occurred_at"]
    last = [occurred_at, record["event_id"], record["stream_version"], record["trace_id"]]
    key = record["integration_id"], round_id, payload["currency"], part.mode
    row = rounds.get(key)
    if row is None:
        row = rounds[key] = [
            *key, record["tenant_id"], record["region"], record["provider_id"], part.game_id, payload["exponent"],
            *totals.Totals(), occurred_at, *last,
        ]  # fmt: skip
    else:
        row[7] = min(filter(None, (row[7], part.game_id)), default=None)
        first, *known = row[KNOWN]
        row[KNOWN] = min(first, occurred_at), *(last if last[:2] > known[:2] else known)
    totals.add(row, FIRST, part.change)


ROUNDS = Projection("rounds", 5, TABLES, VIEWS, apply)
