"""The answers: integer subunits, and numbers for what went wrong."""

from collections.abc import Sequence

from gateway.dialect.amounts import minor_exponent, rescaled
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from ledger.outcome import Balances, Outcome

REFUSALS = {
    "INSUFFICIENT_FUNDS": (412, 100, "Player has not enough funds to process an action"),
    "WALLET_NOT_FOUND": (412, 101, "Player is invalid"),
    "REGION_MISMATCH": (412, 101, "Player is invalid"),
    "SESSION_NOT_FOUND": (412, 101, "Player is invalid: the session is not known"),
    "SESSION_ENDED": (412, 101, "Player is invalid: the session has ended"),
    "SESSION_EXPIRED": (412, 101, "Player is invalid: the session has expired"),
    "PLAYER_RESTRICTED": (412, 110, "Player is disabled"),
    "LIMIT_REACHED": (412, 105, "A limit of the player is reached"),
    "LIMIT_RATE_MISSING": (412, 154, "Currency is not allowed for the player"),
    "JURISDICTION_NOT_ALLOWED": (412, 153, "Game is not available in the player's country"),
    "CURRENCY_NOT_SUPPORTED": (412, 154, "Currency is not allowed for the player"),
    "CURRENCY_MISMATCH": (412, 154, "Currency is not allowed for the player"),
    "RATE_NOT_AVAILABLE": (412, 154, "Currency is not allowed for the player"),
    "RATE_NOT_LOCKED": (412, 154, "Currency is not allowed for the player"),
    "GAME_NOT_FOUND": (412, 405, "Game is not available"),
    "GAME_DISABLED": (412, 405, "Game is not available"),
    "SIGNATURE_MISSING": (403, 403, "Forbidden"),
    "SIGNATURE_INVALID": (403, 403, "Forbidden"),
    "SIGNATURE_EXPIRED": (403, 403, "Forbidden"),
    "CALLER_NOT_ALLOWED": (403, 403, "Forbidden"),
    "INTEGRATION_DISABLED": (403, 403, "Forbidden"),
    "NOT_FOUND": (404, 404, "Not found"),
    "METHOD_NOT_ALLOWED": (404, 404, "Not found"),
    "MALFORMED_REQUEST": (400, 400, "Bad request: the body is not one JSON object"),
    "UNSUPPORTED_MEDIA_TYPE": (400, 400, "Bad request: the body is not one JSON object"),
    "FIELD_INVALID": (400, 400, "Bad request"),
    "BODY_TOO_LARGE": (400, 400, "Bad request: the body is too large"),
    "IDEMPOTENCY_MISMATCH": (400, 400, "Bad request: action_id was used for another action"),
    "DUPLICATE": (400, 400, "Bad request: action_id was used for another action"),
    "AMOUNT_NOT_POSITIVE": (400, 400, "Bad request: amount must be greater than zero"),
    "AMOUNT_SCALE": (400, 400, "Bad request: amount is no whole number of the wallet's smallest units"),
    "AMOUNT_TOO_LARGE": (400, 400, "Bad request: amount is too large"),
    "BET_TOMBSTONED": (400, 400, "Bad request: the action is rolled back"),
    "BET_ROLLED_BACK": (400, 400, "Bad request: the action is rolled back"),
    "BET_ALREADY_SETTLED": (400, 400, "Bad request: the action is settled"),
    "BET_FINAL": (400, 400, "Bad request: the action is final"),
    "WIN_NOT_REVERSIBLE": (400, 400, "Bad request: a win cannot be rolled back"),
    "ROUND_FINISHED": (400, 400, "Bad request: the game is finished"),
    "ROUND_MISMATCH": (400, 400, "Bad request: the action belongs to another game"),
    "BATCH_PARTLY_KNOWN": (400, 400, "Bad request: some of the actions are known already"),
    "OVERLOADED": (503, 503, "Service is unavailable: repeat the request"),
    "UNAVAILABLE": (503, 503, "Service is unavailable: repeat the request"),
    "RATE_LIMITED": (503, 503, "Service is unavailable: repeat the request"),
    "DEADLINE_EXCEEDED": (503, 503, "Service is unavailable: repeat the request"),
    "BODY_TIMEOUT": (504, 504, "Request timed out: repeat the request"),
}
"""HTTP status, code, message. Everything else is 500, which is repeated."""

UNKNOWN_ERROR = 500, 500, "Unknown error"

SUBUNITS = "BCH:8,DOG:8,DOGE:8,ETH:9,LTC:8,USDT:8,XRP:6"
"""Decimals of the provider's subunits where they are not what wallets usually have."""


def exponent_of(call: Call, currency: str) -> int:
    """Decimals of the provider's subunits of our currency: as the integration says, else as the provider does."""
    return minor_exponent(currency, f"{call.option('subunits')},{SUBUNITS}")


def subunits(call: Call, balances: Balances) -> int:
    """What may be staked, in the provider's own subunits, rounded down."""
    return rescaled(balances.available_minor, balances.exponent, exponent_of(call, balances.currency))


def balance_after(outcomes: Sequence[Outcome]) -> Balances | None:
    """After the last action that moved anything now."""
    new = [outcome for outcome in outcomes if not outcome.replayed]
    return (new or outcomes)[-1].balances


def tx_id(action_id: str, outcome: Outcome) -> str:
    """Our id of the action. One that made nothing is named after itself: what came after its rollback, and a rollback
    of what was rolled back.
    """
    if outcome.unchanged:
        return f"noop_{action_id}"
    assert outcome.our_id, f"an action that made something has an id: {outcome}"
    return outcome.our_id


def refuse(call: Call, rejected: Rejected) -> Reply:
    status, code, message = REFUSALS.get(rejected.code, UNKNOWN_ERROR)
    if rejected.code == "FIELD_INVALID":
        message = f"{message}: {rejected.details.get('field') or 'body'} {rejected.details.get('reason', 'is invalid')}"
    content: dict[str, object] = {"code": code, "message": message}
    if rejected.balances is not None:
        content["balance"] = subunits(call, rejected.balances)
    return Reply(status, dump(content), rejected.code)
