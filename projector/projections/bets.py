"""Bets: one row per bet or tombstone, with the time, event id and trace of each step of it."""

from collections.abc import Callable, Sequence
from typing import Any

from ledger.core.policy import AT_SETTLEMENT
from ledger.core.state import OPEN, ROLLED_BACK, SETTLED, TOMBSTONED
from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections import open_holds
from projector.projections.views import (
    AS_OF,
    AS_OF_VERSION,
    CURRENCY,
    EXPONENT,
    GAME,
    INTEGRATION,
    PLAYER,
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

TABLES = f"""
create table bets (
    integration_id text not null,
    bet_id text not null,
    tenant_id text not null,
    region text not null,
    player_id text,
    provider_id text,
    mode text,
    round_id text,
    session_id text,
    game_id text,
    currency text,
    exponent smallint,
    stake_minor bigint not null,
    stake_cash_minor bigint not null,
    stake_bonus_minor bigint not null,
    hold_id text,
    authorized_at timestamptz,
    authorize_trace_id text,
    kind text,
    asked_currency text,
    asked_exponent smallint,
    asked_stake_minor bigint,
    status text not null,
    win_minor bigint not null,
    held_minor bigint not null,
    settlement_id text,
    rollback_id text,
    rollback_reason text,
    settled_at timestamptz,
    rolled_back_at timestamptz,
    settle_trace_id text,
    rollback_trace_id text,
    final boolean not null,
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null,
    primary key (integration_id, bet_id)
) with (fillfactor = 80);
{lookups.indexes("bets", "player_id", "authorized_at")}
create index bets_open on bets (tenant_id, authorized_at) where status = 'open';
"""

VIEWS = view(
    "bi.bets",
    "One row per bet, or per tombstone of a bet that will never begin. Sums of money: only where mode = 'real'.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER,
        Column("bet_id", "The provider's id of the bet, unique within the integration."),
        PLAYER,
        Column("status", "open, settled, rolled_back, or tombstoned: its rollback came first."),
        Column("final", "Nothing about it changes any more."),
        Column("mode", "real or demo; demo moves no money. Null for a tombstone."),
        Column("kind", "bet, tip, bonus_buy, buy_in or correction; free moved no money. Null for a tombstone."),
        Column("round_id", "The provider's id of the round; null where there is none."),
        Column("session_id", "Session in which the bet was placed; null where it named none."),
        GAME, CURRENCY, EXPONENT,
        *amount("stake", "Stake, cash and bonus part together; of a free bet, what it is worth."),
        *amount("stake_cash", "Part of the stake that came from cash; 0 in demo mode."),
        *amount("stake_bonus", "Part of the stake that came from bonus money; 0 in demo mode."),
        *amount("held", "What the bet holds of it now; 0 where the house has it already."),
        Column("asked_currency", "Currency that it was staked in, where that is not the wallet's."),
        Column("asked_exponent", "Decimals of that currency."),
        *amount("asked_stake", "Stake in that currency.", exponent="asked_exponent"),
        *amount("win", "What the player has now of the wins that name the bet."),
        Column("hold_id", "Our id of the reserved stake."),
        Column("settlement_id", "Our id of the last settlement, also of one that was undone."),
        Column("rollback_id", "Our id of the last rollback, or of the tombstone."),
        Column("rollback_reason", "Why, as the provider says."),
        Column("authorized_at", "When the ledger recorded the bet (timestamptz, UTC)."),
        Column("settled_at", "When the ledger recorded its last settlement (timestamptz, UTC)."),
        Column("rolled_back_at", "When the ledger recorded its last rollback, or tombstone (timestamptz, UTC)."),
        Column("authorize_trace_id", "Trace of the callback that began it."),
        Column("settle_trace_id", "Trace of the callback that settled it."),
        Column("rollback_trace_id", "Trace of the callback that rolled it back."),
        AS_OF_VERSION, AS_OF, TRACE,
    ],
    f"from {fenced('bets')}",
) + open_holds.VIEW  # fmt: skip

BEGUN_COLUMNS = """
    integration_id text, bet_id text, tenant_id text, region text, player_id text, provider_id text, mode text,
    round_id text, session_id text, game_id text, currency text, exponent smallint, stake_minor bigint,
    stake_cash_minor bigint, stake_bonus_minor bigint, hold_id text, authorized_at moment, authorize_trace_id text,
    kind text, asked_currency text, asked_exponent smallint, asked_stake_minor bigint
"""
STEP_COLUMNS = """
    status text, win_minor bigint, held_minor bigint, settlement_id text, rollback_id text, rollback_reason text,
    settled_at moment, rolled_back_at moment, settle_trace_id text, rollback_trace_id text, final boolean,
    stream_version bigint, occurred_at moment, trace_id text
"""

BEGUN = f"""
insert into bets
select * from {incoming(f"{BEGUN_COLUMNS}, {STEP_COLUMNS}")}
"""  # noqa: S608  # our own constants

CHANGED = f"""
update bets b set
    status = coalesce(e.status, b.status),
    win_minor = b.win_minor + e.win_minor,
    held_minor = coalesce(e.held_minor, b.held_minor),
    settlement_id = coalesce(e.settlement_id, b.settlement_id),
    rollback_id = coalesce(e.rollback_id, b.rollback_id),
    rollback_reason = coalesce(e.rollback_reason, b.rollback_reason),
    settled_at = coalesce(e.settled_at, b.settled_at),
    rolled_back_at = coalesce(e.rolled_back_at, b.rolled_back_at),
    settle_trace_id = coalesce(e.settle_trace_id, b.settle_trace_id),
    rollback_trace_id = coalesce(e.rollback_trace_id, b.rollback_trace_id),
    final = b.final or e.final,
    stream_version = e.stream_version,
    occurred_at = e.occurred_at,
    trace_id = e.trace_id
from {incoming(f"integration_id text, bet_id text, {STEP_COLUMNS}")}
where b.integration_id = e.integration_id and b.bet_id = e.bet_id
"""  # noqa: S608  # our own constants

