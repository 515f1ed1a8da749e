"""An aggregator with a remote game server, as an integration guide describes it: signed bodies, an id per transaction,
and after a session a settlement that repeats its transactions, in any order and sometimes in part.
"""

from collections.abc import Callable
from typing import Any

from gateway.dialect.amounts import decimal
from gateway.dialect.bodies import peek, read_json, validated
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected, Unreadable, may_be_cured
from gateway.dialect.reply import Reply
from gateway.dialect.signing import verify_hmac_hex
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.rgs.bodies import Action, ActionIfAny, Balance, Bet, Item, PlayerRequest, Refund, Settlement, Win
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.policy import AT_AUTHORIZATION, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.wins import SettleBet
from ledger.outcome import Balances

# The calls ----------------------------------------------------------------------------------------------------------


async def callback(call: Call, ledger: TenantLedger) -> Reply:
    """The one URL: the body says which call it is."""
    return await CALLS[read_json(Action, call.body).action](call, ledger)


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(Balance, call.body)
    if body.mode == "demo":
        return _demo()
    balances = await ledger.wallet(body.player_id, call.currency(body.currency))
    return _yes({"balance": _amount(balances), "currency": body.currency})


async def bet(call: Call, ledger: TenantLedger) -> Reply:
    return await _moved(call, ledger, read_json(Bet, call.body), _bet)


async def win(call: Call, ledger: TenantLedger) -> Reply:
    return await _moved(call, ledger, read_json(Win, call.body), _win)


async def refund(call: Call, ledger: TenantLedger) -> Reply:
    return await _moved(call, ledger, read_json(Refund, call.body), _refund)


async def settlement(call: Call, ledger: TenantLedger) -> Reply:
    """Each transaction for itself, under the key of its own call: what is known stays as it is, what was missed is done
    now, and what cannot be done yet waits for the settlement to be sent again.
    """
    body = read_json(Settlement, call.body)
    if body.mode == "demo":
        return _demo()
    items = [validated(Item, item) for item in body.transactions]
    by_kind = sorted(zip(items, body.transactions, strict=True), key=lambda pair: ORDER.index(pair[0].type))
    reconciled = {_named(item): await _reconciled(call, ledger, body, item, fields) for item, fields in by_kind}
    complete = all(one["status"] != "pending" for one in reconciled.values())
    return _yes(
        {
            "settlement_id": body.settlement_id,
            "complete": complete,
            "transactions": [reconciled[_named(item)] for item in items],
        }
    )


# Commands -----------------------------------------------------------------------------------------------------------


def _bet(call: Call, body: Bet) -> Command:
    return call.command(
        AuthorizeBet, "bet", body.transaction_id, session_id=body.session_id, bet_id=body.transaction_id,
        round_id=body.round_id, amount=body.amount, currency=call.currency(body.currency), player=body.player_id,
        game_id=_game(call, body.game_id),
    )  # fmt: skip


def _win(call: Call, body: Win) -> Command:
    return call.command(
        SettleBet, "win", body.transaction_id, bet_id=body.bet_transaction_id, round_id=body.round_id,
        win=body.amount, currency=call.currency(body.currency), player=body.player_id,
        win_id=f"win:{body.transaction_id}", game_id=_game(call, body.game_id), ends_bet=False,
    )  # fmt: skip


def _refund(call: Call, body: Refund) -> Command:
    return call.command(
        Rollback, "refund", body.transaction_id, target_id=body.bet_transaction_id, round_id=body.round_id,
        reason="refund", player=body.player_id, currency=call.currency(body.currency),
    )  # fmt: skip


def _game(call: Call, code: str | None) -> str | None:
    return call.game(code) if code else None


async def _moved(call: Call, ledger: TenantLedger, body: Any, make: Callable[[Call, Any], Command]) -> Reply:
    if body.mode == "demo":
        return _demo(body.transaction_id)
    (outcome,) = await ledger.submit(make(call, body))
    balances = outcome.balances or await ledger.wallet(body.player_id, call.currency(body.currency))
    content = {"transaction_id": body.transaction_id, "id": outcome.our_id or ""}
    return _yes(content | {"balance": _amount(balances), "currency": call.provider_currency(balances.currency)})


def _named(item: Item) -> tuple[str, str]:
    """A bet and its win may have the same id."""
    return item.type, item.transaction_id


async def _reconciled(
    call: Call, ledger: TenantLedger, body: Settlement, item: Item, fields: dict[str, object]
) -> dict[str, str]:
    shared = {"player_id": body.player_id, "currency": body.currency, "session_id": body.session_id}
    model, make = KINDS[item.type]
    try:
        (outcome,) = await ledger.submit(make(call, validated(model, {**shared, **fields})))
    except Rejected as rejected:
        unread = may_be_cured(rejected) and item.type != "bet"
        if unread:  # a win or a refund: the settlement is sent again until it is complete
            call.note(
                "credit unreadable", transaction_id=item.transaction_id, code=rejected.code,
                field=str(rejected.details.get("field", "")), reason=str(rejected.details.get("reason", "")),
            )  # fmt: skip
        status = "pending" if unread or rejected.code == "BET_NOT_FOUND" else "refused"
        return {"transaction_id": item.transaction_id, "status": status, "error": _word(rejected.code)[1]}
    known = outcome.replayed or outcome.unchanged
    return {"transaction_id": item.transaction_id, "status": "known" if known else "applied"}


