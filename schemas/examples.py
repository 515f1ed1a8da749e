"""One story of one player, in which every event type happens: the examples of the documentation.

A player gets a bonus, plays two rounds, is told the time, runs into a limit, gets and loses an award, gives the bonus
back, takes money out, pauses, and comes back. The ids fit together, the stream is chained, and it folds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

from schemas.dual_write import chosen
from schemas.events import EVENTS, REFUSAL, VARIANTS, EventSchema

TENANT, REGION, PLAYER, PROVIDER = "brand-7", "EU", "p_demo_1", "studio"
INTEGRATION = f"{TENANT}/{REGION}/{PROVIDER}"
GAME, SESSION, BONUS, CAMPAIGN = "studio:slot_forge_02", "s_456", "bn_21", "welcome_2026"
FIRST, SECOND = "r_8c12", "r_8c13"
MONEY = {"currency": "EUR", "exponent": 2}
OF_ROUND = {"session_id": SESSION, "game_id": GAME, "mode": "real", "conversion": None}
OF_GAME = {"session_id": SESSION, "game_id": GAME, "mode": "real"}
ADJUSTMENT = MONEY | {"amount_minor": 250, "actor": "clerk-3", "approver": "chief-1", "round_id": None, "game_id": None}
BET_2 = MONEY | OF_ROUND | {"bet_id": "b_002", "round_id": SECOND}

START = datetime(2026, 1, 15, 16, 0, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000


def _us(minutes: float) -> int:
    return (START + timedelta(minutes=minutes) - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class _Fact:
    """An event of the story: when (minutes after its start), what, what it moves, and under which key."""

    minute: float
    event_type: str
    key: str
    payload: Mapping[str, Any]
    postings: Mapping[str, int]
    of_provider: bool = True


# fmt: off
_STORY = (
    _Fact(0, "wallet.opened", "signup_p_demo_1", MONEY, {}, of_provider=False),
    _Fact(1, "wallet.credit.deposit", "pay_1001",
          MONEY | {"amount_minor": 10_000, "reference": "pay_1001", "actor": "cashier"},
          {"cashier": -10_000, "cash": 10_000}, of_provider=False),
    _Fact(1.5, "bonus.issued", "welcome_p_demo_1",
          MONEY | {"bonus_id": BONUS, "campaign_id": CAMPAIGN, "kind": "deposit_match", "amount_minor": 5_000,
                   "deposit_reference": "pay_1001", "free_spins": None, "free_spin_minor": None, "game_ids": [],
                   "requirement_basis": "bonus", "requirement_minor": 150_000,
                   "contributions": [{"game_category": "slots", "percent": 100},
                                     {"game_category": "table", "percent": 10}],
                   "max_bet_minor": 500, "max_conversion_minor": 25_000, "expires_at": _us(14 * 24 * 60),
                   "reason": "first deposit", "actor": "campaign"},
          {"bonus_cost": -5_000, "bonus": 5_000}, of_provider=False),
    _Fact(20, "session.started", "launch_77",
          {"session_id": SESSION, "integration_id": INTEGRATION, "currency": "EUR", "mode": "real", "game_id": GAME,
           "locale": "de-DE", "expires_at": _us(140), "jurisdiction": "MT"}, {}),
    _Fact(21, "bet.authorized", "bet_r_8c12_1",
          MONEY | OF_ROUND | {"bet_id": "b_001", "hold_id": "h_zz1", "round_id": FIRST, "kind": "bet",
                              "stake_minor": 200, "stake_cash_minor": 200, "stake_bonus_minor": 0,
                              "capture": "settlement", "session_expires_at": None},
          {"cash": -200, "held": 200}),
    _Fact(21, "wager.progress.updated", "wager_bn_21_b_001",
          MONEY | {"bonus_id": BONUS, "campaign_id": CAMPAIGN, "bet_id": "b_001", "round_id": FIRST, "game_id": GAME,
                   "game_category": "slots", "stake_minor": 200, "contribution_percent": 100, "contributed_minor": 200,
                   "wagered_minor": 200, "requirement_minor": 150_000, "completed": False,
                   "expires_at": _us(14 * 24 * 60)}, {}),
    _Fact(21.1, "bet.settled", "settle_r_8c12_1",
          MONEY | OF_ROUND | {"settlement_id": "st_77", "win_id": "w_001", "bet_id": "b_001", "round_id": FIRST,
                              "kind": "win", "stake_minor": 200, "win_minor": 1_460, "was_open": True, "ends_bet": True,
                              "in_bonus": True, "freespins_left": 7},
          {"held": -200, "house": -1_260, "cash": 1_460}),
    _Fact(21.2, "bet.finalized", "final_b_001",
          {"bet_id": "b_001", "round_id": FIRST, "currency": "EUR"} | OF_GAME, {}),
    _Fact(30, "bet.authorized", "bet_r_8c13_1",
          BET_2 | {"hold_id": "h_zz2", "kind": "bet", "stake_minor": 100, "stake_cash_minor": 100,
                   "stake_bonus_minor": 0, "capture": "settlement", "session_expires_at": None},
          {"cash": -100, "held": 100}),
    _Fact(30.1, "bet.rolled_back", "cancel_r_8c13_1",
          BET_2 | {"rollback_id": "rb_12", "stake_minor": 100, "win_reversed_minor": 0, "undoes": [], "was_open": True,
                   "reason": "round cancelled by the studio"},
          {"held": -100, "cash": 100}),
    _Fact(30.5, "bet.reinstated", "uncancel_r_8c13_1",
          BET_2 | {"undoes": "rb_12", "stake_minor": 100, "held_minor": 100, "reason": "cancelled by mistake"},
          {"cash": -100, "held": 100}),
    _Fact(31, "round.finished", "end_r_8c13",
          MONEY | {"round_id": SECOND, "game_id": GAME,
                   "bets": [OF_ROUND | {"bet_id": "b_002", "held_minor": 100}]},
          {"held": -100, "house": 100}),
    _Fact(32, "bet.tombstoned", "cancel_r_8c14_1",
          {"rollback_id": "rb_13", "bet_id": "b_003", "round_id": "r_8c14", "currency": "EUR",
           "reason": "timeout at the studio"}, {}),
    _Fact(33, "rg.limit.hit", "bet_r_8c15_1",
          MONEY | {"limit_id": "lim_5", "kind": "stake", "period": "day", "scope": "player", "scope_id": None,
                   "set_by": "player", "period_from": _us(-16 * 60), "period_until": _us(8 * 60), "limit_minor": 1_000,
                   "used_minor": 300, "asked_minor": 800, "limit_s": None, "used_s": None, "action": "refused",
                   "operation": "api", "bet_id": "b_004", "session_id": SESSION, "game_id": GAME}, {}),
    _Fact(80, "rg.reality_check", "check_s_456_1",
          MONEY | {"reality_check_id": "rc_9", "session_id": SESSION, "game_id": GAME, "interval_s": 3_600,
                   "shown_at": _us(80) - 12 * _SECOND_US, "answered_at": _us(80), "answer": "ended", "played_s": 3_588,
                   "bets": 2, "stakes_minor": 300, "wins_minor": 1_460, "mode": "real"}, {}),
    _Fact(80.1, "session.ended", "logout_s_456",
          {"session_id": SESSION, "currency": "EUR", "mode": "real", "reason": "reality check"}, {}),
    _Fact(90, "wallet.credit.award", "promo_31",
          MONEY | {"settlement_id": "st_78", "win_id": "a_31", "kind": "promo", "campaign_id": CAMPAIGN,
                   "round_id": None, "game_id": None, "amount_minor": 500, "account": "bonus_cost"},
          {"bonus_cost": -500, "cash": 500}),
    _Fact(95, "wallet.debit.reversal", "promo_31_undo",
          MONEY | {"rollback_id": "rb_14", "win_id": "a_31", "settlement_id": "st_78", "bet_id": None, "round_id": None,
                   "session_id": None, "game_id": None, "kind": "promo", "amount_minor": 500, "account": "bonus_cost",
                   "reopens_bet": False, "held_minor": 0, "reason": "given twice", "mode": "real", "conversion": None},
          {"cash": -500, "bonus_cost": 500}),
    _Fact(100, "bonus.consumed", "forfeit_bn_21",
          MONEY | {"bonus_id": BONUS, "campaign_id": CAMPAIGN, "outcome": "forfeited", "ends_bonus": True,
                   "bet_id": None, "amount_minor": 5_000, "converted_minor": 0, "left_minor": 0,
                   "free_spins_used": None, "free_spins_left": None, "wagered_minor": 300, "requirement_minor": 150_000,
                   "reason": "withdrawal before the requirement", "actor": "rules"},
          {"bonus": -5_000, "bonus_cost": 5_000}, of_provider=False),
    _Fact(100.1, "wallet.debit.withdrawal", "out_2001",
          MONEY | {"amount_minor": 8_000, "reference": "out_2001", "actor": "cashier"},
          {"cash": -8_000, "cashier": 8_000}, of_provider=False),
    _Fact(110, "wallet.credit.adjustment", "ticket_41",
          ADJUSTMENT | {"adjustment_id": "adj_41", "reason": "goodwill", "reference": "ticket_41"},
          {"adjustment": -250, "cash": 250}, of_provider=False),
    _Fact(115, "wallet.debit.adjustment", "ticket_42",
          ADJUSTMENT | {"adjustment_id": "adj_42", "reason": "booked twice", "reference": "ticket_42"},
          {"cash": -250, "adjustment": 250}, of_provider=False),
    _Fact(120, "player.restricted", "pause_p_demo_1",
          {"restriction": "self_excluded", "reason": "the player asked for a pause", "actor": "clerk-3"}, {},
          of_provider=False),
    _Fact(60 * 24 * 31, "player.freed", "resume_p_demo_1",
          {"reason": "the pause is over", "actor": "clerk-3"}, {}, of_provider=False),
    _Fact(60 * 24 * 31 + 5, "rg.limit.set", "limit_p_demo_1",
          MONEY | {"limit_id": "loss/week/player", "kind": "loss", "period": "week", "set_by": "player",
                   "limit_minor": 10_000, "pending_minor": 25_000, "effective_at": _us(60 * 24 * 32 + 5),
                   "confirm_by": None, "calendar": "Europe/Malta@1", "status": "pending",
                   "reason": "the player asked for more", "actor": "clerk-3"}, {}, of_provider=False),
)
# fmt: on

_REFUSED = {
    "command_id": "019bc280-0f40-7000-8000-0000000000aa",
    "refused_at": _us(32.5),
    "tenant_id": TENANT,
    "region": REGION,
    "integration_id": INTEGRATION,
    "provider_id": PROVIDER,
    "player_id": PLAYER,
    "kind": "AuthorizeBet",
    "code": "INSUFFICIENT_FUNDS",
    "details": '{"asked":"500.00","available":"161.60","currency":"EUR"}',
    "operation": "api",
    "idempotency_key": "bet_r_8c15_0",
    "fingerprint": sha256(b"what bet_r_8c15_0 asked").digest(),
    "asked": '{"amount":"500.00","bet_id":"b_005","currency":"EUR","session_id":"s_456"}',
    "kid": "studio-2026-01",
    "trace_id": "8f14e45fceea167a5a36dedd4bea2543",
}


@cache
def story() -> tuple[dict[str, Any], ...]:
    """The example story: its events' records (envelopes), in stream order."""
    records, previous = [], bytes(32)
    for version, fact in enumerate(_STORY, 1):
        record = _envelope(fact, version, previous)
        previous = sha256(EVENTS[fact.event_type].encode(record)).digest()
        records.append(record)
    return tuple(records)


