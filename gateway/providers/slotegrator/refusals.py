"""A no: HTTP 200 with one of two error codes. Where a repeat may fare better it is HTTP 503 or 500, which the provider
takes for a call that was lost.
"""

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump

TEMPORARY = ("OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT")

DESCRIPTIONS = {
    "INSUFFICIENT_FUNDS": "Not enough money to continue playing",
    "WALLET_NOT_FOUND": "Player has no wallet in this currency",
    "REGION_MISMATCH": "Player has no wallet in this currency",
    "PLAYER_RESTRICTED": "Player is blocked",
    "LIMIT_REACHED": "A limit of the player is reached",
    "LIMIT_RATE_MISSING": "A limit of the player cannot be compared",
    "SESSION_NOT_FOUND": "Session is not known",
    "SESSION_ENDED": "Session has ended",
    "SESSION_EXPIRED": "Session has expired",
    "CURRENCY_NOT_SUPPORTED": "Currency is not supported",
    "CURRENCY_MISMATCH": "Currency is not the one of this session or bet",
    "RATE_NOT_AVAILABLE": "Currency is not supported",
    "RATE_NOT_LOCKED": "Currency is not supported",
    "JURISDICTION_NOT_ALLOWED": "Game is not available in the player's country",
    "GAME_NOT_FOUND": "Game is not known",
    "GAME_DISABLED": "Game is disabled",
    "SIGNATURE_MISSING": "Invalid signature",
    "SIGNATURE_INVALID": "Invalid signature",
    "SIGNATURE_EXPIRED": "X-Timestamp is too far from our clock",
    "INTEGRATION_DISABLED": "Integration is disabled",
    "CALLER_NOT_ALLOWED": "Caller or X-Merchant-Id is not the one of this integration",
    "NOT_FOUND": "Nothing is at this path",
    "METHOD_NOT_ALLOWED": "Only POST is answered",
    "MALFORMED_REQUEST": "Body is not a form",
    "UNSUPPORTED_MEDIA_TYPE": "Body is not a form",
    "BODY_TOO_LARGE": "Body is too large",
    "IDEMPOTENCY_MISMATCH": "transaction_id was used for another transaction",
    "DUPLICATE": "transaction_id was used for another transaction",
    "AMOUNT_NOT_POSITIVE": "Amount must be greater than zero",
    "AMOUNT_SCALE": "Amount has more decimals than the wallet",
    "AMOUNT_TOO_LARGE": "Amount is too large",
    "BET_TOMBSTONED": "Transaction was rolled back",
    "BET_ROLLED_BACK": "Bet was rolled back",
    "BET_ALREADY_SETTLED": "Bet is settled",
    "BET_FINAL": "Bet is final",
    "BET_OPEN": "Bet is open: its round goes on",
    "WIN_NOT_REVERSIBLE": "Win cannot be rolled back",
    "BET_NOT_FOUND": "Bet is not known",
    "ROUND_FINISHED": "Round is finished",
    "ROUND_MISMATCH": "Transaction belongs to another round",
}


def refuse(_: Call, rejected: Rejected) -> Reply:
    code, description = rejected.code, DESCRIPTIONS.get(rejected.code, "Internal error")
    if code == "FIELD_INVALID":
        description = f"{rejected.details.get('field') or 'body'}: {rejected.details.get('reason', 'is invalid')}"
    elif code in TEMPORARY:
        description = "Temporarily unavailable, repeat the request"
    status = 503 if code in TEMPORARY else 200 if code == "FIELD_INVALID" or code in DESCRIPTIONS else 500
    error_code = "INSUFFICIENT_FUNDS" if code == "INSUFFICIENT_FUNDS" else "INTERNAL_ERROR"
    return Reply(status, dump({"error_code": error_code, "error_description": description}), code)
