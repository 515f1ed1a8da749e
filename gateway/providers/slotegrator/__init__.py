"""Slotegrator Game Integration Service (GIS), slots API v1: form posts to one URL, told apart by `action`."""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.dialect.amounts import decimal
from gateway.dialect.bodies import form_fields, validated
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number, dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.slotegrator.bodies import (
    Bet,
    Refund,
    Request,
    RollbackRequest,
    Settle,
    Transaction,
    Win,
    read_fields,
)
from gateway.providers.slotegrator.refusals import refuse
from gateway.providers.slotegrator.signature import verify
from ledger.core.bets import AuthorizeBet, FinalizeBet
from ledger.core.commands import Command
from ledger.core.policy import ACCEPT, ACKNOWLEDGE, AT_AUTHORIZATION, CURRENT, KNOWN, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances, Outcome

TRANSACTION, ROLLBACK, SETTLE, FINISH = "transaction", "rollback", "settle", "finish"
"""Classes of operations: a transaction_id is unique over bets, wins and refunds; of a rollback, what it lists."""

STAKE_KINDS = {"tip": "tip", "freespin": "free"}
WIN_KINDS = {"jackpot": "jackpot", "freespin": "free"}
AWARD_KINDS = {
    "bonus": "promo",
    "promo": "promo",
    "unaccounted_promo": "promo",
    "loyalty_win": "promo",
    "prize_drop": "promo",
    "pragmatic_prize_drop": "promo",
    "tournament": "tournament",
    "pragmatic_tournament": "tournament",
}
"""Types of wins that the house pays for, outside of any round. Every other type is a plain win."""


async def callback(call: Call, ledger: TenantLedger) -> Reply:
    fields = read_fields(call.body)
    model, handle = ACTIONS.get(fields.get("action", ""), (None, None))
    if model is None or handle is None:
        raise Rejected("FIELD_INVALID", field="action", reason=f"must be one of {', '.join(ACTIONS)}")
    return await handle(call, ledger, validated(model, fields))


def _credits(call: Call) -> bool:
    try:
        return form_fields(call.body).get("action") in ("win", "refund", "rollback", "settle")
    except Unreadable:
        return False


async def balance(call: Call, ledger: TenantLedger, body: Request) -> Reply:
    balances = await ledger.wallet(body.player_id, call.currency(body.currency))
    return Reply(200, dump({"balance": _amount(balances)}))


async def bet(call: Call, ledger: TenantLedger, body: Bet) -> Reply:
    command = call.command(
        AuthorizeBet, TRANSACTION, body.transaction_id, session_id=body.session_id, bet_id=body.transaction_id,
        round_id=body.round_id, amount=body.amount, currency=call.currency(body.currency), player=body.player_id,
        game_id=_game(call, body), stake_kind=STAKE_KINDS.get(body.type, "bet"),
    )  # fmt: skip
    return await _moved(call, ledger, body, command)


async def win(call: Call, ledger: TenantLedger, body: Win) -> Reply:
    return await _moved(call, ledger, body, _win(call, body))


async def refund(call: Call, ledger: TenantLedger, body: Refund) -> Reply:
    """Gives a bet back, whenever the refund comes. One that names a win is answered, and changes nothing."""
    if known := await ledger.win(body.bet_transaction_id):
        if known.player_id != body.player_id:
            raise Rejected("BET_NOT_FOUND", bet_id=body.bet_transaction_id)
        balances = await ledger.wallet(body.player_id, call.currency(body.currency))
        return Reply(200, dump({"balance": _amount(balances), "transaction_id": known.settlement_id}))
    command = _undo(call, body, TRANSACTION, body.transaction_id, body.bet_transaction_id, "bet")
    return await _answered(call, ledger, body, await ledger.submit(command))


async def rollback(call: Call, ledger: TenantLedger, body: RollbackRequest) -> Reply:
    """Undoes what is listed and nothing else, all or none."""
    undone = [one for one in body.rollback_transactions if one.action != "refund"]
    commands = [_undo(call, body, ROLLBACK, one.transaction_id, one.transaction_id, one.action) for one in undone]
    listed = [one.transaction_id for one in body.rollback_transactions]
    return await _answered(call, ledger, body, await ledger.submit(*commands), rollback_transactions=listed)


