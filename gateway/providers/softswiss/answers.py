"""The answers: a yes in its three shapes, and a no, which is HTTP 400 or 500 with all of its meaning in `api_code`."""

from collections.abc import Sequence

from gateway.dialect.amounts import decimal
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from ledger.core.state import TOMBSTONED
from ledger.outcome import Balances, Outcome

TEMPORARY = {
    "OVERLOADED": ("503", "service unavailable"),
    "UNAVAILABLE": ("503", "service unavailable"),
    "RATE_LIMITED": ("503", "service unavailable"),
    "DEADLINE_EXCEEDED": ("503", "service unavailable"),
    "BODY_TIMEOUT": ("504", "request timed out"),
    "BALANCE_TOO_LARGE": ("500", "the wallet is full: repeat later"),
    "BET_NOT_FOUND": ("500", "the transaction is not known yet: repeat later"),
}
"""HTTP 500: the provider repeats with the same ids."""

FINAL = {
    "INSUFFICIENT_FUNDS": ("100", "insufficient funds"),
    "WALLET_NOT_FOUND": ("101", "invalid player"),
    "REGION_MISMATCH": ("101", "invalid player"),
    "SESSION_NOT_FOUND": ("101", "the session is not known for this player"),
    "SESSION_ENDED": ("101", "the player's session has ended"),
    "SESSION_EXPIRED": ("101", "the player's session has expired"),
    "PLAYER_RESTRICTED": ("110", "player is disabled"),
    "LIMIT_REACHED": ("105", "a limit of the player is reached"),
    "LIMIT_RATE_MISSING": ("154", "currency is not allowed for the player"),
    "JURISDICTION_NOT_ALLOWED": ("153", "game is not available in the player's country"),
    "CURRENCY_NOT_SUPPORTED": ("154", "currency is not allowed for the player"),
    "CURRENCY_MISMATCH": ("154", "currency is not allowed for the player"),
    "RATE_NOT_AVAILABLE": ("154", "currency is not allowed for the player"),
    "RATE_NOT_LOCKED": ("154", "currency is not allowed for the player"),
    "SIGNATURE_MISSING": ("403", "invalid signature"),
    "SIGNATURE_INVALID": ("403", "invalid signature"),
    "SIGNATURE_EXPIRED": ("403", "invalid signature"),
    "CALLER_NOT_ALLOWED": ("403", "caller is not allowed"),
    "NOT_FOUND": ("404", "not found"),
    "METHOD_NOT_ALLOWED": ("404", "not found"),
    "GAME_NOT_FOUND": ("405", "game is not available"),
    "GAME_DISABLED": ("405", "game is not available"),
    "INTEGRATION_DISABLED": ("410", "casino is disabled"),
    "BET_TOMBSTONED": ("409", "action already rolled back"),
    "BET_ROLLED_BACK": ("409", "action already rolled back"),
    "IDEMPOTENCY_MISMATCH": ("400", "id_provider was used for another transaction"),
    "DUPLICATE": ("400", "id_provider was used for another transaction"),
    "AMOUNT_NOT_POSITIVE": ("400", "amount: must be greater than zero"),
    "AMOUNT_SCALE": ("400", "amount: more decimals than the currency has"),
    "AMOUNT_TOO_LARGE": ("400", "amount: too large"),
    "BODY_TOO_LARGE": ("400", "request body too large"),
    "UNSUPPORTED_MEDIA_TYPE": ("400", "body must be a JSON object"),
    "MALFORMED_REQUEST": ("400", "malformed JSON body"),
    "FIELD_INVALID": ("400", "bad request"),
    "ROUND_FINISHED": ("400", "round is finished"),
    "ROUND_MISMATCH": ("400", "transaction belongs to another round"),
    "BET_ALREADY_SETTLED": ("400", "transaction is settled and cannot be rolled back"),
    "WIN_NOT_REVERSIBLE": ("400", "a win cannot be rolled back"),
    "BET_FINAL": ("400", "transaction is final"),
    "BATCH_PARTLY_KNOWN": ("400", "some of the transactions are known already"),
}
"""HTTP 400: never repeated."""

UNKNOWN_ERROR = "500", "internal error"
NEED_BALANCE = ("100", "105", "106")


def balance_of(balances: Balances) -> str:
    return decimal(balances.available_minor, balances.exponent)


def balance_after(outcomes: Sequence[Outcome]) -> Balances | None:
    """After the last transaction that moved anything now; where all are repeats, as it was the first time."""
    new = [outcome for outcome in outcomes if not outcome.replayed]
    return (new or outcomes)[-1].balances


def answered(**content: object) -> Reply:
    return Reply(200, dump(content))


def moved(id_provider: str, outcome: Outcome) -> dict[str, object]:
    """A bet or a win; one that a policy acknowledges without effect is named after itself. No wallet of ours has a
    bonus balance that a transaction could touch.
    """
    our_id = outcome.result.get("hold_id") or outcome.result.get("settlement_id") or f"noop_{id_provider}"
    return {"id_provider": id_provider, "id": our_id, "bonus_amount": "0.00"}


def reversed_(id_provider: str, outcome: Outcome) -> dict[str, object]:
    """The id is empty where there was nothing to reverse."""
    never_processed = outcome.result.get("status") == TOMBSTONED
    return {"id_provider": id_provider, "id": "" if never_processed else outcome.result.get("rollback_id", "")}


def refuse(_: Call, rejected: Rejected) -> Reply:
    code = rejected.code
    status = 400 if code in FINAL else 500
    api_code, message = FINAL.get(code) or TEMPORARY.get(code) or UNKNOWN_ERROR
    if code == "FIELD_INVALID":
        message = f"{rejected.details.get('field', 'body')}: {rejected.details.get('reason', 'invalid')}"
    meta = {"api_code": api_code, "api_message": message}
    if api_code in NEED_BALANCE:
        meta["balance"] = balance_of(rejected.balances) if rejected.balances else "0.00"
    envelope = {"code": "invalid_argument" if status == 400 else "internal", "msg": message, "meta": meta}
    return Reply(status, dump(envelope), code)
