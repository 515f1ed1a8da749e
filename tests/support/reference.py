"""The read models once more, written for clearness and not for speed: one event after the other, plain dicts, no batches, no SQL."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg import Connection

Rows = dict[tuple[Any, ...], dict[str, Any]]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEYS = {
    "balances": ("tenant_id", "player_id", "currency"),
    "tenant_accounts": ("tenant_id", "region", "currency", "account"),
    "bets": ("integration_id", "bet_id"),
    "rounds": ("integration_id", "round_id", "currency", "mode"),
    "sessions": ("session_id",),
}


def fold(records: Iterable[dict[str, Any]]) -> dict[str, Rows]:
    """What each view must hold, in minor units, after these events in any order that keeps each stream's."""
    views: dict[str, Rows] = {view: defaultdict(dict) for view in KEYS}
    for record in records:
        _balances(record, views)
        _bets(record, views)
        _totals(record, views)
        _sessions(record, views)
    return {view: dict(rows) for view, rows in views.items()}


def stored(connection: Connection[Any]) -> dict[str, Rows]:
    """What each view holds, in minor units."""
    return {
        view: {tuple(row[key] for key in keys): row for row in selected(connection, view)}
        for view, keys in KEYS.items()
    }


def selected(connection: Connection[Any], view: str) -> list[dict[str, Any]]:
    """The rows of a view, in minor units."""
    cursor = connection.execute(f"select * from bi.{view}")
    names = [column.name for column in cursor.description or []]
    return [_without_decimals(dict(zip(names, row, strict=True))) for row in cursor]


def _without_decimals(row: dict[str, Any]) -> dict[str, Any]:
    """Check that each amount in the currency is its minor units, exactly, and drop it."""
    for name in [name for name in row if name.endswith("_minor")]:
        amount = row.pop(name.removesuffix("_minor"))
        exponent = row["asked_exponent"] if name.startswith("asked") else row["exponent"]
        if amount is not None:
            assert amount == Decimal(row[name]).scaleb(-(exponent or 0)), row
            assert -amount.as_tuple().exponent == (exponent or 0), row
    return row


def _as_of(row: dict[str, Any], record: dict[str, Any]) -> None:
    row |= {
        "as_of_version": record["stream_version"],
        "as_of": moment(record["occurred_at"]),
        "trace_id": record["trace_id"],
    }


def moment(time_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_us)


def _balances(record: dict[str, Any], views: dict[str, Rows]) -> None:
    payload, tenant_id = record["payload"], record["tenant_id"]
    if not record["postings"] and record["event_type"] != "wallet.opened":
        return
    key = (tenant_id, record["player_id"], payload["currency"])
    wallet = views["balances"][key]
    for name, value in zip(KEYS["balances"], key, strict=True):
        wallet[name] = value
    wallet |= {"region": record["region"], "exponent": payload["exponent"]}
    wallet.setdefault("opened_at", moment(record["occurred_at"]))
    for account in ("cash", "bonus", "held", "receivable"):
        wallet.setdefault(f"{account}_minor", 0)
    _as_of(wallet, record)
    for posting in record["postings"]:
        if f"{posting['account']}_minor" in wallet:
            wallet[f"{posting['account']}_minor"] += posting["amount_minor"]
            continue
        account = views["tenant_accounts"][tenant_id, record["region"], posting["currency"], posting["account"]]
        account |= {
            "tenant_id": tenant_id,
            "region": record["region"],
            "currency": posting["currency"],
            "account": posting["account"],
            "exponent": _exponents(payload)[posting["currency"]],
        }
        account["balance_minor"] = account.get("balance_minor", 0) + posting["amount_minor"]
        account["as_of"] = max(account.get("as_of", EPOCH), moment(record["occurred_at"]))


def _exponents(payload: dict[str, Any]) -> dict[str, int]:
    asked = [part["conversion"] for part in (payload, *payload.get("bets", [])) if part.get("conversion")]
    return {payload["currency"]: payload["exponent"]} | {one["currency"]: one["exponent"] for one in asked}


