"""The answers: `success`, and with a no its text and code."""

from gateway.dialect.amounts import minor_exponent, rescaled
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from ledger.outcome import Balances

REFUSALS = {
    "SIGNATURE_MISSING": (401, "SIGNATURE_INVALID", "Invalid signature"),
    "SIGNATURE_INVALID": (401, "SIGNATURE_INVALID", "Invalid signature"),
    "SIGNATURE_EXPIRED": (401, "SIGNATURE_INVALID", "Invalid signature"),
    "SESSION_NOT_FOUND": (401, "INVALID_SESSION", "Invalid or expired session"),
    "SESSION_ENDED": (401, "INVALID_SESSION", "Invalid or expired session"),
    "SESSION_EXPIRED": (401, "INVALID_SESSION", "Invalid or expired session"),
    "CALLER_NOT_ALLOWED": (403, "FORBIDDEN", "Not allowed"),
    "INTEGRATION_DISABLED": (403, "FORBIDDEN", "The provider is disabled"),
    "JURISDICTION_NOT_ALLOWED": (403, "FORBIDDEN", "The game is not available in the player's country"),
    "PLAYER_RESTRICTED": (403, "USER_BLOCKED", "The user may not bet"),
    "LIMIT_REACHED": (403, "USER_BLOCKED", "A limit of the user is reached"),
    "LIMIT_RATE_MISSING": (403, "USER_BLOCKED", "A limit of the user is reached"),
    "INSUFFICIENT_FUNDS": (400, "INSUFFICIENT_FUNDS", "Insufficient funds"),
    "AMOUNT_NOT_POSITIVE": (400, "INVALID_AMOUNT", "Amount must be positive"),
    "AMOUNT_SCALE": (400, "INVALID_AMOUNT", "Amount is no whole number of the wallet's smallest units"),
    "AMOUNT_TOO_LARGE": (400, "INVALID_AMOUNT", "Amount is too large"),
    "CURRENCY_NOT_SUPPORTED": (400, "CURRENCY_NOT_SUPPORTED", "Currency is not supported"),
    "CURRENCY_MISMATCH": (400, "CURRENCY_NOT_SUPPORTED", "Currency is not the one of the session"),
    "RATE_NOT_AVAILABLE": (400, "CURRENCY_NOT_SUPPORTED", "Currency is not supported"),
    "RATE_NOT_LOCKED": (400, "CURRENCY_NOT_SUPPORTED", "Currency is not supported"),
    "BET_ALREADY_SETTLED": (400, "ROLLBACK_NOT_ALLOWED", "The round has a payout: its bets cannot be rolled back"),
    "BET_FINAL": (400, "ROLLBACK_NOT_ALLOWED", "The bet is final"),
    "WIN_NOT_REVERSIBLE": (400, "CANNOT_ROLLBACK_PAYOUT", "Payouts cannot be rolled back"),
    "BET_TOMBSTONED": (409, "ALREADY_ROLLED_BACK", "The transaction was rolled back before it arrived"),
    "BET_ROLLED_BACK": (409, "ALREADY_ROLLED_BACK", "The bets of the round were rolled back"),
    "IDEMPOTENCY_MISMATCH": (409, "DUPLICATE_TRANSACTION", "transactionId was used for another transaction"),
    "DUPLICATE": (409, "DUPLICATE_TRANSACTION", "transactionId was used for another transaction"),
    "ROUND_FINISHED": (409, "ROUND_FINISHED", "The round is finished"),
    "ROUND_MISMATCH": (409, "ROUND_MISMATCH", "The transaction belongs to another round"),
    "BET_NOT_FOUND": (404, "TRANSACTION_NOT_FOUND", "The bet is not known"),
    "WALLET_NOT_FOUND": (404, "USER_NOT_FOUND", "The user has no wallet in this currency"),
    "REGION_MISMATCH": (404, "USER_NOT_FOUND", "The user has no wallet in this currency"),
    "GAME_NOT_FOUND": (404, "GAME_NOT_FOUND", "The game is not known"),
    "GAME_DISABLED": (404, "GAME_NOT_FOUND", "The game is disabled"),
    "NOT_FOUND": (404, "NOT_FOUND", "Endpoint not found"),
    "METHOD_NOT_ALLOWED": (405, "METHOD_NOT_ALLOWED", "Only POST is answered"),
    "MALFORMED_REQUEST": (400, "INVALID_REQUEST", "The body is not one JSON object"),
    "UNSUPPORTED_MEDIA_TYPE": (400, "INVALID_REQUEST", "The body is not one JSON object"),
    "FIELD_INVALID": (400, "INVALID_REQUEST", "A field is missing or wrong"),
    "BODY_TOO_LARGE": (413, "INVALID_REQUEST", "The body is too large"),
    "OVERLOADED": (503, "TEMPORARILY_UNAVAILABLE", "Repeat the request"),
    "UNAVAILABLE": (503, "TEMPORARILY_UNAVAILABLE", "Repeat the request"),
    "DEADLINE_EXCEEDED": (503, "TEMPORARILY_UNAVAILABLE", "Repeat the request"),
    "BODY_TIMEOUT": (503, "TEMPORARILY_UNAVAILABLE", "Repeat the request"),
    "RATE_LIMITED": (503, "TEMPORARILY_UNAVAILABLE", "Repeat the request"),
}
"""HTTP status, code, text. Everything else is 500, which is repeated."""

INTERNAL = 500, "INTERNAL_ERROR", "Internal error"


def minor_units(call: Call, balances: Balances) -> int:
    """What may be staked, in the provider's own minor units, rounded down."""
    exponent = minor_exponent(balances.currency, call.option("subunits"))
    return rescaled(balances.available_minor, balances.exponent, exponent)


def answer_ok(call: Call, balances: Balances, **content: object) -> Reply:
    currency = call.provider_currency(balances.currency)
    answer = {"success": True, **content, "balance": minor_units(call, balances), "currency": currency}
    return Reply(200, dump(answer))


def refuse(call: Call, rejected: Rejected) -> Reply:
    status, code, text = REFUSALS.get(rejected.code, INTERNAL)
    if rejected.code == "FIELD_INVALID":
        text = f"{rejected.details.get('field') or 'body'}: {rejected.details.get('reason', 'is invalid')}"
    content: dict[str, object] = {"success": False, "error": text, "code": code}
    if rejected.balances is not None:
        content["balance"] = minor_units(call, rejected.balances)
    return Reply(status, dump(content), rejected.code)