def example(event_type: str) -> dict[str, Any]:
    """The example record of an event type: the story's first one, or its other form; of `command.refused`, a bet too
    many.
    """
    if event_type == REFUSAL.event_type:
        return _REFUSED
    schema = VARIANTS.get(event_type) or EVENTS[event_type]
    if schema.form_of is None:
        return next(record for record in story() if record["event_type"] == event_type)
    return schema.decode(chosen(event_type)[schema.form_of].encode(example(schema.form_of)))


def readable(schema: EventSchema, record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as people read it, and as JSON can hold it: times in ISO 8601 (UTC), bytes in hex."""
    return {field["name"]: _readable(field["type"], record[field["name"]]) for field in schema.schema["fields"]}


def _envelope(fact: _Fact, version: int, previous: bytes) -> dict[str, Any]:
    occurred_at = _us(fact.minute) + version
    asked = sha256(f"what {fact.key} asked".encode())
    provider = fact.of_provider
    return {
        "event_type": fact.event_type,
        "schema_version": EVENTS[fact.event_type].schema_version,
        "event_id": _uuid7(occurred_at, version),
        "occurred_at": occurred_at,
        "tenant_id": TENANT,
        "region": REGION,
        "player_id": PLAYER,
        "trace_id": sha256(fact.key.encode()).hexdigest()[:32],
        "payload": fact.payload,
        "idempotency_key": fact.key,
        "stream_type": "player",
        "stream_id": PLAYER,
        "stream_version": version,
        "previous_hash": previous,
        "wallet_id": f"{TENANT}/{PLAYER}/EUR" if "currency" in fact.payload else None,
        "provider_id": PROVIDER if provider else None,
        "postings": [{"account": a, "amount_minor": n, "currency": "EUR"} for a, n in fact.postings.items()],
        "integration_id": INTEGRATION if provider else None,
        "provider_occurred_at": occurred_at - 40_000 if provider else None,
        "provider_transaction_id": f"tx_{9000 + version}" if provider else None,
        "operation": "api" if provider else "cashier",
        "command_fingerprint": asked.digest(),
    }


def _uuid7(time_us: int, number: int) -> str:
    digits = f"{time_us // 1000:012x}7{number:03x}8{number:015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _readable(avro: Any, value: Any) -> Any:
    if isinstance(avro, list):
        return None if value is None else _readable(next(part for part in avro if part != "null"), value)
    if isinstance(value, bytes):
        return value.hex()
    if not isinstance(avro, dict):
        return value
    if avro["type"] == "array":
        return [_readable(avro["items"], item) for item in value]
    if avro["type"] == "record":
        return {field["name"]: _readable(field["type"], value[field["name"]]) for field in avro["fields"]}
    if avro.get("logicalType") == "timestamp-micros":
        return (_EPOCH + timedelta(microseconds=value)).isoformat().replace("+00:00", "Z")
    return value