BET = dict.fromkeys(
    [
        "mode",
        "session_id",
        "game_id",
        "currency",
        "exponent",
        "hold_id",
        "settlement_id",
        "rollback_id",
        "rollback_reason",
        "authorized_at",
        "settled_at",
        "rolled_back_at",
        "authorize_trace_id",
        "settle_trace_id",
        "rollback_trace_id",
        "kind",
        "asked_currency",
        "asked_exponent",
        "asked_stake_minor",
    ]
) | {"final": False, "stake_minor": 0, "stake_cash_minor": 0, "stake_bonus_minor": 0, "win_minor": 0, "held_minor": 0}


def _bets(record: dict[str, Any], views: dict[str, Rows]) -> None:
    payload = record["payload"]
    ended = [bet["bet_id"] for bet in payload["bets"]] if record["event_type"] == "round.finished" else []
    for bet_id in ended or [payload.get("bet_id")]:
        if bet_id is not None:
            bet = views["bets"][record["integration_id"], bet_id]
            _bet(record, bet)
            _as_of(bet, record)


def _bet(record: dict[str, Any], bet: dict[str, Any]) -> None:
    payload, now, trace_id = record["payload"], moment(record["occurred_at"]), record["trace_id"]
    match record["event_type"]:
        case "bet.authorized" | "bet.tombstoned":
            assert not bet
            bet |= BET | {
                name: record[name] for name in ("integration_id", "tenant_id", "region", "player_id", "provider_id")
            }
            # A tombstone's currency is its session's, not a bet's.
            left_out = {
                "bet.authorized": {"capture", "conversion", "session_expires_at"},
                "bet.tombstoned": {"reason", "currency"},
            }
            bet |= {name: value for name, value in payload.items() if name not in left_out[record["event_type"]]}
    match record["event_type"]:
        case "bet.authorized":
            bet |= {"status": "open", "authorized_at": now, "authorize_trace_id": trace_id}
            if payload["capture"] == "settlement":
                bet["held_minor"] = payload["stake_cash_minor"] + payload["stake_bonus_minor"]
            if asked := payload["conversion"]:
                bet |= {"asked_currency": asked["currency"], "asked_exponent": asked["exponent"]}
                bet["asked_stake_minor"] = asked["amount_minor"]
        case "bet.settled":
            if payload["was_open"] and payload["ends_bet"]:
                bet |= {"status": "settled", "held_minor": 0}
            bet["win_minor"] += payload["win_minor"]
            bet |= {"settlement_id": payload["settlement_id"], "settled_at": now, "settle_trace_id": trace_id}
        case "bet.rolled_back" | "bet.tombstoned" as kind:
            bet |= {"status": "rolled_back" if kind == "bet.rolled_back" else "tombstoned", "held_minor": 0}
            bet["win_minor"] -= payload.get("win_reversed_minor", 0)
            bet |= {"rolled_back_at": now, "rollback_id": payload["rollback_id"]}
            bet |= {"rollback_reason": payload["reason"], "rollback_trace_id": trace_id}
        case "wallet.debit.reversal":
            bet["win_minor"] -= payload["amount_minor"]
            if payload["reopens_bet"]:
                bet |= {"status": "open", "held_minor": payload["held_minor"]}
        case "bet.reinstated":
            bet |= {"status": "open", "held_minor": payload["held_minor"]}
        case "bet.finalized":
            bet["final"] = True
        case "round.finished":
            bet |= {"status": "settled", "held_minor": 0}


NOTHING = dict.fromkeys(
    [
        *("bets", "open_bets", "rolled_back_bets", "stake_minor", "free_stake_minor", "win_minor"),
        *("reversed_win_minor", "award_minor", "rolled_back_stake_minor"),
    ],
    0,
)


