"""The answers: the fields of the published tables; of a refusal our code, a text, and when."""

import hmac
from collections.abc import Mapping
from typing import Any

from gateway.dialect.amounts import decimal
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.fields import rfc3339
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number, dump
from ledger.outcome import Balances

TOKEN_LIFETIME_S = 900


def yes(call: Call, content: Mapping[str, Any]) -> Reply:
    return Reply(200, dump({**content, "status": "OK", "timestamp": rfc3339(call.received_at)}))


def number(amount_minor: int, exponent: int) -> Number:
    return Number(decimal(max(amount_minor, 0), exponent))


def balance(balances: Balances | None) -> Number:
    """What a bet may stake; exact."""
    return number(balances.available_minor, balances.exponent) if balances else Number("0")


def token(call: Call, purpose: str, session_id: str, device: str, expires_at: int) -> str:
    """Says to whoever knows the secret that this session may go on at this device, until then."""
    subject = f"{session_id}.{expires_at // 1_000_000}"
    signed = f"{purpose}.{subject}.{device}".encode()
    return f"{subject}.{hmac.digest(call.secrets[-1], signed, 'sha256').hex()}"


STATUSES = {
    "SIGNATURE_INVALID": 401,
    "SIGNATURE_EXPIRED": 401,
    "CALLER_NOT_ALLOWED": 403,
    "INTEGRATION_DISABLED": 403,
    "PLAYER_RESTRICTED": 403,
    "LIMIT_REACHED": 403,
    "LIMIT_RATE_MISSING": 422,
    "INSUFFICIENT_FUNDS": 402,
    "WALLET_NOT_FOUND": 404,
    "REGION_MISMATCH": 404,
    "SESSION_NOT_FOUND": 404,
    "BET_NOT_FOUND": 404,
    "SESSION_ENDED": 409,
    "SESSION_EXPIRED": 409,
    "IDEMPOTENCY_MISMATCH": 409,
    "DUPLICATE": 409,
    "BET_TOMBSTONED": 409,
    "BET_ROLLED_BACK": 409,
    "BET_ALREADY_SETTLED": 409,
    "BET_FINAL": 409,
    "WIN_NOT_REVERSIBLE": 409,
    "ROUND_FINISHED": 409,
    "MALFORMED_REQUEST": 400,
    "BODY_TOO_LARGE": 413,
    "INTERNAL": 500,
}
"""Everything else that a caller can change is 422."""

RETRY = {"OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT"}
"""One word for all of them: TEMPORARY, 503."""


def refuse(call: Call, rejected: Rejected) -> Reply:
    code = "SIGNATURE_INVALID" if rejected.code == "SIGNATURE_MISSING" else rejected.code
    provider_code, status = ("TEMPORARY", 503) if code in RETRY else (code, STATUSES.get(code, 422))
    content: dict[str, object] = {
        "status": "ERROR",
        "code": provider_code,
        "message": provider_code.replace("_", " ").capitalize(),
        "timestamp": rfc3339(call.received_at),
    }
    if rejected.balances:
        content["balance"] = balance(rejected.balances)
    return Reply(status, dump(content), rejected.code)
