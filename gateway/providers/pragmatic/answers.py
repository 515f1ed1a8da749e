"""The answers: always HTTP 200, with `error` and `description`; 0 is the yes."""

from gateway.dialect.amounts import decimal
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number, dump
from ledger.outcome import Balances, Outcome

DESCRIPTIONS = {
    0: "Success",
    1: "Insufficient balance",
    2: "Player not found or is logged out",
    3: "Bet is not allowed",
    4: "Player authentication failed due to invalid, not found or expired token",
    5: "Invalid hash code",
    6: "Player is frozen",
    7: "Bad parameters in the request",
    8: "Game is not found or disabled",
    50: "Bet limit has been reached",
    100: "Internal server error: repeat the request",
    120: "Internal server error: do not repeat the request",
    130: "Internal server error on endRound: repeat the request",
}

ERRORS = {
    "INSUFFICIENT_FUNDS": 1,
    "WALLET_NOT_FOUND": 2,
    "REGION_MISMATCH": 2,
    "JURISDICTION_NOT_ALLOWED": 3,
    "ROUND_FINISHED": 3,
    "INTEGRATION_DISABLED": 3,
    "SESSION_NOT_FOUND": 4,
    "SESSION_ENDED": 4,
    "SESSION_EXPIRED": 4,
    "SIGNATURE_MISSING": 5,
    "SIGNATURE_INVALID": 5,
    "SIGNATURE_EXPIRED": 5,
    "CALLER_NOT_ALLOWED": 5,
    "PLAYER_RESTRICTED": 6,
    "LIMIT_REACHED": 50,
    "LIMIT_RATE_MISSING": 7,
    "MALFORMED_REQUEST": 7,
    "FIELD_INVALID": 7,
    "BODY_TOO_LARGE": 7,
    "UNSUPPORTED_MEDIA_TYPE": 7,
    "NOT_FOUND": 7,
    "METHOD_NOT_ALLOWED": 7,
    "AMOUNT_NOT_POSITIVE": 7,
    "AMOUNT_SCALE": 7,
    "CURRENCY_MISMATCH": 7,
    "CURRENCY_NOT_SUPPORTED": 7,
    "RATE_NOT_AVAILABLE": 7,
    "GAME_NOT_FOUND": 8,
    "GAME_DISABLED": 8,
    "AMOUNT_TOO_LARGE": 50,
    "IDEMPOTENCY_MISMATCH": 120,
    "DUPLICATE": 120,
    "BATCH_PARTLY_KNOWN": 120,
    "BET_TOMBSTONED": 120,
    "BET_ROLLED_BACK": 120,
    "BET_ALREADY_SETTLED": 120,
    "BET_FINAL": 120,
    "WIN_NOT_REVERSIBLE": 120,
    "ROUND_MISMATCH": 120,
    "RATE_NOT_LOCKED": 120,
}

RETRY, RETRY_END_ROUND = 100, 130
"""Whatever is not listed may be better in a moment; so may a result whose bet has not come yet."""


def answer_ok(content: dict[str, object], *, repeated: bool = False) -> Reply:
    """The answer to a call that was done."""
    return Reply(200, dump({**content, "error": 0, "description": "Success"}), "repeated" if repeated else "accepted")


def moved(call: Call, transaction_id: str, balances: Balances, **more: object) -> dict[str, object]:
    """The answer to a money call. The balances are today's, also for a repeat."""
    return {
        "transactionId": transaction_id,
        "currency": call.provider_currency(balances.currency),
        **money(balances),
        **more,
    }


def money(balances: Balances) -> dict[str, object]:
    return {
        "cash": Number(decimal(balances.cash_minor, balances.exponent)),
        "bonus": Number(decimal(balances.bonus_minor, balances.exponent)),
    }


def our_id(outcome: Outcome) -> str:
    """Of what a command made, without its prefix: 32 characters are what the provider keeps. Repeats get it too. Empty
    where a policy acknowledged it without effect.
    """
    return (outcome.our_id or "").rpartition("_")[2]


def refuse(call: Call, rejected: Rejected) -> Reply:
    error = ERRORS.get(rejected.code, RETRY_END_ROUND if call.path == "/endRound.html" else RETRY)
    return Reply(200, dump({"error": error, "description": DESCRIPTIONS[error]}), rejected.code)
