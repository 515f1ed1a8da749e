"""The answers: what the wallet holds, in minor units, and for a transaction what became of it."""

from datetime import UTC, datetime

from gateway.dialect.amounts import minor_exponent, rescaled
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from ledger.outcome import Balances, Outcome

REFUSALS = {
    "SIGNATURE_MISSING": (401, "unauthorized", "the credentials are missing"),
    "SIGNATURE_INVALID": (401, "unauthorized", "the credentials are wrong"),
    "SIGNATURE_EXPIRED": (401, "unauthorized", "the credentials are wrong"),
    "CALLER_NOT_ALLOWED": (403, "forbidden", "callers from there are not allowed"),
    "INTEGRATION_DISABLED": (403, "forbidden", "the integration is switched off"),
    "NOT_FOUND": (404, "not-found", "there is nothing at this path"),
    "METHOD_NOT_ALLOWED": (405, "method-not-allowed", "this path takes another method"),
    "BODY_TOO_LARGE": (413, "invalid-request", "the body is too large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "invalid-request", "the body must be JSON"),
    "MALFORMED_REQUEST": (400, "invalid-request", "the body is not one JSON object"),
    "FIELD_INVALID": (400, "invalid-request", "a field is missing or wrong"),
    "AMOUNT_NOT_POSITIVE": (400, "invalid-amount", "the amount must be greater than zero"),
    "AMOUNT_SCALE": (400, "invalid-amount", "the amount is finer than the wallet's currency"),
    "AMOUNT_TOO_LARGE": (400, "invalid-amount", "the amount is too large"),
    "INSUFFICIENT_FUNDS": (400, "insufficient-balance", "the balance is less than the amount"),
    "CURRENCY_MISMATCH": (400, "invalid-currency", "the currency is another than the player's"),
    "CURRENCY_NOT_SUPPORTED": (400, "invalid-currency", "the currency is not supported"),
    "RATE_NOT_AVAILABLE": (400, "invalid-currency", "the currency cannot be exchanged now"),
    "RATE_NOT_LOCKED": (400, "invalid-currency", "the bet locked no exchange rate"),
    "WALLET_NOT_FOUND": (404, "player-not-found", "the player has no wallet in this currency"),
    "REGION_MISMATCH": (404, "player-not-found", "the player has no wallet in this currency"),
    "SESSION_NOT_FOUND": (404, "session-not-found", "the session is not known"),
    "SESSION_ENDED": (400, "session-expired", "the session is over"),
    "SESSION_EXPIRED": (400, "session-expired", "the session is over"),
    "PLAYER_RESTRICTED": (400, "player-blocked", "the player may not bet"),
    "LIMIT_REACHED": (400, "player-blocked", "a limit of the player is reached"),
    "LIMIT_RATE_MISSING": (400, "player-blocked", "a limit of the player is reached"),
    "JURISDICTION_NOT_ALLOWED": (400, "game-not-available", "the game is not available there"),
    "GAME_NOT_FOUND": (400, "game-not-available", "the game is not available"),
    "GAME_DISABLED": (400, "game-not-available", "the game is not available"),
    "BET_NOT_FOUND": (404, "transaction-not-found", "the bet is not known"),
    "BET_ROLLED_BACK": (400, "transaction-refunded", "the bet was refunded"),
    "BET_TOMBSTONED": (400, "transaction-refunded", "the transaction was refunded before it came"),
    "BET_ALREADY_SETTLED": (400, "transaction-settled", "the bet is settled"),
    "BET_FINAL": (400, "transaction-settled", "the bet is settled"),
    "WIN_NOT_REVERSIBLE": (400, "transaction-settled", "a win cannot be refunded"),
    "ROUND_FINISHED": (400, "round-closed", "the round is over"),
    "ROUND_MISMATCH": (400, "invalid-request", "the bet is of another round"),
    "IDEMPOTENCY_MISMATCH": (409, "transaction-conflict", "the txId was used for another transaction"),
    "DUPLICATE": (409, "transaction-conflict", "the txId was used for another transaction"),
    "BATCH_PARTLY_KNOWN": (409, "transaction-conflict", "the txId was used for another transaction"),
}

TEMPORARY = frozenset({
    "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT", "BALANCE_TOO_LARGE",
})  # fmt: skip


def balance_of(call: Call, balances: Balances) -> dict[str, object]:
    places = minor_exponent(balances.currency, call.option("subunits"))
    cash, bonus, held = balances.cash_minor, balances.bonus_minor, balances.held_minor
    parts = {"main": cash, "bonus": bonus, "locked": held}
    return {
        **{name: rescaled(amount, balances.exponent, places) for name, amount in parts.items()},
        "currency": call.provider_currency(balances.currency),
    }


def answer_ok(call: Call, balances: Balances, tx_id: str, outcome: Outcome) -> Reply:
    """`processed`: the transaction had been done before, and nothing moved now."""
    done_before = outcome.replayed or outcome.unchanged
    tx = {"id": outcome.our_id or tx_id, "txId": tx_id, "processed": done_before}
    content = {"balance": balance_of(call, balances), "tx": tx}
    return Reply(200, dump(content), "repeated" if outcome.replayed else "accepted")


def refuse(call: Call, rejected: Rejected) -> Reply:
    status, code, message = REFUSALS.get(
        rejected.code,
        (503, "temporarily-unavailable", "repeat the request")
        if rejected.code in TEMPORARY
        else (500, "internal-error", "something of ours failed: repeat the request"),
    )
    if rejected.code == "FIELD_INVALID" and rejected.details.get("field") == "amount":
        code, message = "invalid-amount", "the amount must be a whole number of minor units, and not negative"
    timestamp = datetime.fromtimestamp(call.received_at / 1_000_000, UTC).isoformat(timespec="milliseconds")
    return Reply(status, dump({"errorCode": code, "message": message, "timestamp": timestamp}), rejected.code)
