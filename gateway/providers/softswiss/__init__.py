"""SoftSwiss Game Aggregator v2, as Beexar publishes it: /balance, /betwin, /rollback and /finish.

A transaction's `id_provider` is looked up first (a repeat gets the stored id and balance), then the tombstone (409),
then the whole request is applied in order, all or none.
"""

from gateway.dialect.bodies import peek_object, read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.signing import verify_hmac_hex
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.softswiss.answers import answered, balance_after, balance_of, moved, refuse, reversed_
from gateway.providers.softswiss.bodies import (
    BalanceRequest,
    BetWinRequest,
    FinishRequest,
    Request,
    RollbackRequest,
    Transaction,
)
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION, KNOWN, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from ledger.core.wins import SettleBet
from ledger.outcome import Balances, Outcome

TRANSACTION, FINISH = "transaction", "finish"
"""Classes of operations: an id_provider is unique over bets, wins and rollbacks."""


def verify(call: Call) -> bytes:
    """X-REQUEST-SIGN: hex HMAC-SHA256 of the raw body with the AUTH_TOKEN."""
    sent = call.headers.get(b"x-request-sign", b"")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    if not verify_hmac_hex(call.secrets, call.body, sent):
        raise Rejected("SIGNATURE_INVALID")
    return call.body


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    return answered(balance=balance_of(await _wallet(call, ledger, read_json(BalanceRequest, call.body))))


async def bet_win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(BetWinRequest, call.body)
    commands = [_transaction(call, body, transaction) for transaction in body.transactions]
    if body.finished:
        commands.append(_finish(call, body, body.round_id, body.transactions[-1].id_provider))
    outcomes = (await _decide(ledger, body, *commands))[: len(body.transactions)]
    balances = balance_after(outcomes) or await _wallet(call, ledger, body)
    transactions = [moved(one.id_provider, outcome) for one, outcome in zip(body.transactions, outcomes, strict=True)]
    return answered(round_id=body.round_id, transactions=transactions, balance=balance_of(balances))


def _wins(call: Call) -> bool:
    """Whether any of the transactions is a win."""
    listed = peek_object(call.body).get("transactions")
    return isinstance(listed, list) and any(isinstance(one, dict) and one.get("type") == "win" for one in listed)


async def rollback(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(RollbackRequest, call.body)
    commands: list[Command] = [
        call.command(
            Rollback, TRANSACTION, one.id_provider, target_id=one.original_id_provider, round_id=None,
            reason="rollback", player=body.account_id, currency=call.currency(body.currency), target="any",
        )
        for one in body.transactions
    ]  # fmt: skip
    if body.finished:
        commands.append(_finish(call, body, body.round_id_provider, body.transactions[-1].id_provider))
    try:
        outcomes = (await ledger.submit(*commands))[: len(body.transactions)]
    except Rejected as rejected:
        raise _not_theirs(rejected) from rejected
    # What must never begin is remembered even where the player has no wallet with a balance.
    balances = balance_after(outcomes) or await _wallet(call, ledger, body)
    transactions = [
        reversed_(one.id_provider, outcome) for one, outcome in zip(body.transactions, outcomes, strict=True)
    ]
    return answered(balance=balance_of(balances), round_id=body.round_id_provider, transactions=transactions)


async def finish(call: Call, ledger: TenantLedger) -> Reply:
    """Tells today's balance, also to a repeat."""
    body = read_json(FinishRequest, call.body)
    key = f"{body.account_id}/{body.currency}/{body.round_id}"  # no account and no currency has a slash
    (outcome,) = await _decide(ledger, body, _finish(call, body, body.round_id, key))
    balances = None if outcome.replayed else outcome.balances
    return answered(balance=balance_of(balances or await _wallet(call, ledger, body)))


def _transaction(call: Call, body: BetWinRequest, transaction: Transaction) -> Command:
    id_provider, currency, game_id = transaction.id_provider, call.currency(body.currency), call.game(body.game_id)
    if not transaction.amount.unscaled:
        raise Rejected("AMOUNT_NOT_POSITIVE")
    if transaction.type == "bet":
        return call.command(
            AuthorizeBet, TRANSACTION, id_provider, session_id=body.session_id or None, bet_id=id_provider,
            round_id=body.round_id, amount=transaction.amount, currency=currency, player=body.account_id,
            game_id=game_id,
        )  # fmt: skip
    return call.command(
        SettleBet, TRANSACTION, id_provider, bet_id=None, round_id=body.round_id, win=transaction.amount,
        currency=currency, player=body.account_id, win_id=id_provider, game_id=game_id, ends_bet=False,
    )  # fmt: skip


def _finish(call: Call, body: Request, round_id: str, key: str) -> FinishRound:
    """Without the game, which only some of the requests name that end a round."""
    return call.command(
        FinishRound, FINISH, key, player=body.account_id, currency=call.currency(body.currency), round_id=round_id
    )


async def _decide(ledger: TenantLedger, body: Request, *commands: Command) -> tuple[Outcome, ...]:
    try:
        return await ledger.submit(*commands)
    except Rejected as rejected:
        raise await _who_or_which_currency(ledger, body, rejected) from rejected


async def _wallet(call: Call, ledger: TenantLedger, body: Request) -> Balances:
    try:
        return await ledger.wallet(body.account_id, call.currency(body.currency))
    except Rejected as rejected:
        raise await _who_or_which_currency(ledger, body, rejected) from rejected


def _not_theirs(rejected: Rejected) -> Rejected:
    """The one transaction that a rollback does not find is another player's, and will be: no reason to try again."""
    if rejected.code == "BET_NOT_FOUND":
        return Rejected("FIELD_INVALID", field="original_id_provider", reason="is another player's transaction")
    return rejected


async def _who_or_which_currency(ledger: TenantLedger, body: Request, rejected: Rejected) -> Rejected:
    """Codes 101 and 154 differ: a known player may lack only this wallet."""
    if rejected.code == "WALLET_NOT_FOUND" and await ledger.wallets(body.account_id):
        return Rejected("CURRENCY_NOT_SUPPORTED")
    return rejected


DIALECT = Dialect(
    name="softswiss",
    title="SoftSwiss Game Aggregator v2 (as published by Beexar)",
    endpoints=(
        Endpoint("POST", "/balance", balance, reads=True),
        Endpoint("POST", "/betwin", bet_win, credits=_wins),
        Endpoint("POST", "/rollback", rollback, credits=True),
        Endpoint("POST", "/finish", finish, credits=True),
        # The same calls as SoftSwiss itself names them.
        Endpoint("POST", "/v2/provider_a8r.Player/Balance", balance, reads=True),
        Endpoint("POST", "/v2/provider_a8r.Round/BetWin", bet_win, credits=_wins),
        Endpoint("POST", "/v2/provider_a8r.Round/Rollback", rollback, credits=True),
        Endpoint("POST", "/v2/provider_a8r.Round/Finish", finish, credits=True),
    ),
    verify=verify,
    refuse=refuse,
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        refusal_consumes_key=False,
        rollback_of_win=REVERSE,
        session=KNOWN,
        win_needs_bet=False,
        win_after_rollback=ACCEPT,
        bet_after_round_end=ACCEPT,
    ),
)
