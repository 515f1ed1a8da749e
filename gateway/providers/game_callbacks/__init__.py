"""The generic game callbacks of a casino platform, with the proof that its description lacks: X-Signature, as our own
API has it.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from gateway.dialect.bodies import peek, read_json, validated
from gateway.dialect.call import Call
from gateway.dialect.canonical_signature import verify_canonical_signature
from gateway.dialect.dialect import ED25519, SECRET, Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.fields import rfc3339
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.game_callbacks.answers import TOKEN_LIFETIME_S, balance, number, refuse, token, yes
from gateway.providers.game_callbacks.bodies import (
    BalanceUpdate,
    Callback,
    GameError,
    GameResult,
    JackpotWin,
    Key,
    Player,
    SessionRecovery,
    SessionTransfer,
)
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.money import Amount
from ledger.core.policy import AT_AUTHORIZATION, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.wallets import Adjust
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances, Outcome

# The callbacks ------------------------------------------------------------------------------------------------------


async def ping(call: Call, ledger: TenantLedger) -> Reply:
    return yes(call, {})


async def game_round(call: Call, ledger: TenantLedger) -> Reply:
    """A bet and what it won, all or none."""
    body = read_json(GameResult, call.body)
    transaction_id, player = _identity(call, body), await _player(call, ledger, body)
    shared: dict[str, Any] = {
        "bet_id": transaction_id,
        "round_id": body.round_id,
        "player": player,
        "currency": call.currency(body.currency),
        "game_id": call.game(body.game_id),
    }
    bet, win = await ledger.submit(
        call.command(
            AuthorizeBet, "bet", transaction_id, occurred_at=body.round_start_time or body.round_end_time,
            session_id=body.session_id, amount=body.bet_amount, **shared,
        ),
        call.command(
            SettleBet, "win", transaction_id, occurred_at=body.round_end_time, win=body.win_amount, **shared
        ),
    )  # fmt: skip
    content = {"transactionId": bet.result.get("hold_id", ""), "sessionId": body.session_id}
    return yes(call, content | {"balance": balance(win.balances)})


async def balance_update(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(BalanceUpdate, call.body)
    transaction_id, player = _identity(call, body), await _player(call, ledger, body)
    make = MOVEMENTS.get(body.transaction_type.upper())
    if make is None:
        raise Rejected("FIELD_INVALID", field="transactionType", reason=f"must be one of {', '.join(MOVEMENTS)}")
    if body.amount[0] and make is not _adjustment:
        raise Unreadable("FIELD_INVALID", field="amount", reason="must not be negative but in an ADJUSTMENT")
    command = make(call, body, transaction_id, player)
    (outcome,) = await ledger.submit(command)
    after = outcome.balances or await ledger.wallet(player, call.currency(body.currency))
    content = {
        "transactionId": outcome.our_id or "",
        "sessionId": body.session_id,
        "balanceBefore": await _before(ledger, command, outcome, after, body.amount[1]),
        "balanceAfter": balance(after),
    }
    return yes(call, content)


async def error(call: Call, ledger: TenantLedger) -> Reply:
    """Taken note of, in the log line of the call; nothing moves."""
    read_json(GameError, call.body)
    return yes(call, {})


async def jackpot(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(JackpotWin, call.body)
    transaction_id, player = _identity(call, body), await _player(call, ledger, body)
    command = call.command(
        Award, "jackpot", transaction_id, player=player, currency=call.currency(body.currency), amount=body.amount,
        award_id=transaction_id, award_kind="jackpot", campaign_id=body.jackpot_id, round_id=body.round_id,
        game_id=call.game(body.game_id),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    content = {
        "transactionId": outcome.our_id or "",
        "sessionId": body.session_id,
        "jackpotType": body.jackpot_type,
        "amount": Number(str(body.amount)),
        "newBalance": balance(outcome.balances),
    }
    return yes(call, content)


async def session_recovery(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(SessionRecovery, call.body)
    content, expires_at = await _resumable(call, ledger, body)
    made = token(call, "recovery", body.session_id, body.device_id or "", expires_at)
    return yes(
        call, content | {"lastRoundId": None, "recoveryToken": made, "resumeUrl": _resume_url(call, made) or None}
    )


async def session_transfer(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(SessionTransfer, call.body)
    content, expires_at = await _resumable(call, ledger, body)
    made = token(call, "transfer", body.session_id, body.new_device_id, expires_at)
    return yes(call, content | {"transferToken": made, "resumeUrl": _resume_url(call, made)})


# Steps of them ------------------------------------------------------------------------------------------------------


def _identity(call: Call, body: GameResult | BalanceUpdate | JackpotWin) -> str:
    """The provider's id of the callback; where it sends none, its signed X-Idempotency-Key, else the fields that the
    integration says identify one. An id that we made up would pay a repeat twice.
    """
    if body.provider_transaction_id:
        return body.provider_transaction_id
    if key := call.header(b"x-idempotency-key"):
        return validated(Key, {"x-idempotency-key": key}).key
    names = [name for name in call.option("identified_by").split(",") if name]
    sent = body.model_dump(by_alias=True, include={"session_id", "game_id", "round_id"})
    if not names or not all(sent.get(name) for name in names):
        raise Unreadable(
            "FIELD_INVALID",
            field="providerTransactionId",
            reason="must be there, or X-Idempotency-Key, or identified_by set",
        )
    identity = ",".join(f"{name}={sent[name]}" for name in names)
    if len(identity) > 400:
        raise Unreadable("FIELD_INVALID", field=names[0], reason="is too long to identify a callback by")
    return identity


async def _player(call: Call, ledger: TenantLedger, body: Callback) -> str:
    """The option `player_id` says what our id of a number is; else the session knows, also one that has ended: only
    debits need a live one.
    """
    if body.player_id is not None and (template := call.option("player_id")):
        return validated(Player, {"playerId": template.replace("{}", str(body.player_id))}).player_id
    return (await ledger.session(body.session_id, live=False)).player_id


async def _resumable(call: Call, ledger: TenantLedger, body: Callback) -> tuple[dict[str, Any], int]:
    session = await ledger.session(body.session_id)
    balances = await ledger.wallet(session.player_id, session.currency)
    expires_at = min(session.expires_at, call.received_at + TOKEN_LIFETIME_S * 1_000_000)
    content = {
        "sessionId": session.session_id,
        "gameState": None,
        "balance": balance(balances),
        "expiresAt": rfc3339(expires_at),
    }
    return content, expires_at


def _resume_url(call: Call, made: str) -> str:
    url = call.option("resume_url")
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'token': made})}" if url else ""


# Kinds of movements -------------------------------------------------------------------------------------------------


def _debit(call: Call, body: BalanceUpdate, transaction_id: str, player: str) -> Command:
    return call.command(
        AuthorizeBet, "bet", transaction_id, session_id=body.session_id, bet_id=transaction_id,
        round_id=body.round_id, amount=body.amount[1], currency=call.currency(body.currency), player=player,
        game_id=call.game(body.game_id),
    )  # fmt: skip


def _win(call: Call, body: BalanceUpdate, transaction_id: str, player: str) -> Command:
    if body.round_id is None:
        raise Unreadable("FIELD_INVALID", field="roundId", reason="must be there: only the round says whose win it is")
    return call.command(
        SettleBet, "win", transaction_id, bet_id=None, round_id=body.round_id, win=body.amount[1],
        currency=call.currency(body.currency), player=player, win_id=transaction_id, game_id=call.game(body.game_id),
    )  # fmt: skip


def _promotion(call: Call, body: BalanceUpdate, transaction_id: str, player: str) -> Command:
    return call.command(
        Award, "win", transaction_id, player=player, currency=call.currency(body.currency), amount=body.amount[1],
        award_id=transaction_id, award_kind="promo", round_id=body.round_id, game_id=call.game(body.game_id),
    )  # fmt: skip


def _refund(call: Call, body: BalanceUpdate, transaction_id: str, player: str) -> Command:
    """The id names what is undone: there is no other field for it."""
    return call.command(
        Rollback, "rollback", transaction_id, target_id=transaction_id, round_id=None, reason="refund",
        session_id=body.session_id, player=player, currency=call.currency(body.currency), target="any",
    )  # fmt: skip


def _adjustment(call: Call, body: BalanceUpdate, transaction_id: str, player: str) -> Command:
    negative, amount = body.amount
    return call.command(
        Adjust, "adjustment", transaction_id, player=player, currency=call.currency(body.currency), amount=amount,
        negative=negative, reason="adjustment", reference=transaction_id, actor=call.integration.provider_id,
        round_id=body.round_id, game_id=call.game(body.game_id),
    )  # fmt: skip


MOVEMENTS: dict[str, Callable[[Call, BalanceUpdate, str, str], Command]] = {
    "BET": _debit,
    "DEBIT": _debit,
    "WIN": _win,
    "CREDIT": _win,
    "BONUS": _promotion,
    "PROMO": _promotion,
    "REFUND": _refund,
    "ROLLBACK": _refund,
    "ADJUSTMENT": _adjustment,
}
"""What a transactionType means."""


def _credits(call: Call) -> bool:
    make = MOVEMENTS.get(peek(call.body, "transactionType").upper())
    return make not in (None, _debit)


async def _before(ledger: TenantLedger, command: Command, outcome: Outcome, after: Balances, amount: Amount) -> Number:
    """What the movement left, without the movement."""
    if outcome.unchanged or outcome.result.get("status") == "tombstoned":
        given_minor = 0
    elif isinstance(command, Rollback):
        given_minor = await _given_back(ledger, command.target_id)
    else:
        taken = isinstance(command, AuthorizeBet) or (isinstance(command, Adjust) and command.negative)
        given_minor = (amount.to_minor(after.exponent) or 0) * (-1 if taken else 1)
    return number(after.available_minor - given_minor, after.exponent)


async def _given_back(ledger: TenantLedger, undone: str) -> int:
    if bet := await ledger.bet(undone):
        return bet.paid_minor
    win = await ledger.win(undone)
    return -win.win_minor if win else 0


CALLBACKS: dict[str, Handle] = {
    "game-round": game_round, "balance": balance_update, "error": error, "jackpot": jackpot,
    "session-recovery": session_recovery, "session-transfer": session_transfer,
}  # fmt: skip
CREDITS: dict[str, bool | Callable[[Call], bool]] = {"game-round": True, "balance": _credits, "jackpot": True}
AS_WRITTEN = "/api/callbacks"

DIALECT = Dialect(
    name="game_callbacks",
    title="Game callbacks, signed",
    endpoints=(
        Endpoint("GET", "/ping", ping, (f"{AS_WRITTEN}/ping",), open=True),
        *(
            Endpoint("POST", f"/{name}", handle, (f"{AS_WRITTEN}/{name}",), credits=CREDITS.get(name, False))
            for name, handle in CALLBACKS.items()
        ),
    ),
    verify=verify_canonical_signature,
    proof_names_operation=True,
    refuse=refuse,
    keys=(SECRET, ED25519),
    policy=Policy(
        capture=AT_AUTHORIZATION, rollback_of_settled=REVERSE, rollback_of_win=REVERSE, refusal_consumes_key=False
    ),
    options={
        "identified_by": Option(
            "Fields that identify a callback without providerTransactionId, such as roundId or sessionId,roundId. "
            "Empty: it is refused."
        ),
        "player_id": Option("Our player id of playerId, such as p_{}. Empty: the session says whose it is."),
        "resume_url": Option("Where a recovered or transferred session goes on."),
    },
)
