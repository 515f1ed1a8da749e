"""Sessions: when each began and ended, and what was played in it."""

from collections.abc import Sequence
from typing import Any

from projector.projection import Admitted, Projection, Rows, incoming, write
from projector.projections import totals
from projector.projections.totals import played

DDL = f"""
create table projections.sessions (
    session_id text primary key,
    integration_id text not null,
    tenant_id text not null,
    region text not null,
    player_id text not null,
    provider_id text,
    mode text not null,
    game_id text not null,
    locale text,
    jurisdiction text,
    currency text not null,
    started_at timestamptz not null,
    expires_at timestamptz not null,
    exponent smallint, -- null until the first bet
    ended_at timestamptz,
    end_reason text,
    {totals.DDL},
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null
) with (fillfactor = 70);

create view bi.sessions as
select session_id, integration_id, tenant_id, region, player_id, provider_id, mode, game_id, locale,
    jurisdiction, currency, exponent,
    started_at, expires_at, ended_at, end_reason, bets, open_bets, rolled_back_bets,
    stake_minor, projections.amount(stake_minor, coalesce(exponent, 0)) as stake,
    free_stake_minor, projections.amount(free_stake_minor, coalesce(exponent, 0)) as free_stake,
    win_minor, projections.amount(win_minor, coalesce(exponent, 0)) as win,
    reversed_win_minor, projections.amount(reversed_win_minor, coalesce(exponent, 0)) as reversed_win,
    rolled_back_stake_minor, projections.amount(rolled_back_stake_minor, coalesce(exponent, 0)) as rolled_back_stake,
    stream_version, occurred_at, trace_id
from projections.sessions;
comment on view bi.sessions is
    'One row per session, with what was played in it. Sums of money: only where mode = ''real''.';
comment on column bi.sessions.mode is 'real or demo; demo moves no money.';
comment on column bi.sessions.game_id is 'The operator''s id of the game.';
comment on column bi.sessions.locale is 'BCP 47 tag of the player''s language.';
comment on column bi.sessions.jurisdiction is
    'Where the player plays, as the launch said: ISO 3166 or the operator''s word.';
comment on column bi.sessions.exponent is 'Decimals of the currency in this tenant; null before the first bet.';
comment on column bi.sessions.started_at is 'When the ledger recorded its start.';
comment on column bi.sessions.expires_at is 'From then on it takes no bets; settlements and rollbacks pass.';
comment on column bi.sessions.ended_at is
    'When the ledger recorded its end; null for one that runs or has only expired.';
comment on column bi.sessions.end_reason is 'Why it ended.';
comment on column bi.sessions.bets is 'Bets that began, rolled back or not.';
comment on column bi.sessions.open_bets is 'Bets without an end.';
comment on column bi.sessions.rolled_back_bets is 'Bets that were rolled back.';
comment on column bi.sessions.stake_minor is
    'What was paid for all bets, minor units, also for those rolled back; in demo mode, what was staked.';
comment on column bi.sessions.stake is 'The same, in the currency.';
comment on column bi.sessions.free_stake_minor is 'What free bets are worth, minor units; nobody paid it.';
comment on column bi.sessions.free_stake is 'What free bets are worth, in the currency.';
comment on column bi.sessions.win_minor is 'Wins, minor units, less those taken back.';
comment on column bi.sessions.win is 'Wins, in the currency, less those taken back.';
comment on column bi.sessions.reversed_win_minor is 'Wins that were taken back, minor units.';
comment on column bi.sessions.reversed_win is 'Wins that were taken back, in the currency.';
comment on column bi.sessions.rolled_back_stake_minor is 'Stakes that went back to the player, minor units.';
comment on column bi.sessions.rolled_back_stake is 'Stakes that went back to the player, in the currency.';
comment on column bi.sessions.stream_version is 'Version in the player''s stream of the session''s last event.';
comment on column bi.sessions.occurred_at is 'When the ledger recorded that event.';
comment on column bi.sessions.trace_id is 'Trace of the callback that caused it.';
"""  # noqa: S608  # our own constants

STARTED_COLUMNS = """
    session_id text, integration_id text, tenant_id text, region text, player_id text, provider_id text, mode text,
    game_id text, locale text, jurisdiction text, currency text, started_at moment, expires_at moment
"""
STEP_COLUMNS = f"""
    exponent smallint, ended_at moment, end_reason text, {totals.COLUMNS},
    stream_version bigint, occurred_at moment, trace_id text
"""

STARTED = f"""
insert into projections.sessions
select * from {incoming(f"{STARTED_COLUMNS}, {STEP_COLUMNS}")}
"""  # noqa: S608  # our own constants

CHANGED = f"""
update projections.sessions s set
    exponent = coalesce(e.exponent, s.exponent),
    ended_at = coalesce(e.ended_at, s.ended_at),
    end_reason = coalesce(e.end_reason, s.end_reason),
    {totals.added("s", "e")},
    stream_version = e.stream_version,
    occurred_at = e.occurred_at,
    trace_id = e.trace_id
from {incoming(f"session_id text, {STEP_COLUMNS}")}
where s.session_id = e.session_id
"""  # noqa: S608  # our own constants

Row = list[Any]


SUMS = slice(3, 3 + len(totals.Totals._fields))
"""Where a step has its totals; after them comes what is known of the last event."""


def apply(events: Sequence[Admitted], cursor: Rows) -> None:
    started: dict[str, Row] = {}
    steps: dict[str, Row] = {}
    for record, _ in events:
        event_type, payload = record["event_type"], record["payload"]
        if event_type == "session.started":
            started[payload["session_id"]] = _start(record)
            _step(record, payload["session_id"], steps)
        elif event_type == "session.ended":
            _step(record, payload["session_id"], steps)[1:3] = record["occurred_at"], payload["reason"]
        for part in played(record):
            if part.session_id is not None:
                step = _step(record, part.session_id, steps)
                step[0] = payload["exponent"]
                step[SUMS] = totals.plus(step[SUMS], part.totals)
    write(cursor, STARTED, [start + steps.pop(session_id) for session_id, start in started.items()])
    changed = write(cursor, CHANGED, [[session_id, *step] for session_id, step in steps.items()])
    assert changed == len(steps), (
        f"{len(steps) - changed} sessions of {list(steps)[:3]} … were played in that never began: the log is wrong"
    )


def _start(record: dict[str, Any]) -> Row:
    payload = record["payload"]
    return [
        payload["session_id"], payload["integration_id"], record["tenant_id"], record["region"], record["player_id"],
        record["provider_id"], payload["mode"], payload["game_id"], payload["locale"],
        payload["jurisdiction"], payload["currency"], record["occurred_at"], payload["expires_at"],
    ]  # fmt: skip


def _step(record: dict[str, Any], session_id: str, steps: dict[str, Row]) -> Row:
    """What the batch changes in a session."""
    step = steps.get(session_id)
    if step is None:
        step = steps[session_id] = [None, None, None, *totals.Totals(), 0, 0, ""]
    step[SUMS.stop :] = record["stream_version"], record["occurred_at"], record["trace_id"]
    return step


SESSIONS = Projection("sessions", 3, DDL, apply)