KINDS: dict[str, tuple[type[PlayerRequest], Callable[[Call, Any], Command]]] = {
    "bet": (Bet, _bet),
    "win": (Win, _win),
    "refund": (Refund, _refund),
}
ORDER = tuple(KINDS)
"""A settlement's bets come before its wins, and those before its refunds, however it lists them."""

# Answers ------------------------------------------------------------------------------------------------------------


def _amount(balances: Balances) -> str:
    return decimal(balances.available_minor, balances.exponent)


def _yes(content: dict[str, Any]) -> Reply:
    return Reply(200, dump({"status": "ok", **content}))


def _demo(transaction_id: str | None = None) -> Reply:
    """Play money: there is no wallet of it here, and nothing moves."""
    content = {"transaction_id": transaction_id} if transaction_id else {}
    return _yes({**content, "mode": "demo", "balance": "0"})


BAD_SIGNATURE = 401, "bad sig"
WORDS: dict[str, tuple[int, str]] = {
    "SIGNATURE_MISSING": BAD_SIGNATURE,
    "SIGNATURE_INVALID": BAD_SIGNATURE,
    "SIGNATURE_EXPIRED": BAD_SIGNATURE,
    "CALLER_NOT_ALLOWED": (403, "not allowed"),
    "INTEGRATION_DISABLED": (403, "not allowed"),
    "INSUFFICIENT_FUNDS": (402, "insufficient funds"),
    "PLAYER_RESTRICTED": (403, "player blocked"),
    "LIMIT_REACHED": (403, "limit reached"),
    "LIMIT_RATE_MISSING": (403, "limit reached"),
    "WALLET_NOT_FOUND": (404, "player not found"),
    "REGION_MISMATCH": (404, "player not found"),
    "BET_NOT_FOUND": (404, "transaction not found"),
    "SESSION_NOT_FOUND": (403, "session expired"),
    "SESSION_ENDED": (403, "session expired"),
    "SESSION_EXPIRED": (403, "session expired"),
    "IDEMPOTENCY_MISMATCH": (409, "duplicate transaction"),
    "DUPLICATE": (409, "duplicate transaction"),
    "BET_TOMBSTONED": (409, "transaction refunded"),
    "BET_ROLLED_BACK": (409, "transaction refunded"),
    "BET_ALREADY_SETTLED": (409, "transaction settled"),
    "BET_FINAL": (409, "transaction settled"),
    "ROUND_FINISHED": (409, "round finished"),
    "CURRENCY_MISMATCH": (422, "invalid currency"),
    "CURRENCY_NOT_SUPPORTED": (422, "invalid currency"),
    "MALFORMED_REQUEST": (400, "bad request"),
    "BODY_TOO_LARGE": (413, "bad request"),
    "OVERLOADED": (503, "try again"),
    "UNAVAILABLE": (503, "try again"),
    "DEADLINE_EXCEEDED": (503, "try again"),
    "RATE_LIMITED": (503, "try again"),
    "BODY_TIMEOUT": (503, "try again"),
    "INTERNAL": (500, "internal error"),
}


def _word(code: str) -> tuple[int, str]:
    return WORDS.get(code, (422, "bad request"))


def _refuse(call: Call, rejected: Rejected) -> Reply:
    status, error = _word(rejected.code)
    content = {"error": error}
    if rejected.balances:
        content["balance"] = _amount(rejected.balances)
    return Reply(status, dump(content), rejected.code)


def _verify(call: Call) -> bytes:
    sent = call.headers.get(b"x-signature", b"")
    if not verify_hmac_hex(call.secrets, call.body, sent):
        raise Rejected("SIGNATURE_INVALID" if sent else "SIGNATURE_MISSING")
    return call.body


CALLS: dict[str, Handle] = {
    "balance": balance,
    "bet": bet,
    "win": win,
    "refund": refund,
    "settlement": settlement,
}

CREDITS = "win", "refund", "settlement"


def _by_name(name: str) -> Handle:
    """A body that says which call it is must say the path's."""

    async def handle(call: Call, ledger: TenantLedger) -> Reply:
        action = read_json(ActionIfAny, call.body).action
        if action not in (None, name):
            raise Unreadable("FIELD_INVALID", field="action", reason=f"must be {name} at this path")
        return await CALLS[name](call, ledger)

    return handle


DIALECT = Dialect(
    name="rgs",
    title="Aggregator with a remote game server",
    endpoints=(
        Endpoint("POST", "", callback, credits=lambda call: peek(call.body, "action") in CREDITS),
        *(
            Endpoint("POST", f"/{name}", _by_name(name), reads=name == "balance", credits=name in CREDITS)
            for name in CALLS
        ),
    ),
    verify=_verify,
    refuse=_refuse,
    policy=Policy(
        capture=AT_AUTHORIZATION, rollback_of_settled=REFUND, rollback_of_win=REVERSE, refusal_consumes_key=False
    ),
)
