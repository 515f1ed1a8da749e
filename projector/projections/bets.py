"""Bets: one row per bet or tombstone, with the time, id and trace of each step."""

from collections.abc import Callable, Sequence
from typing import Any

from ledger.core.state import OPEN, ROLLED_BACK, SETTLED, TOMBSTONED
from projector.projection import Admitted, Projection, Rows, incoming, write

DDL = """
create table projections.bets (
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

create view bi.bets as
select integration_id, bet_id, tenant_id, region, player_id, provider_id, status, final, mode, kind, round_id,
    session_id, game_id, currency, exponent,
    stake_minor, projections.amount(stake_minor, exponent) as stake,
    stake_cash_minor, projections.amount(stake_cash_minor, exponent) as stake_cash,
    stake_bonus_minor, projections.amount(stake_bonus_minor, exponent) as stake_bonus,
    asked_currency, asked_exponent,
    asked_stake_minor, projections.amount(asked_stake_minor, asked_exponent) as asked_stake,
    win_minor, projections.amount(win_minor, exponent) as win,
    hold_id, settlement_id, rollback_id, rollback_reason, authorized_at, settled_at, rolled_back_at,
    authorize_trace_id, settle_trace_id, rollback_trace_id, stream_version, occurred_at, trace_id
from projections.bets;
comment on view bi.bets is
    'One row per bet, or per tombstone of a bet that will never begin. Sums of money: only where mode = ''real''.';
comment on column bi.bets.bet_id is 'The provider''s id of the bet, unique within the integration.';
comment on column bi.bets.status is 'open, settled, rolled_back, or tombstoned: its rollback came first.';
comment on column bi.bets.mode is 'real or demo; demo moves no money. Null for a tombstone.';
comment on column bi.bets.exponent is
    'Decimals of the currency in this tenant: an amount is minor units / 10^exponent.';
comment on column bi.bets.kind is
    'bet, tip, bonus_buy, buy_in or correction; free moved no money. Null for a tombstone.';
comment on column bi.bets.final is 'Nothing about it changes any more.';
comment on column bi.bets.asked_currency is 'Currency that it was staked in, where that is not the wallet''s.';
comment on column bi.bets.asked_exponent is 'Decimals of that currency.';
comment on column bi.bets.asked_stake_minor is 'Stake in that currency, minor units.';
comment on column bi.bets.asked_stake is 'Stake in that currency.';
comment on column bi.bets.stake_minor is
    'Stake, minor units: cash and bonus part together; of a free bet, what it is worth.';
comment on column bi.bets.stake is 'Stake, in the currency.';
comment on column bi.bets.stake_cash_minor is 'Part of the stake that came from cash, minor units; 0 in demo mode.';
comment on column bi.bets.stake_cash is 'Part of the stake that came from cash, in the currency.';
comment on column bi.bets.stake_bonus_minor is
    'Part of the stake that came from bonus money, minor units; 0 in demo mode.';
comment on column bi.bets.stake_bonus is 'Part of the stake that came from bonus money, in the currency.';
comment on column bi.bets.win_minor is
    'What the player has now of the wins that name the bet, minor units.';
comment on column bi.bets.win is 'Win that the player has now, in the currency.';
comment on column bi.bets.hold_id is 'Our id of the reserved stake.';
comment on column bi.bets.settlement_id is 'Our id of the last settlement, also of one that was undone.';
comment on column bi.bets.rollback_id is 'Our id of the rollback or tombstone.';
comment on column bi.bets.rollback_reason is 'Why, as the provider says.';
comment on column bi.bets.authorized_at is 'When the ledger recorded the bet.';
comment on column bi.bets.settled_at is 'When the ledger recorded its last settlement.';
comment on column bi.bets.rolled_back_at is 'When the ledger recorded its rollback or tombstone.';
comment on column bi.bets.authorize_trace_id is 'Trace of the callback that began it.';
comment on column bi.bets.settle_trace_id is 'Trace of the callback that settled it.';
comment on column bi.bets.rollback_trace_id is 'Trace of the callback that rolled it back.';
comment on column bi.bets.stream_version is 'Version in the stream of the bet''s last event.';
comment on column bi.bets.occurred_at is 'When the ledger recorded that event.';
comment on column bi.bets.trace_id is 'Trace of the callback that caused it.';
"""