async def settle(call: Call, ledger: TenantLedger, body: Settle) -> Reply:
    """The end of the bet's round, and of all changes to the bet."""
    bet = await ledger.bet(body.bet_transaction_id)
    commands: list[Command] = []
    if round_id := body.round_id or (bet.round_id if bet else None):
        commands.append(_finish(call, body, round_id))
    commands.append(call.command(FinalizeBet, SETTLE, body.transaction_id, bet_id=body.bet_transaction_id))
    return await _answered(call, ledger, body, await ledger.submit(*commands))


def _win(call: Call, body: Win) -> Command:
    currency, game_id = call.currency(body.currency), _game(call, body)
    if (award_kind := AWARD_KINDS.get(body.type)) and body.amount.unscaled:
        return call.command(
            Award, TRANSACTION, body.transaction_id, player=body.player_id, currency=currency, amount=body.amount,
            award_id=body.transaction_id, award_kind=award_kind, round_id=body.round_id, game_id=game_id,
        )  # fmt: skip
    return call.command(
        SettleBet, TRANSACTION, body.transaction_id, bet_id=None, round_id=body.round_id, win=body.amount,
        currency=currency, player=body.player_id, win_id=body.transaction_id, game_id=game_id,
        win_kind=WIN_KINDS.get(body.type, "win"), ends_bet=False,
    )  # fmt: skip


def _undo(call: Call, body: Transaction, operation: str, key: str, undone: str, target: str) -> Rollback:
    return call.command(
        Rollback, operation, key, target_id=undone, round_id=None, reason=operation, player=body.player_id,
        currency=call.currency(body.currency), target=target,
    )  # fmt: skip


def _finish(call: Call, body: Transaction, round_id: str) -> FinishRound:
    return call.command(
        FinishRound, FINISH, body.transaction_id, player=body.player_id, currency=call.currency(body.currency),
        round_id=round_id,
    )  # fmt: skip


async def _moved(call: Call, ledger: TenantLedger, body: Transaction, command: Command) -> Reply:
    """Commit a bet or a win, and the end of its round with it."""
    commands = [command]
    if body.ends_round and body.round_id:
        commands.append(_finish(call, body, body.round_id))
    return await _answered(call, ledger, body, (await ledger.submit(*commands))[:1])


async def _answered(
    call: Call, ledger: TenantLedger, body: Transaction, outcomes: tuple[Outcome, ...], **more: list[str]
) -> Reply:
    balances = outcomes[-1].balances or await ledger.wallet(body.player_id, call.currency(body.currency))
    # A bet that came after its refund made nothing, and is named after itself.
    our_id = outcomes[0].our_id or f"noop_{body.transaction_id}"
    content = {"balance": _amount(balances), "transaction_id": our_id} | more
    return Reply(200, dump(content))


def _amount(balances: Balances) -> Number:
    return Number(decimal(balances.available_minor, balances.exponent))


def _game(call: Call, body: Transaction) -> str | None:
    return call.game(body.game_uuid) if body.game_uuid else None


ACTIONS: dict[str, tuple[type[Request], Callable[[Call, TenantLedger, Any], Awaitable[Reply]]]] = {
    "balance": (Request, balance),
    "bet": (Bet, bet),
    "win": (Win, win),
    "refund": (Refund, refund),
    "rollback": (RollbackRequest, rollback),
    "settle": (Settle, settle),
}

DIALECT = Dialect(
    name="slotegrator",
    title="Slotegrator Game Integration Service (GIS)",
    endpoints=(Endpoint("POST", "", callback, credits=_credits),),
    verify=verify,
    proof_names_operation=True,  # there is one path, and the body says which call it is
    refuse=refuse,
    body_limit_bytes=262_144,
    options={
        "merchant_id": Option("The X-Merchant-Id that callbacks must carry; empty: any that is signed"),
        "signature_window_s": Option(
            "How far off X-Timestamp may be, seconds", default="300", pattern=r"[1-9][0-9]{0,4}"
        ),
    },
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        refusal_consumes_key=False,
        rollback_of_win=REVERSE,
        session=KNOWN,
        win_needs_bet=False,
        win_after_rollback=ACCEPT,
        late_bet=ACKNOWLEDGE,
        zero_stake=ACCEPT,
        bet_after_round_end=ACCEPT,
        replay_balance=CURRENT,
    ),
)
