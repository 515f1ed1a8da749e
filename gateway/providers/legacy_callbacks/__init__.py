"""The legacy callbacks of a casino platform: maps with names of many makes, mapped strictly, and signed as our own API
is.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from gateway.dialect.amounts import decimal
from gateway.dialect.bodies import Body, peek_object, validated
from gateway.dialect.call import Call
from gateway.dialect.canonical_signature import verify_canonical_signature
from gateway.dialect.dialect import ED25519, SECRET, Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.fields import Decimal, Noted, PlayerId, ProviderCurrency, ProviderId
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number, dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.legacy_callbacks.spellings import SPELLINGS, read
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.policy import AT_AUTHORIZATION, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances, Outcome

SessionId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]


class Player(Body):
    player_id: PlayerId


class Question(Body):
    """Whose money it is about."""

    session_id: SessionId | None = None
    player_id: ProviderId | None = None
    game_id: Noted[ProviderId] = None
    round_id: ProviderId | None = None
    currency: ProviderCurrency


class Movement(Question):
    transaction_id: ProviderId


class Round(Movement):
    bet_amount: Decimal
    win_amount: Decimal
    round_status: Annotated[str, Field(pattern=r"^(?i:completed)$")] = "COMPLETED"


class Change(Movement):
    amount: Decimal
    transaction_type: Annotated[str, Field(pattern=r"^[A-Za-z_]{1,32}$")]


class Jackpot(Movement):
    amount: Decimal
    jackpot_type: Noted[ProviderId] = None
    jackpot_id: Noted[ProviderId] = None


class Error(Body):
    error_code: ProviderId


# The callbacks ------------------------------------------------------------------------------------------------------


async def game_round(call: Call, ledger: TenantLedger) -> Reply:
    """A bet and what it won, all or none."""
    body = validated(Round, read(call.body))
    shared = await _shared(call, ledger, body)
    outcomes = await ledger.submit(
        call.command(
            AuthorizeBet, "bet", body.transaction_id, session_id=body.session_id, bet_id=body.transaction_id,
            amount=body.bet_amount, **shared,
        ),
        call.command(
            SettleBet, "win", body.transaction_id, bet_id=body.transaction_id, win=body.win_amount, **shared
        ),
    )  # fmt: skip
    return _yes(call, body, outcomes[0], outcomes[-1].balances)


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    """A movement; of the type `balance`, only a question."""
    fields = read(call.body)
    if str(fields.get("transaction_type")).upper() == "BALANCE":
        question = validated(Question, fields)
        shared = await _shared(call, ledger, question)
        return _yes(call, question, None, await ledger.wallet(shared["player"], shared["currency"]))
    body = validated(Change, fields)
    make = MOVEMENTS.get(body.transaction_type.upper())
    if make is None:
        raise Rejected("FIELD_INVALID", field="transaction_type", reason=f"must be one of {', '.join(MOVEMENTS)}")
    shared = await _shared(call, ledger, body)
    (outcome,) = await ledger.submit(make(call, body, shared))
    return _yes(call, body, outcome, outcome.balances or await ledger.wallet(shared["player"], shared["currency"]))


async def jackpot(call: Call, ledger: TenantLedger) -> Reply:
    body = validated(Jackpot, read(call.body))
    command = call.command(
        Award, "jackpot", body.transaction_id, amount=body.amount, award_id=body.transaction_id,
        award_kind="jackpot", campaign_id=body.jackpot_id, **await _shared(call, ledger, body),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    return _yes(call, body, outcome, outcome.balances)


async def error(call: Call, ledger: TenantLedger) -> Reply:
    """Taken note of, in the log line of the call; nothing moves."""
    validated(Error, read(call.body))
    return Reply(200, dump({"status": "success"}))


# Steps of them ------------------------------------------------------------------------------------------------------


async def _shared(call: Call, ledger: TenantLedger, body: Question) -> dict[str, Any]:
    """Fields of every command. The player is named, or the session's: also of one that has ended, for only debits need
    a live one.
    """
    if body.player_id is not None:
        player = validated(Player, {"player_id": call.option("player_id").replace("{}", body.player_id)}).player_id
    elif body.session_id is not None:
        player = (await ledger.session(body.session_id, live=False)).player_id
    else:
        raise Unreadable("FIELD_INVALID", field="player_id", reason="must be there, or session_id")
    return {
        "player": player,
        "round_id": body.round_id,
        "currency": call.currency(body.currency),
        "game_id": call.game(body.game_id) if body.game_id else None,
    }


def _debit(call: Call, body: Change, shared: dict[str, Any]) -> Command:
    return call.command(
        AuthorizeBet, "bet", body.transaction_id, session_id=body.session_id, bet_id=body.transaction_id,
        amount=body.amount, **shared,
    )  # fmt: skip


def _win(call: Call, body: Change, shared: dict[str, Any]) -> Command:
    if body.round_id is None:
        raise Unreadable("FIELD_INVALID", field="round_id", reason="must be there: only the round says whose win it is")
    return call.command(
        SettleBet, "win", body.transaction_id, bet_id=None, win=body.amount, win_id=body.transaction_id, **shared
    )


def _refund(call: Call, body: Change, shared: dict[str, Any]) -> Command:
    """The id names what is undone: there is no other field for it."""
    return call.command(
        Rollback, "rollback", body.transaction_id, target_id=body.transaction_id, round_id=None, reason="refund",
        player=shared["player"], currency=shared["currency"], target="any",
    )  # fmt: skip


MOVEMENTS: dict[str, Callable[[Call, Change, dict[str, Any]], Command]] = {
    "BET": _debit,
    "DEBIT": _debit,
    "WIN": _win,
    "CREDIT": _win,
    "REFUND": _refund,
    "ROLLBACK": _refund,
}
"""What a transaction type means."""


def _credits(call: Call) -> bool:
    sent = peek_object(call.body)
    kinds = {str(sent.get(name)).upper() for name in SPELLINGS["transaction_type"]}
    return any(kind in kinds for kind, make in MOVEMENTS.items() if make is not _debit)


# Answers ------------------------------------------------------------------------------------------------------------


def _yes(call: Call, body: Question, outcome: Outcome | None, balances: Balances | None) -> Reply:
    content = {
        "status": "success",
        "transactionId": outcome.our_id if outcome else None,
        "balance": _balance(balances),
        "currency": call.provider_currency(balances.currency) if balances else body.currency,
    }
    return Reply(200, dump(content))


def _balance(balances: Balances | None) -> Number:
    return Number(decimal(balances.available_minor, balances.exponent) if balances else "0")


STATUSES = {
    "SIGNATURE_INVALID": 401,
    "SIGNATURE_EXPIRED": 401,
    "CALLER_NOT_ALLOWED": 403,
    "INTEGRATION_DISABLED": 403,
    "PLAYER_RESTRICTED": 403,
    "LIMIT_REACHED": 403,
    "LIMIT_RATE_MISSING": 422,
    "INSUFFICIENT_FUNDS": 402,
    "WALLET_NOT_FOUND": 404,
    "REGION_MISMATCH": 404,
    "SESSION_NOT_FOUND": 404,
    "BET_NOT_FOUND": 404,
    "SESSION_ENDED": 409,
    "SESSION_EXPIRED": 409,
    "IDEMPOTENCY_MISMATCH": 409,
    "DUPLICATE": 409,
    "BET_TOMBSTONED": 409,
    "BET_ROLLED_BACK": 409,
    "BET_ALREADY_SETTLED": 409,
    "BET_FINAL": 409,
    "ROUND_FINISHED": 409,
    "MALFORMED_REQUEST": 400,
    "BODY_TOO_LARGE": 413,
    "INTERNAL": 500,
}
"""Everything else that a caller can change is 422."""

RETRY = {"OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RATE_LIMITED", "BODY_TIMEOUT"}
"""One word for all of them: TEMPORARY, 503."""


def refuse(call: Call, rejected: Rejected) -> Reply:
    code = "SIGNATURE_INVALID" if rejected.code == "SIGNATURE_MISSING" else rejected.code
    provider_code, status = ("TEMPORARY", 503) if code in RETRY else (code, STATUSES.get(code, 422))
    content: dict[str, object] = {
        "status": "error",
        "code": provider_code,
        "message": provider_code.replace("_", " ").capitalize(),
    }
    if rejected.balances:
        content["balance"] = _balance(rejected.balances)
    return Reply(status, dump(content), rejected.code)


CALLBACKS: dict[str, Handle] = {"game-round": game_round, "balance": balance, "error": error, "jackpot": jackpot}
CREDITS: dict[str, bool | Callable[[Call], bool]] = {"game-round": True, "balance": _credits, "jackpot": True}
AS_WRITTEN = "/api/callbacks/legacy"

DIALECT = Dialect(
    name="legacy_callbacks",
    title="Legacy game callbacks, signed",
    endpoints=tuple(
        Endpoint("POST", f"/{name}", handle, (f"{AS_WRITTEN}/{name}",), credits=CREDITS.get(name, False))
        for name, handle in CALLBACKS.items()
    ),
    verify=verify_canonical_signature,
    proof_names_operation=True,
    refuse=refuse,
    keys=(SECRET, ED25519),
    policy=Policy(
        capture=AT_AUTHORIZATION, rollback_of_settled=REVERSE, rollback_of_win=REVERSE, refusal_consumes_key=False
    ),
    options={"player_id": Option("Our player id of theirs, such as p_{}.", "{}")},
)
