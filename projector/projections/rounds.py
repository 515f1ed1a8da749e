"""Rounds: what was staked, won and rolled back in each round."""

from collections.abc import Sequence
from typing import Any

from projector.projection import Admitted, Projection, Rows, incoming, write
from projector.projections import totals
from projector.projections.totals import Played, played

# A table game's round has many players, so bets of several currencies and modes. They are never added up: each has a
# row of its own. Players are in different partitions, so "last" is by time and event id, not by arrival: a second fold
# gives the same row.
DDL = f"""
create table projections.rounds (
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

create view bi.rounds as
select integration_id, round_id, currency, mode, tenant_id, region, provider_id, game_id, exponent,
    bets, open_bets, rolled_back_bets,
    stake_minor, projections.amount(stake_minor, exponent) as stake,
    free_stake_minor, projections.amount(free_stake_minor, exponent) as free_stake,
    win_minor, projections.amount(win_minor, exponent) as win,
    reversed_win_minor, projections.amount(reversed_win_minor, exponent) as reversed_win,
    award_minor, projections.amount(award_minor, exponent) as award,
    rolled_back_stake_minor, projections.amount(rolled_back_stake_minor, exponent) as rolled_back_stake,
    first_at, occurred_at as last_at, stream_version, occurred_at, trace_id
from projections.rounds;
comment on view bi.rounds is
    'Bets of a round, a row per currency and mode (one player: one row). Sums of money: only where mode = ''real''.';
comment on column bi.rounds.round_id is 'The provider''s id of the round, unique within the integration.';
comment on column bi.rounds.mode is 'real or demo; demo moves no money.';
comment on column bi.rounds.game_id is 'Game of the round; null where nobody named it.';
comment on column bi.rounds.exponent is
    'Decimals of the currency in this tenant: an amount is minor units / 10^exponent.';
comment on column bi.rounds.bets is 'Bets that began, rolled back or not.';
comment on column bi.rounds.open_bets is 'Bets without an end.';
comment on column bi.rounds.rolled_back_bets is 'Bets that were rolled back.';
comment on column bi.rounds.stake_minor is
    'What was paid for all bets, minor units, also for those rolled back; in demo mode, what was staked.';
comment on column bi.rounds.stake is 'The same, in the currency.';
comment on column bi.rounds.free_stake_minor is 'What free bets are worth, minor units; nobody paid it.';
comment on column bi.rounds.free_stake is 'What free bets are worth, in the currency.';
comment on column bi.rounds.win_minor is 'Wins, minor units, less those taken back.';
comment on column bi.rounds.win is 'Wins, in the currency, less those taken back.';
comment on column bi.rounds.reversed_win_minor is 'Wins that were taken back, minor units.';
comment on column bi.rounds.reversed_win is 'Wins that were taken back, in the currency.';
comment on column bi.rounds.award_minor is
    'Promotions, jackpots and payouts that named the round, minor units, less those taken back.';
comment on column bi.rounds.award is 'The same, in the currency.';
comment on column bi.rounds.rolled_back_stake_minor is
    'Stakes that went back to the player, minor units. The house''s result: stake - rolled_back_stake - win.';
comment on column bi.rounds.rolled_back_stake is 'Stakes that went back to the player, in the currency.';
comment on column bi.rounds.first_at is 'When the ledger recorded the first event of the round.';
comment on column bi.rounds.last_at is 'When the ledger recorded the last event of the round so far.';
comment on column bi.rounds.stream_version is 'Version of that event in its player''s stream.';
comment on column bi.rounds.occurred_at is 'The same as last_at.';
comment on column bi.rounds.trace_id is 'Trace of the callback that caused it.';
"""  # noqa: S608  # our own constants

COLUMNS = f"""
    integration_id text, round_id text, currency text, mode text, tenant_id text, region text, provider_id text,
    game_id text, exponent smallint, {totals.COLUMNS}, first_at moment,
    occurred_at moment, event_id uuid, stream_version bigint, trace_id text
"""

MERGE = f"""
insert into projections.rounds as r
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
SUMS = slice(9, 9 + len(totals.Totals._fields))
"""Where a row has its totals; after them come first_at and what is known of the last event."""


def apply(events: Sequence[Admitted], cursor: Rows) -> None:
    rounds: dict[Key, list[Any]] = {}
    for record, _ in events:
        for part in played(record):
            if part.round_id is not None:
                _add(record, part, part.round_id, rounds)
    write(cursor, MERGE, rounds.values())


def _add(record: dict[str, Any], part: Played, round_id: str, rounds: dict[Key, list[Any]]) -> None:
    payload, occurred_at = record["payload"], record["occurred_at"]
    last = [occurred_at, record["event_id"], record["stream_version"], record["trace_id"]]
    key = record["integration_id"], round_id, payload["currency"], part.mode
    row = rounds.get(key)
    if row is None:
        rounds[key] = [
            *key, record["tenant_id"], record["region"], record["provider_id"], part.game_id, payload["exponent"],
            *part.totals, occurred_at, *last,
        ]  # fmt: skip
        return
    row[7] = min(filter(None, (row[7], part.game_id)), default=None)
    row[SUMS] = totals.plus(row[SUMS], part.totals)
    first, *known = row[SUMS.stop :]
    row[SUMS.stop :] = min(first, occurred_at), *(last if last[:2] > known[:2] else known)


ROUNDS = Projection("rounds", 2, DDL, apply)
