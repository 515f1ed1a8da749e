"""The answers: `{user, status, request_uuid, currency, balance}`, of which a refusal has what it can."""

from collections.abc import Sequence

from gateway.dialect.amounts import rescaled
from gateway.dialect.bodies import peek
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from gateway.providers.hub88.bodies import UserRequest
from ledger.outcome import Balances, Outcome

AMOUNT_DECIMALS = 5
"""3.56 is sent as 356000."""

UNPROVEN = {
    "SIGNATURE_MISSING": "RS_ERROR_INVALID_SIGNATURE",
    "SIGNATURE_INVALID": "RS_ERROR_INVALID_SIGNATURE",
    "SIGNATURE_EXPIRED": "RS_ERROR_INVALID_SIGNATURE",
    "CALLER_NOT_ALLOWED": "RS_ERROR_INVALID_PARTNER",
    "BODY_TOO_LARGE": "RS_ERROR_WRONG_SYNTAX",
}
"""Nothing of what the caller sent is echoed."""

FINAL = {
    "INTEGRATION_DISABLED": "RS_ERROR_INVALID_PARTNER",
    "NOT_FOUND": "RS_ERROR_WRONG_SYNTAX",
    "METHOD_NOT_ALLOWED": "RS_ERROR_WRONG_SYNTAX",
    "UNSUPPORTED_MEDIA_TYPE": "RS_ERROR_WRONG_SYNTAX",
    "MALFORMED_REQUEST": "RS_ERROR_WRONG_SYNTAX",
    "FIELD_INVALID": "RS_ERROR_WRONG_TYPES",
    "AMOUNT_NOT_POSITIVE": "RS_ERROR_WRONG_TYPES",
    "AMOUNT_SCALE": "RS_ERROR_WRONG_TYPES",
    "AMOUNT_TOO_LARGE": "RS_ERROR_LIMIT_REACHED",
    "INSUFFICIENT_FUNDS": "RS_ERROR_NOT_ENOUGH_MONEY",
    "SESSION_NOT_FOUND": "RS_ERROR_INVALID_TOKEN",
    "SESSION_ENDED": "RS_ERROR_TOKEN_EXPIRED",
    "SESSION_EXPIRED": "RS_ERROR_TOKEN_EXPIRED",
    "PLAYER_RESTRICTED": "RS_ERROR_USER_DISABLED",
    "LIMIT_REACHED": "RS_ERROR_LIMIT_REACHED",
    "LIMIT_RATE_MISSING": "RS_ERROR_WRONG_CURRENCY",
    "JURISDICTION_NOT_ALLOWED": "RS_ERROR_USER_DISABLED",
    "GAME_NOT_FOUND": "RS_ERROR_INVALID_GAME",
    "GAME_DISABLED": "RS_ERROR_INVALID_GAME",
    "CURRENCY_MISMATCH": "RS_ERROR_WRONG_CURRENCY",
    "CURRENCY_NOT_SUPPORTED": "RS_ERROR_WRONG_CURRENCY",
    "RATE_NOT_AVAILABLE": "RS_ERROR_WRONG_CURRENCY",
    "RATE_NOT_LOCKED": "RS_ERROR_WRONG_CURRENCY",
    "IDEMPOTENCY_MISMATCH": "RS_ERROR_DUPLICATE_TRANSACTION",
    "DUPLICATE": "RS_ERROR_DUPLICATE_TRANSACTION",
    "BATCH_PARTLY_KNOWN": "RS_ERROR_DUPLICATE_TRANSACTION",
    "BET_NOT_FOUND": "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
    "BET_ROLLED_BACK": "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
    "WALLET_NOT_FOUND": "RS_ERROR_UNKNOWN",
    "REGION_MISMATCH": "RS_ERROR_UNKNOWN",
    "BET_TOMBSTONED": "RS_ERROR_UNKNOWN",
    "BET_ALREADY_SETTLED": "RS_ERROR_UNKNOWN",
    "BET_FINAL": "RS_ERROR_UNKNOWN",
    "WIN_NOT_REVERSIBLE": "RS_ERROR_UNKNOWN",
    "ROUND_FINISHED": "RS_ERROR_UNKNOWN",
    "ROUND_MISMATCH": "RS_ERROR_UNKNOWN",
}

TEMPORARY = frozenset({
    "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT", "BALANCE_TOO_LARGE",
})  # fmt: skip
"""HTTP 503 with RS_ERROR_UNKNOWN: the exchange failed, so Hub88 repeats it."""

MISSING = "field required"


def answer_ok(call: Call, user: str, request_uuid: str, balances: Balances | None, *, repeated: bool = False) -> Reply:
    """The answer to a call that was done."""
    content: dict[str, object] = {"user": user, "status": "RS_OK", "request_uuid": request_uuid}
    if balances:
        content |= _money(call, balances)
    return Reply(200, dump(content), "repeated" if repeated else "accepted")


def answered(call: Call, body: UserRequest, outcomes: Sequence[Outcome]) -> Reply:
    """A yes of the ledger; the transaction is the first of its commands, and its balance the last word."""
    balances = outcomes[0].balances if outcomes[0].replayed else outcomes[-1].balances or outcomes[0].balances
    return answer_ok(call, body.user, body.request_uuid, balances, repeated=outcomes[0].replayed)


def refuse(call: Call, rejected: Rejected) -> Reply:
    code = rejected.code
    if code in UNPROVEN:
        return Reply(200, dump({"status": UNPROVEN[code]}), code)
    echoed = {name: text for name in ("user", "request_uuid") if (text := peek(call.body, name))}
    content: dict[str, object] = {"status": _status(call, rejected), **echoed}
    if rejected.balances is not None:
        content |= _money(call, rejected.balances)
    http_status = 200 if code in FINAL else 503 if code in TEMPORARY else 500
    return Reply(http_status, dump(content), code)


def _status(call: Call, rejected: Rejected) -> str:
    if rejected.code == "FIELD_INVALID" and rejected.details.get("reason") == MISSING:
        return "RS_ERROR_WRONG_SYNTAX"
    if rejected.code == "BET_TOMBSTONED" and call.path == "/transaction/win":
        return "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"
    return FINAL.get(rejected.code, "RS_ERROR_UNKNOWN")


def _money(call: Call, balances: Balances) -> dict[str, object]:
    return {
        "currency": call.provider_currency(balances.currency),
        "balance": rescaled(balances.available_minor, balances.exponent, AMOUNT_DECIMALS),
    }
