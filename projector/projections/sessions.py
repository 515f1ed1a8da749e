"""Sessions: when each began and ended, and what was played in it."""

from collections.abc import Sequence
from typing import Any

from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections import totals
from projector.projections.totals import played
from projector.projections.views import (
    AS_OF,
    AS_OF_VERSION,
    CURRENCY,
    EXPONENT,
    GAME,
    INTEGRATION,
    MODE,
    PLAYER,
    PROVIDER,
    REGION,
    TENANT,
    TRACE,
    Column,
    fenced,
    view,
)
from projector.tables import Tables

TABLES = f"""
create table sessions (
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
{lookups.indexes("sessions", "player_id", "session_id", "started_at")}
"""

VIEWS = view(
    "bi.sessions",
    "One row per session, with what was played in it. Sums of money: only where mode = 'real'.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER,
        Column("session_id", "Id of the session."),
        PLAYER, MODE, GAME._replace(meaning="The operator's id of the game."),
        Column("locale", "BCP 47 tag of the player's language."),
        Column("jurisdiction", "Where the player plays, as the launch said: ISO 3166 or the operator's word."),
        CURRENCY, EXPONENT._replace(meaning="Decimals of the currency in this tenant; null before the first bet."),
        Column("started_at", "When the ledger recorded its start (timestamptz, UTC)."),
        Column(
            "expires_at",
            "From then on it takes no bets, unless one that comes before moves it; settlements and rollbacks pass "
            "(timestamptz, UTC).",
        ),
        Column("ended_at", "When the ledger recorded its end; null for one that runs or has only expired."),
        Column("end_reason", "Why it ended."),
        *totals.view_columns(exponent="coalesce(exponent, 0)"),
        AS_OF_VERSION, AS_OF, TRACE,
    ],
    f"from {fenced('sessions')}",
)  # fmt: skip

STARTED_COLUMNS = """
    session_id text, integration_id text, tenant_id text, region text, player_id text, provider_id text, mode text,
    game_id text, locale text, jurisdiction text, currency text, started_at moment
"""
STEP_COLUMNS = f"""
    expires_at moment, exponent smallint, ended_at moment, end_reason text, {totals.COLUMNS},
    stream_version bigint, occurred_at moment, trace_id text
"""

STARTED = f"""
insert into sessions
select * from {incoming(f"{STARTED_COLUMNS}, {STEP_COLUMNS}")}
"""  # noqa: S608  # our own constants

CHANGED = f"""
update sessions s set
    expires_at = coalesce(e.expires_at, s.expires_at),
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


FIRST = 4
"""The place in a step where the totals begin; after them comes what is known of the last event."""
LAST_EVENT = slice(FIRST + len(totals.Totals._fields), None)


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    started: dict[str, Row] = {}
    steps: dict[str, Row] = {}
    for record, _ in events:
        event_type, payload = record["event_type"], record["payload"]
        if event_type == "session.started":
            started[payload["session_id"]] = _start(record)
            _step(record, payload["session_id"], steps)[0] = payload["expires_at"]
        elif event_type == "session.ended":
            _step(record, payload["session_id"], steps)[2:4] = record["occurred_at"], payload["reason"]
        elif event_type == "bet.authorized" and payload["session_expires_at"] is not None:
            _step(record, payload["session_id"], steps)[0] = payload["session_expires_at"]
        for part in played(record):
            if part.session_id is not None:
                step = _step(record, part.session_id, steps)
                step[1] = payload["exponent"]
                totals.add(step, FIRST, part.change)
    tables.write(STARTED, [start + steps.pop(session_id) for session_id, start in started.items()])
    tables.write(
        CHANGED,
        [[session_id, *step] for session_id, step in steps.items()],
        lambda missed: AssertionError(
            f"{missed} sessions of {list(steps)[:3]} … were played in that never began: the log is wrong"
        ),
    )


def _start(record: dict[str, Any]) -> Row:
    payload = record["payload"]
    return [
        payload["session_id"], payload["integration_id"], record["tenant_id"], record["region"], record["player_id"],
        record["provider_id"], payload["mode"], payload["game_id"], payload["locale"],
        payload["jurisdiction"], payload["currency"], record["occurred_at"],
    ]  # fmt: skip


def _step(record: dict[str, Any], session_id: str, steps: dict[str, Row]) -> Row:
    """The row of what the batch changes in a session."""
    step = steps.get(session_id)
    if step is None:
        step = steps[session_id] = [None, None, None, None, *totals.Totals(), 0, 0, ""]
    step[LAST_EVENT] = record["stream_version"], record["occurred_at"], record["trace_id"]
    return step


SESSIONS = Projection("sessions", 6, TABLES, VIEWS, apply)
