"""The answers: HTTP 200 with a `status`, and with the balance where it is about money. A passing trouble of
ours is HTTP 5xx: the contract has no word for "repeat".
"""

from gateway.dialect.amounts import decimal
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from ledger.outcome import Balances

STATUSES = {
    "SIGNATURE_MISSING": "auth_failed",
    "SIGNATURE_INVALID": "auth_failed",
    "SIGNATURE_EXPIRED": "auth_failed",
    "CALLER_NOT_ALLOWED": "auth_failed",
    "INTEGRATION_DISABLED": "site_disabled",
    "INSUFFICIENT_FUNDS": "not_enough_money",
    "PLAYER_RESTRICTED": "player_locked",
    "LIMIT_REACHED": "spending_limit",
    "LIMIT_RATE_MISSING": "spending_limit",
    "WALLET_NOT_FOUND": "player_not_found",
    "REGION_MISMATCH": "player_not_found",
    "SESSION_NOT_FOUND": "session_expired",
    "SESSION_ENDED": "session_expired",
    "SESSION_EXPIRED": "session_expired",
    "BET_NOT_FOUND": "transaction_not_found",
    "BET_ROLLED_BACK": "transaction_not_found",
    "GAME_NOT_FOUND": "game_disabled",
    "GAME_DISABLED": "game_disabled",
    "JURISDICTION_NOT_ALLOWED": "game_disabled",
    "AMOUNT_TOO_LARGE": "spending_limit",
}
"""Whatever is not listed is `unknown`, the contract's word for all else."""

TEMPORARY = {
    "OVERLOADED": 503,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 503,
    "RATE_LIMITED": 503,
    "BODY_TIMEOUT": 503,
    "BALANCE_TOO_LARGE": 503,
    "INTERNAL": 500,
}


def answer_ok(call: Call, balances: Balances, *, repeated: bool = False) -> Reply:
    content = {
        "status": "ok",
        "balance": decimal(balances.available_minor, balances.exponent),
        "currency": call.provider_currency(balances.currency),
    }
    return Reply(200, dump(content), "repeated" if repeated else "accepted")


def refuse(_: Call, rejected: Rejected) -> Reply:
    status = STATUSES.get(rejected.code, "unknown")
    return Reply(TEMPORARY.get(rejected.code, 200), dump({"status": status}), rejected.code)
