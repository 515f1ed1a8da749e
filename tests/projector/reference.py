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
    "tenant_accounts": ("tenant_id", "currency", "account"),
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
        view: {tuple(row[key] for key in keys): _without_decimals(row) for row in _select(connection, view)}
        for view, keys in KEYS.items()
    }


def _select(connection: Connection[Any], view: str) -> list[dict[str, Any]]:
    cursor = connection.execute(f"select * from bi.{view}")
    names = [column.name for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _without_decimals(row: dict[str, Any]) -> dict[str, Any]:
    """Check that each amount in the currency is its minor units, exactly, and drop it."""
    for name in [name for name in row if name.endswith("_minor")]:
        amount, exponent = row.pop(name.removesuffix("_minor")), row["exponent"]
        if amount is not None:
            assert amount == Decimal(row[name]).scaleb(-(exponent or 0)), row
            assert -amount.as_tuple().exponent == (exponent or 0), row
    return row


def _as_of(row: dict[str, Any], record: dict[str, Any]) -> None:
    row |= {
        "stream_version": record["stream_version"],
        "occurred_at": moment(record["occurred_at"]),
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
    for account in ("cash", "bonus", "held", "receivable"):
        wallet.setdefault(f"{account}_minor", 0)
    _as_of(wallet, record)
    for posting in record["postings"]:
        if f"{posting['account']}_minor" in wallet:
            wallet[f"{posting['account']}_minor"] += posting["amount_minor"]
            continue
        account = views["tenant_accounts"][tenant_id, posting["currency"], posting["account"]]
        account |= {
            "tenant_id": tenant_id,
            "currency": posting["currency"],
            "account": posting["account"],
            "exponent": payload["exponent"],
        }
        account["balance_minor"] = account.get("balance_minor", 0) + posting["amount_minor"]
        account["occurred_at"] = max(account.get("occurred_at", EPOCH), moment(record["occurred_at"]))


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
    ]
) | {"stake_minor": 0, "stake_cash_minor": 0, "stake_bonus_minor": 0, "win_minor": 0}


def _bets(record: dict[str, Any], views: dict[str, Rows]) -> None:
    payload, now, trace_id = record["payload"], moment(record["occurred_at"]), record["trace_id"]
    if not record["event_type"].startswith("bet."):
        return
    bet = views["bets"][record["integration_id"], payload["bet_id"]]
    match record["event_type"]:
        case "bet.authorized" | "bet.tombstoned":
            assert not bet
            bet |= BET | {
                name: record[name] for name in ("integration_id", "tenant_id", "region", "player_id", "provider_id")
            }
            # A tombstone's currency is its session's, not a bet's.
            left_out = {"bet.authorized": {"capture"}, "bet.tombstoned": {"reason", "currency"}}[record["event_type"]]
            bet |= {name: value for name, value in payload.items() if name not in left_out}
    match record["event_type"]:
        case "bet.authorized":
            bet |= {"status": "open", "authorized_at": now, "authorize_trace_id": trace_id}
        case "bet.settled":
            bet |= {"status": "settled", "win_minor": payload["win_minor"], "settlement_id": payload["settlement_id"]}
            bet |= {"settled_at": now, "settle_trace_id": trace_id}
        case "bet.rolled_back" | "bet.tombstoned" as kind:
            bet |= {
                "status": "rolled_back" if kind == "bet.rolled_back" else "tombstoned",
                "win_minor": 0,
                "rolled_back_at": now,
            }
            bet |= {
                "rollback_id": payload["rollback_id"],
                "rollback_reason": payload["reason"],
                "rollback_trace_id": trace_id,
            }
    _as_of(bet, record)


def _totals(record: dict[str, Any], views: dict[str, Rows]) -> None:
    payload, now = record["payload"], moment(record["occurred_at"])
    if record["event_type"] not in ("bet.authorized", "bet.settled", "bet.rolled_back"):
        return
    key = (record["integration_id"], payload["round_id"], payload["currency"], payload["mode"])
    row = views["rounds"][key]
    if not row:
        row |= dict(zip(KEYS["rounds"], key, strict=True)) | {
            "first_at": now,
            "bets": 0,
            "open_bets": 0,
            "rolled_back_bets": 0,
        }
        row |= {"stake_minor": 0, "win_minor": 0, "rolled_back_stake_minor": 0, "last": (EPOCH, "")}
        row |= {name: record[name] for name in ("tenant_id", "region", "provider_id")} | {
            name: payload[name] for name in ("game_id", "exponent")
        }
    session = views["sessions"][(views["bets"][record["integration_id"], payload["bet_id"]]["session_id"],)]
    session["exponent"] = payload["exponent"]
    _as_of(session, record)
    for totals in (row, session):
        match record["event_type"]:
            case "bet.authorized":
                totals["bets"] += 1
                totals["open_bets"] += 1
                totals["stake_minor"] += payload["stake_minor"]
            case "bet.settled":
                totals["open_bets"] -= 1
                totals["win_minor"] += payload["win_minor"]
            case "bet.rolled_back":
                totals["open_bets"] -= payload["undoes"] is None
                totals["rolled_back_bets"] += 1
                totals["win_minor"] -= payload["win_reversed_minor"]
                totals["rolled_back_stake_minor"] += payload["stake_minor"]
    row["first_at"] = min(row["first_at"], now)
    if (now, record["event_id"]) > row["last"]:
        row |= {"last": (now, record["event_id"]), "last_at": now}
        _as_of(row, record)


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
        session |= {
            "bets": 0,
            "open_bets": 0,
            "rolled_back_bets": 0,
            "stake_minor": 0,
            "win_minor": 0,
            "rolled_back_stake_minor": 0,
            "exponent": None,
        }
        _as_of(session, record)
    elif record["event_type"] == "session.ended":
        session = views["sessions"][(payload["session_id"],)]
        session |= {"ended_at": moment(record["occurred_at"]), "end_reason": payload["reason"]}
        _as_of(session, record)