def _change(event_type: str, payload: dict[str, Any]) -> dict[str, int] | None:
    """What an event that is not the end of a round adds to its round and its session."""
    match event_type:
        case "bet.authorized":
            paid = payload["stake_cash_minor"] + payload["stake_bonus_minor"]
            staked = payload["stake_minor"] if payload["mode"] == "demo" and payload["kind"] != "free" else paid
            free = payload["stake_minor"] if payload["kind"] == "free" else 0
            return {"bets": 1, "open_bets": 1, "stake_minor": staked, "free_stake_minor": free}
        case "bet.settled":
            return {"open_bets": -(payload["was_open"] and payload["ends_bet"]), "win_minor": payload["win_minor"]}
        case "bet.rolled_back":
            taken, back = payload["win_reversed_minor"], payload["stake_minor"]
            change = {"open_bets": -payload["was_open"], "rolled_back_bets": 1, "rolled_back_stake_minor": back}
            return change | {"win_minor": -taken, "reversed_win_minor": taken}
        case "bet.reinstated":
            return {"open_bets": 1, "rolled_back_bets": -1, "rolled_back_stake_minor": -payload["stake_minor"]}
        case "wallet.debit.reversal":
            taken = payload["amount_minor"]
            if payload["kind"] in ("promo", "payout", "jackpot"):
                return {"award_minor": -taken}
            return {"open_bets": int(payload["reopens_bet"]), "win_minor": -taken, "reversed_win_minor": taken}
        case "wallet.credit.award":
            return {"award_minor": payload["amount_minor"]}
    return None


def _totals(record: dict[str, Any], views: dict[str, Rows]) -> None:
    payload = record["payload"]
    if record["event_type"] == "round.finished":
        for bet in payload["bets"]:
            _add(record, {**payload, **bet}, {"open_bets": -1}, views)
    elif (change := _change(record["event_type"], payload)) is not None:
        _add(record, {"mode": "real", "session_id": None} | payload, change, views)


def _add(record: dict[str, Any], place: dict[str, Any], change: dict[str, int], views: dict[str, Rows]) -> None:
    now = moment(record["occurred_at"])
    touched = []
    if place["session_id"] is not None:
        session = views["sessions"][(place["session_id"],)]
        session["exponent"] = place["exponent"]
        _as_of(session, record)
        touched.append(session)
    if place["round_id"] is not None:
        key = (record["integration_id"], place["round_id"], place["currency"], place["mode"])
        row = views["rounds"][key]
        if not row:
            row |= dict(zip(KEYS["rounds"], key, strict=True)) | {"first_at": now, "last": (EPOCH, "")} | NOTHING
            row |= {name: record[name] for name in ("tenant_id", "region", "provider_id")}
            row |= {name: place[name] for name in ("game_id", "exponent")}
        row["game_id"] = min((game for game in (row["game_id"], place["game_id"]) if game is not None), default=None)
        row["first_at"] = min(row["first_at"], now)
        if (now, record["event_id"]) > row["last"]:
            row |= {"last": (now, record["event_id"]), "last_at": now}
            _as_of(row, record)
        touched.append(row)
    for row in touched:
        for name, amount in change.items():
            row[name] += amount


def _sessions(record: dict[str, Any], views: dict[str, Rows]) -> None:
    payload = record["payload"]
    if record["event_type"] == "session.started":
        session = views["sessions"][(payload["session_id"],)]
        session |= {
            name: record[name] for name in ("integration_id", "tenant_id", "region", "player_id", "provider_id")
        } | payload
        session |= {
            "started_at": moment(record["occurred_at"]),
            "expires_at": moment(payload["expires_at"]),
            "ended_at": None,
            "end_reason": None,
        }
        session |= {name: 0 for name in NOTHING if name != "award_minor"} | {"exponent": None}
        _as_of(session, record)
    elif record["event_type"] == "bet.authorized" and payload["session_expires_at"]:
        views["sessions"][(payload["session_id"],)]["expires_at"] = moment(payload["session_expires_at"])
    elif record["event_type"] == "session.ended":
        session = views["sessions"][(payload["session_id"],)]
        session |= {"ended_at": moment(record["occurred_at"]), "end_reason": payload["reason"]}
        _as_of(session, record)
