"""Answers to BetBy: one shape for every step of a bet, and a number with a text for every refusal."""

from collections.abc import Mapping
from typing import Any

from gateway.dialect.amounts import rescaled
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from gateway.providers.betby.bodies import CENTS, Transaction
from ledger.outcome import Balances, Outcome


def cents(balances: Balances | None) -> int:
    """What a bet may stake, rounded down."""
    return rescaled(balances.available_minor, balances.exponent, CENTS) if balances else 0


def yes(content: dict[str, Any], outcome: Outcome | None = None) -> Reply:
    return Reply(200, dump(content), "repeated" if outcome and outcome.replayed else "accepted")


def answer_step(
    outcome: Outcome, operation: str, ours: str, theirs: Transaction, *, parent: str, money: Mapping[str, object],
    user_id: str | None = None,
) -> Reply:  # fmt: skip
    content = {
        "id": ours,
        "ext_transaction_id": theirs.id,
        "parent_transaction_id": parent,
        "user_id": user_id or theirs.ext_player_id,
        "operation": operation,
        **money,
        "balance": cents(outcome.balances),
    }
    return yes(content, outcome)


UNKNOWN, INTERNAL = (100, "Unknown error"), (500, "Internal server error")
BAD_REQUEST, NOT_FOUND = (2004, "Bad request"), (2003, "Parent transaction not found")
BLOCKED, NO_PLAYER, EXPIRED = (1005, "Player is blocked"), (1006, "Player is not found"), (1007, "Session is expired")
CURRENCY, TOKEN = (2002, "Invalid currency"), (2005, "Invalid JWT token")

ERRORS: dict[str, tuple[int, str]] = {
    "SIGNATURE_MISSING": TOKEN,
    "SIGNATURE_INVALID": TOKEN,
    "SIGNATURE_EXPIRED": TOKEN,
    "CALLER_NOT_ALLOWED": (1004, "IP address does not match"),
    "PLAYER_RESTRICTED": BLOCKED,
    "LIMIT_REACHED": BLOCKED,
    "LIMIT_RATE_MISSING": CURRENCY,
    "WALLET_NOT_FOUND": NO_PLAYER,
    "REGION_MISMATCH": NO_PLAYER,
    "SESSION_NOT_FOUND": EXPIRED,
    "SESSION_ENDED": EXPIRED,
    "SESSION_EXPIRED": EXPIRED,
    "INSUFFICIENT_FUNDS": (2001, "Not enough money"),
    "CURRENCY_MISMATCH": CURRENCY,
    "CURRENCY_NOT_SUPPORTED": CURRENCY,
    "RATE_NOT_AVAILABLE": CURRENCY,
    "RATE_NOT_LOCKED": CURRENCY,
    "BET_NOT_FOUND": NOT_FOUND,
}
"""Everything else that a caller can change is a bad request."""

OLD_KEY = 1003, "Key is expired"
IDENTIFY = {"SESSION_NOT_FOUND": (1001, "Key not found"), "SESSION_ENDED": OLD_KEY, "SESSION_EXPIRED": OLD_KEY}
RETRY = {"OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT"}
NOTHING_TO_DO = {
    "discard": {"BET_NOT_FOUND", "BET_ALREADY_SETTLED", "BET_FINAL", "WALLET_NOT_FOUND", "REGION_MISMATCH"},
    "settlement": {"BET_NOT_FOUND", "BET_OPEN", "BET_FINAL", "BET_TOMBSTONED", "BET_ALREADY_SETTLED"},
}
"""The yes without effect to these two calls: BetBy takes no other answer to them."""


def refuse(call: Call, rejected: Rejected) -> Reply:
    code = rejected.code
    if code in NOTHING_TO_DO.get(call.path.replace("bet_", "bet/").removeprefix("/bet/"), ()):
        return Reply(200, b"{}", code)
    if code in RETRY:
        return _no(503, UNKNOWN, code)
    if code == "INTERNAL":
        return _no(500, INTERNAL, code)
    if call.path == "/identify":
        return _no(403, IDENTIFY.get(code) or ERRORS.get(code, IDENTIFY["SESSION_NOT_FOUND"]), code)
    return _no(400, ERRORS.get(code, BAD_REQUEST), code)


def _no(status: int, error: tuple[int, str], outcome: str) -> Reply:
    return Reply(status, dump({"code": error[0], "message": error[1]}), outcome)