BEGUN_COLUMNS = """
    integration_id text, bet_id text, tenant_id text, region text, player_id text, provider_id text, mode text,
    round_id text, session_id text, game_id text, currency text, exponent smallint, stake_minor bigint,
    stake_cash_minor bigint, stake_bonus_minor bigint, hold_id text, authorized_at moment, authorize_trace_id text,
    kind text, asked_currency text, asked_exponent smallint, asked_stake_minor bigint
"""
STEP_COLUMNS = """
    status text, win_minor bigint, settlement_id text, rollback_id text, rollback_reason text, settled_at moment,
    rolled_back_at moment, settle_trace_id text, rollback_trace_id text, final boolean,
    stream_version bigint, occurred_at moment, trace_id text
"""

BEGUN = f"""
insert into projections.bets
select * from {incoming(f"{BEGUN_COLUMNS}, {STEP_COLUMNS}")}
"""  # noqa: S608  # our own constants

CHANGED = f"""
update projections.bets b set
    status = coalesce(e.status, b.status),
    win_minor = b.win_minor + e.win_minor,
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
NO_STEP = (None, 0, None, None, None, None, None, None, None, False)
"""The step columns before the last three, where nothing is known of them."""


def apply(events: Sequence[Admitted], cursor: Rows) -> None:
    begun: dict[Key, Row] = {}
    steps: dict[Key, Row] = {}
    for record, _ in events:
        fold = FOLDS.get(record["event_type"])
        if fold:
            fold(record, begun, steps)
    write(cursor, BEGUN, [begin + steps.pop(key) for key, begin in begun.items()])
    changed = write(cursor, CHANGED, [[*key, *step] for key, step in steps.items()])
    assert changed == len(steps), (
        f"{len(steps) - changed} bets of {list(steps)[:3]} … changed that never began: the log is wrong"
    )


def _authorized(record: dict[str, Any], begun: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    asked = payload["conversion"]
    begun[record["integration_id"], payload["bet_id"]] = [
        record["integration_id"], payload["bet_id"], record["tenant_id"], record["region"], record["player_id"],
        record["provider_id"], payload["mode"], payload["round_id"], payload["session_id"], payload["game_id"],
        payload["currency"], payload["exponent"], payload["stake_minor"], payload["stake_cash_minor"],
        payload["stake_bonus_minor"], payload["hold_id"], record["occurred_at"], record["trace_id"], payload["kind"],
        *((asked["currency"], asked["exponent"], asked["amount_minor"]) if asked else (None, None, None)),
    ]  # fmt: skip
    _step(record, steps)[0] = OPEN


def _settled(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    if payload["bet_id"] is None:
        return
    step = _step(record, steps)
    if payload["was_open"] and payload["ends_bet"]:
        step[0] = SETTLED
    step[1] += payload["win_minor"]
    step[2], step[5], step[7] = payload["settlement_id"], record["occurred_at"], record["trace_id"]


def _rolled_back(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    _undo(record, steps, ROLLED_BACK)[1] -= record["payload"]["win_reversed_minor"]


def _tombstoned(record: dict[str, Any], begun: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    begun[record["integration_id"], payload["bet_id"]] = [
        record["integration_id"], payload["bet_id"], record["tenant_id"], record["region"], record["player_id"],
        record["provider_id"], None, payload["round_id"], None, None, None, None, 0, 0, 0, *[None] * 7,
    ]  # fmt: skip
    _undo(record, steps, TOMBSTONED)


def _undo(record: dict[str, Any], steps: dict[Key, Row], status: str) -> Row:
    payload, step = record["payload"], _step(record, steps)
    step[0] = status
    step[3:5] = payload["rollback_id"], payload["reason"]
    step[6], step[8] = record["occurred_at"], record["trace_id"]
    return step


def _win_reversed(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    payload = record["payload"]
    if payload["bet_id"] is None:
        return
    step = _step(record, steps)
    step[1] -= payload["amount_minor"]
    if payload["reopens_bet"]:
        step[0] = OPEN


def _reinstated(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    _step(record, steps)[0] = OPEN


def _finalized(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    _step(record, steps)[9] = True


def _round_finished(record: dict[str, Any], _: dict[Key, Row], steps: dict[Key, Row]) -> None:
    for bet in record["payload"]["bets"]:
        _step(record, steps, bet["bet_id"])[0] = SETTLED


def _step(record: dict[str, Any], steps: dict[Key, Row], bet_id: str | None = None) -> Row:
    """What the batch knows so far of the steps after the beginning."""
    key = record["integration_id"], bet_id or record["payload"]["bet_id"]
    step = steps.get(key)
    if step is None:
        step = steps[key] = [*NO_STEP, 0, 0, ""]
    step[10:] = record["stream_version"], record["occurred_at"], record["trace_id"]
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

BETS = Projection("bets", 2, DDL, apply)
