"""The answers: OK or ERROR in an envelope, hashed like the provider's own. Only a caller who has shown to know the
secret gets a hash of it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.dialect.amounts import decimal
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number, dump
from gateway.providers.operator_wallet.signature import HASH, digest, envelope_of, proven_secret
from ledger.outcome import Balances


def yes(call: Call, data: Mapping[str, Any]) -> Reply:
    return _answer(call, 200, "OK", data, "accepted")


def amount(balances: Balances) -> Number:
    """What a bet may stake, as a number with the decimals of its currency."""
    return Number(decimal(balances.available_minor, balances.exponent))


INVALID, FAILED, INTERNAL = ("OP_50", "Invalid request"), ("OP_49", "Operation failed"), ("OP_99", "Internal error")
TOKEN, CURRENCY, DUPLICATE = (
    ("OP_21", "Invalid token"),
    ("OP_30", "Invalid currency"),
    ("OP_40", "Duplicated transaction id"),
)
UNAUTHORIZED, BAD_HASH = ("OP_22", "Authorization failed"), ("OP_20", "Invalid hash")

ERRORS: dict[str, tuple[str, str]] = {
    "SIGNATURE_MISSING": UNAUTHORIZED,
    "SIGNATURE_INVALID": UNAUTHORIZED,
    "SIGNATURE_EXPIRED": BAD_HASH,
    "CALLER_NOT_ALLOWED": UNAUTHORIZED,
    "INTEGRATION_DISABLED": UNAUTHORIZED,
    "SESSION_NOT_FOUND": TOKEN,
    "SESSION_ENDED": TOKEN,
    "SESSION_EXPIRED": TOKEN,
    "CURRENCY_MISMATCH": CURRENCY,
    "CURRENCY_NOT_SUPPORTED": CURRENCY,
    "RATE_NOT_AVAILABLE": CURRENCY,
    "RATE_NOT_LOCKED": CURRENCY,
    "INSUFFICIENT_FUNDS": ("OP_31", "Insufficient funds"),
    "PLAYER_RESTRICTED": ("OP_33", "Player is blocked"),
    "LIMIT_REACHED": ("OP_33", "A limit of the player is reached"),
    "LIMIT_RATE_MISSING": CURRENCY,
    "WALLET_NOT_FOUND": ("OP_34", "Player not found"),
    "REGION_MISMATCH": ("OP_34", "Player not found"),
    "GAME_NOT_FOUND": ("OP_35", "Game is disabled"),
    "GAME_DISABLED": ("OP_35", "Game is disabled"),
    "IDEMPOTENCY_MISMATCH": DUPLICATE,
    "DUPLICATE": DUPLICATE,
    "BET_TOMBSTONED": DUPLICATE,
    "BET_NOT_FOUND": ("OP_41", "Transaction not found"),
    "BET_ROLLED_BACK": FAILED,
    "BET_ALREADY_SETTLED": FAILED,
    "BET_FINAL": FAILED,
    "WIN_NOT_REVERSIBLE": FAILED,
    "ROUND_FINISHED": FAILED,
}
"""Everything else that a caller can change is an invalid request."""

UNPROVEN = {"SIGNATURE_MISSING", "SIGNATURE_INVALID", "CALLER_NOT_ALLOWED", "INTEGRATION_DISABLED"}
UNREAD = {"MALFORMED_REQUEST", "FIELD_INVALID"}
"""What was not understood is not repeated."""

RETRY = {"OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT"}


def refuse(call: Call, rejected: Rejected) -> Reply:
    code = rejected.code
    if rejected.details.get("part") == HASH:
        return _no(call, 200, BAD_HASH, code)
    if code in RETRY or code == "INTERNAL":
        return _no(call, 503 if code in RETRY else 500, INTERNAL, code)
    return _no(call, 403 if code in UNPROVEN else 200, ERRORS.get(code, INVALID), code)


def _no(call: Call, status: int, error: tuple[str, str], outcome: str) -> Reply:
    return _answer(call, status, "ERROR", {"error_code": error[0], "error_message": error[1]}, outcome)


def _answer(call: Call, http_status: int, status: str, data: Mapping[str, Any], outcome: str) -> Reply:
    """The contract has the answer beside its request, its users also have it alone: whoever reads either finds it."""
    secret, envelope = proven_secret(call), call.option("envelope")
    at = datetime.fromtimestamp(call.received_at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    response = {
        "status": status,
        "response_timestamp": at,
        "hash": digest(secret, status + at) if secret else "",
        "data": data,
    }
    if envelope == "flat" or call.method == "GET":
        return Reply(http_status, dump(response), outcome)
    understood = secret is not None and outcome not in UNREAD
    beside = {"request": _request(call) if understood else {}, "response": response}
    return Reply(http_status, dump(beside if envelope == "wrapped" else response | beside), outcome)


def _request(call: Call) -> Mapping[str, Any]:
    """Empty where a refusal came before anybody looked whether it can be read."""
    try:
        return envelope_of(call)
    except Rejected:
        return {}