Key = tuple[str, str]
Row = list[Any]
NO_STEP = (None, 0, None, None, None, None, None, None, None, None, False)
"""The step columns before the last three, where nothing is known of them."""
STATUS, WIN, HELD, SETTLEMENT, ROLLBACK, REASON, SETTLED_AT, UNDONE_AT, SETTLE_TRACE, UNDO_TRACE, FINAL = range(11)
AS_OF_EVENT = slice(11, None)


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    begun: dict[Key, Row] = {}
    steps: dict[Key, Row] = {}
    for record, _ in events:
        fold = FOLDS.get(record["event_type"])
        if fold:
            fold(record, begun, steps)
    tables.write(BEGUN, [begin + _complete(steps.pop(key)) for key, begin in begun.items()])
    tables.write(
        CHANGED,
        [[*key, *step] for key, step in steps.items()],
        lambda missed: AssertionError(
            f"{missed} bets of {list(steps)[:3]} … changed that never began: the log is wrong"
        ),
    )


def _complete(step: Row) -> Row:
    """A step that is a bet's first."""
    step[HELD] = step[HELD] or 0
    return step


def _authorized(record: dict[str, Any], begun: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    source = payload["conversion"]
    begun[record["integration_id"], payload["bet_id"]] = [
        record["integration_id"], payload["bet_id"], record["tenant_id"], record["region"], record["player_id"],
        record["provider_id"], payload["mode"], payload["round_id"], payload["session_id"], payload["game_id"],
        payload["currency"], payload["exponent"], payload["stake_minor"], payload["stake_cash_minor"],
        payload["stake_bonus_minor"], payload["hold_id"], record["occurred_at"], record["trace_id"], payload["kind"],
        *((source["currency"], source["exponent"], source["amount_minor"]) if source else (None, None, None)),
    ]  # fmt: skip
    step = _step(record, steps)
    step[STATUS] = OPEN
    if payload["capture"] == AT_SETTLEMENT:
        step[HELD] = payload["stake_cash_minor"] + payload["stake_bonus_minor"]


def _settled(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    if payload["bet_id"] is None:
        return
    step = _step(record, steps)
    if payload["was_open"] and payload["ends_bet"]:
        step[STATUS], step[HELD] = SETTLED, 0
    step[WIN] += payload["win_minor"]
    step[SETTLEMENT], step[SETTLED_AT] = payload["settlement_id"], record["occurred_at"]
    step[SETTLE_TRACE] = record["trace_id"]


def _rolled_back(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    _undo(record, steps, ROLLED_BACK)[WIN] -= record["payload"]["win_reversed_minor"]


def _tombstoned(record: dict[str, Any], begun: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    begun[record["integration_id"], payload["bet_id"]] = [
        record["integration_id"], payload["bet_id"], record["tenant_id"], record["region"], record["player_id"],
        record["provider_id"], None, payload["round_id"], None, None, None, None, 0, 0, 0, *[None] * 7,
    ]  # fmt: skip
    _undo(record, steps, TOMBSTONED)


def _undo(record: dict[str, Any], steps: dict[Key, Row], status: str) -> Row:
    payload, step = record["payload"], _step(record, steps)
    step[STATUS], step[HELD] = status, 0
    step[ROLLBACK], step[REASON] = payload["rollback_id"], payload["reason"]
    step[UNDONE_AT], step[UNDO_TRACE] = record["occurred_at"], record["trace_id"]
    return step


def _win_reversed(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    if payload["bet_id"] is None:
        return
    step = _step(record, steps)
    step[WIN] -= payload["amount_minor"]
    if payload["reopens_bet"]:
        step[STATUS], step[HELD] = OPEN, payload["held_minor"]


def _reinstated(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    step = _step(record, steps)
    step[STATUS], step[HELD] = OPEN, record["payload"]["held_minor"]


def _finalized(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    _step(record, steps)[FINAL] = True


def _round_finished(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    for bet in record["payload"]["bets"]:
        step = _step(record, steps, bet["bet_id"])
        step[STATUS], step[HELD] = SETTLED, 0


def _step(record: dict[str, Any], steps: dict[Key, Row], bet_id: str | None = None) -> Row:
    """What the batch knows so far of the steps after the beginning."""
    key = record["integration_id"], bet_id or record["payload"]["bet_id"]
    step = steps.get(key)
    if step is None:
        step = steps[key] = [*NO_STEP, 0, 0, ""]
    step[AS_OF_EVENT] = record["stream_version"], record["occurred_at"], record["trace_id"]
    return step


FOLDS: dict[str, Callable[[dict[str, Any], dict[Key, Row], dict[Key, Row]], None]] = {
    "bet.authorized": _authorized,
    "bet.settled": _settled,
    "bet.rolled_back": _rolled_back,
    "bet.tombstoned": _tombstoned,
    "wallet.debit.reversal": _win_reversed,
    "bet.reinstated": _reinstated,
    "bet.finalized": _finalized,
    "round.finished": _round_finished,
}

BETS = Projection("bets", 5, TABLES, VIEWS, apply)
