"""The answers: HTTP 200, a `status`, balances where it is about money, and the caller's `uuid`, else one of ours."""

from uuid import uuid4

from gateway.dialect.amounts import decimal
from gateway.dialect.bodies import peek
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number, dump
from ledger.outcome import Balances

KEEP_ALIVE = ((b"connection", b"keep-alive"),)

UNPROVEN = {
    "SIGNATURE_MISSING": "INVALID_TOKEN_ID",
    "SIGNATURE_INVALID": "INVALID_TOKEN_ID",
    "SIGNATURE_EXPIRED": "INVALID_TOKEN_ID",
    "CALLER_NOT_ALLOWED": "INVALID_TOKEN_ID",
    "BODY_TOO_LARGE": "INVALID_PARAMETER",
}
"""Told without a word about money."""

STATUSES = {
    "INTEGRATION_DISABLED": "FATAL_ERROR_CLOSE_USER_SESSION",
    "NOT_FOUND": "INVALID_PARAMETER",
    "METHOD_NOT_ALLOWED": "INVALID_PARAMETER",
    "UNSUPPORTED_MEDIA_TYPE": "INVALID_PARAMETER",
    "MALFORMED_REQUEST": "INVALID_PARAMETER",
    "FIELD_INVALID": "INVALID_PARAMETER",
    "AMOUNT_NOT_POSITIVE": "INVALID_PARAMETER",
    "AMOUNT_SCALE": "INVALID_PARAMETER",
    "CURRENCY_MISMATCH": "INVALID_PARAMETER",
    "CURRENCY_NOT_SUPPORTED": "INVALID_PARAMETER",
    "RATE_NOT_AVAILABLE": "INVALID_PARAMETER",
    "RATE_NOT_LOCKED": "INVALID_PARAMETER",
    "WALLET_NOT_FOUND": "INVALID_PARAMETER",
    "REGION_MISMATCH": "INVALID_PARAMETER",
    "IDEMPOTENCY_MISMATCH": "INVALID_PARAMETER",
    "DUPLICATE": "INVALID_PARAMETER",
    "ROUND_MISMATCH": "INVALID_PARAMETER",
    "SESSION_NOT_FOUND": "INVALID_SID",
    "SESSION_ENDED": "INVALID_SID",
    "SESSION_EXPIRED": "INVALID_SID",
    "PLAYER_RESTRICTED": "ACCOUNT_LOCKED",
    "LIMIT_REACHED": "FINAL_ERROR_ACTION_FAILED",
    "LIMIT_RATE_MISSING": "FINAL_ERROR_ACTION_FAILED",
    "JURISDICTION_NOT_ALLOWED": "GEOLOCATION_FAIL",
    "INSUFFICIENT_FUNDS": "INSUFFICIENT_FUNDS",
    "BET_NOT_FOUND": "BET_DOES_NOT_EXIST",
    "BET_ALREADY_SETTLED": "BET_ALREADY_SETTLED",
    "BET_ROLLED_BACK": "BET_ALREADY_SETTLED",
    "BET_FINAL": "BET_ALREADY_SETTLED",
    "BET_TOMBSTONED": "FINAL_ERROR_ACTION_FAILED",
    "WIN_NOT_REVERSIBLE": "FINAL_ERROR_ACTION_FAILED",
    "BATCH_PARTLY_KNOWN": "FINAL_ERROR_ACTION_FAILED",
    "ROUND_FINISHED": "FINAL_ERROR_ACTION_FAILED",
    "AMOUNT_TOO_LARGE": "FINAL_ERROR_ACTION_FAILED",
    "GAME_NOT_FOUND": "FINAL_ERROR_ACTION_FAILED",
    "GAME_DISABLED": "FINAL_ERROR_ACTION_FAILED",
}

TEMPORARY = "TEMPORARY_ERROR"
"""Whatever is not listed: Evolution repeats the call, the player stays."""


def answer_ok(call: Call, uuid: str | None, balances: Balances, status: str = "OK", *, repeated: bool = False) -> Reply:
    """A yes, in one of its three words: OK, BET_ALREADY_EXIST, BET_ALREADY_SETTLED."""
    content = {"status": status, **_money(call, balances), "uuid": uuid or str(uuid4())}
    return Reply(200, dump(content), "repeated" if repeated else "accepted", KEEP_ALIVE)


def checked(sid: str, uuid: str | None) -> Reply:
    return Reply(200, dump({"status": "OK", "sid": sid, "uuid": uuid or str(uuid4())}), headers=KEEP_ALIVE)


def refuse(call: Call, rejected: Rejected) -> Reply:
    code = rejected.code
    uuid = peek(call.body, "uuid") or str(uuid4())
    headers = () if code in ("BODY_TOO_LARGE", "BODY_TIMEOUT") else KEEP_ALIVE
    if code in UNPROVEN:
        return Reply(200, dump({"status": UNPROVEN[code], "uuid": uuid}), code, headers)
    status = STATUSES.get(code, TEMPORARY)
    if code == "BET_TOMBSTONED" and call.path == "/credit":
        status = "BET_DOES_NOT_EXIST"
    money = _money(call, rejected.balances) if rejected.balances else {}
    return Reply(200, dump({"status": status, **money, "uuid": uuid}), code, headers)


def _money(call: Call, balances: Balances) -> dict[str, object]:
    places = min(int(call.option("balance_decimals")), balances.exponent)
    return {
        "balance": Number(decimal(balances.cash_minor, balances.exponent, places)),
        "bonus": Number(decimal(balances.bonus_minor, balances.exponent, places)),
    }
