"""Evolution's One Wallet: check, sid, balance, debit, credit, cancel and promo_payout.

`refId` is the bet; `transaction.id` is the id of one debit or credit, and a cancel repeats its debit's. What was done
before counts as success, in words of its own. Credits and cancels need no session.
"""

import hmac
from urllib.parse import parse_qsl
from uuid import uuid4

from gateway.dialect.bodies import read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.evolution.answers import answer_ok, checked, refuse
from gateway.providers.evolution.bodies import (
    BalanceRequest,
    CheckRequest,
    DebitRequest,
    MoneyRequest,
    PlayerRequest,
    PromoRequest,
    PromoTransaction,
    SidRequest,
    TransactionRequest,
)
from ledger.core.bets import AuthorizeBet
from ledger.core.money import Amount
from ledger.core.players import StartSession
from ledger.core.policy import ACCEPT, CURRENT, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.state import REAL, ROLLED_BACK, TOMBSTONED, Bet
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances, Outcome

DEBIT, CREDIT, CANCEL, PROMO, SID = "debit", "credit", "cancel", "promo", "sid"
"""Classes of operations: a cancel repeats the id of its debit."""

AWARDS = {
    "JackpotWin": "jackpot",
    "FreeRoundPlayableSpent": "free_spins",
    "RewardGamePlayableSpent": "free_spins",
    "RewardGameWinCapReached": "free_spins",
    "RewardGameMinBetLimitReached": "free_spins",
    "RtrMonetaryReward": "tournament",
    "SmartTournamentMonetaryReward": "tournament",
}
"""What a promo payout is for. Any other type is a promotion."""


def verify(call: Call) -> bytes:
    """`authToken` in the query is the shared secret. It proves the caller and nothing of what they say."""
    fields = parse_qsl(call.query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    sent = [value for name, value in fields if name == "authToken"]
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    found = False
    for secret in call.secrets:
        found |= hmac.compare_digest(secret, sent[0].encode("latin-1"))
    if not found or len(sent) > 1:
        raise Rejected("SIGNATURE_INVALID")
    return call.body


async def check(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(CheckRequest, call.body)
    await _live(ledger, body)
    return checked(body.sid, body.uuid)


async def sid(call: Call, ledger: TenantLedger) -> Reply:
    """A session keeps its sid for as long as it lives; whoever has none is given a new session."""
    body = read_json(SidRequest, call.body)
    if body.sid:
        return await check(call, ledger)
    currency = await ledger.currency_of(body.user_id)
    expires_at = call.received_at + int(call.option("session_ttl_s")) * 1_000_000
    command = call.command(
        StartSession, SID, uuid4().hex, player=body.user_id, currency=currency, game_id=call.option("lobby"),
        locale=None, mode=REAL, expires_at=expires_at,
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    return checked(outcome.result["session_id"], body.uuid)


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(BalanceRequest, call.body)
    await _live(ledger, body)
    return answer_ok(call, body.uuid, await ledger.wallet(body.user_id, call.currency(body.currency)))


async def debit(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(DebitRequest, call.body)
    one = body.transaction
    command = call.command(
        AuthorizeBet, DEBIT, one.id, session_id=body.sid, bet_id=one.ref_id, round_id=body.round_id, amount=one.amount,
        currency=call.currency(body.currency), player=body.user_id, game_id=_game(call, body),
    )  # fmt: skip
    try:
        (outcome,) = await ledger.submit(command)
    except Rejected as rejected:
        if rejected.code in ("SESSION_NOT_FOUND", "IDEMPOTENCY_MISMATCH"):
            await _known_player(ledger, body)
        if rejected.code == "IDEMPOTENCY_MISMATCH" and await _is_their_bet(call, ledger, body):
            return await _already(call, ledger, body)
        if rejected.code != "DUPLICATE":
            raise
        return await _debited_before(call, ledger, body, rejected.balances)
    if not outcome.replayed:
        return await _answer(call, ledger, body, outcome, "OK")
    return await _debited_before(call, ledger, body, outcome.balances)


async def _is_their_bet(call: Call, ledger: TenantLedger, body: DebitRequest) -> bool:
    """The same id and refId with another amount: the provider wants to know that the bet exists, as it was placed."""
    known = await ledger.bet(body.transaction.ref_id)
    if known is None or known.status == ROLLED_BACK:
        return False
    return (known.player_id, known.stake_currency) == (body.user_id, call.currency(body.currency))


async def _already(call: Call, ledger: TenantLedger, body: DebitRequest) -> Reply:
    balances = await ledger.wallet(body.user_id, call.currency(body.currency))
    return answer_ok(call, body.uuid, balances, "BET_ALREADY_EXIST", repeated=True)


async def _debited_before(call: Call, ledger: TenantLedger, body: DebitRequest, balances: Balances | None) -> Reply:
    """BET_ALREADY_EXIST counts as success: it is only said of this very bet, and while its stake is there."""
    one = body.transaction
    known = await ledger.bet(one.ref_id)
    if not known or not balances or not _is_same(known, body, call.currency(body.currency), balances.exponent):
        raise Rejected("IDEMPOTENCY_MISMATCH", idempotency_key=one.id)
    if known.status == ROLLED_BACK:
        raise Rejected("BET_TOMBSTONED", bet_id=one.ref_id)
    return answer_ok(call, body.uuid, balances, "BET_ALREADY_EXIST", repeated=True)


def _is_same(bet: Bet, body: DebitRequest, currency: str, exponent: int) -> bool:
    conversion = bet.conversion
    stake = (conversion.amount_minor, conversion.exponent) if conversion else (bet.stake_minor, exponent)
    says = bet.player_id, bet.stake_currency, stake[0]
    return says == (body.user_id, currency, body.transaction.amount.to_minor(stake[1]))


async def credit(call: Call, ledger: TenantLedger) -> Reply:
    """The end of a bet; 0 where it is lost."""
    body = read_json(TransactionRequest, call.body)
    one = body.transaction
    command = call.command(
        SettleBet, CREDIT, one.id, bet_id=one.ref_id, round_id=None, win=one.amount,
        currency=call.currency(body.currency), player=body.user_id, game_id=_game(call, body),
    )  # fmt: skip
    try:
        (outcome,) = await ledger.submit(command)
    except Rejected as rejected:
        if rejected.code == "BET_NOT_FOUND":
            await _known_player(ledger, body)
        raise
    return await _answer(call, ledger, body, outcome, "BET_ALREADY_SETTLED" if outcome.replayed else "OK")


async def cancel(call: Call, ledger: TenantLedger) -> Reply:
    """Of an unknown bet: BET_DOES_NOT_EXIST, and it can then never begin."""
    body = read_json(TransactionRequest, call.body)
    one = body.transaction
    command = call.command(
        Rollback, CANCEL, one.id, target_id=one.ref_id, round_id=None, reason="cancel", player=body.user_id,
        currency=call.currency(body.currency),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    if outcome.result["status"] == TOMBSTONED:
        await _known_player(ledger, body)
        raise Rejected("BET_NOT_FOUND", bet_id=one.ref_id, balances=outcome.balances)
    done_before = outcome.replayed or outcome.unchanged
    return await _answer(call, ledger, body, outcome, "BET_ALREADY_SETTLED" if done_before else "OK")


async def promo_payout(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(PromoRequest, call.body)
    one = body.promo_transaction
    command = call.command(
        Award, PROMO, one.id, player=body.user_id, currency=call.currency(body.currency), amount=_promo_amount(one),
        award_id=one.id, award_kind=AWARDS.get(one.type or "", "promo"), campaign_id=one.voucher_id,
        round_id=body.round_id, game_id=_game(call, body),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    return await _answer(call, ledger, body, outcome, "OK")


def _promo_amount(one: PromoTransaction) -> Amount:
    """A jackpot may come as a list of its parts, with no amount beside it."""
    if one.amount is not None:
        return one.amount
    if not one.jackpots:
        raise Unreadable("FIELD_INVALID", field="promoTransaction.amount", reason="field required")
    scale = max(jackpot.win_amount.scale for jackpot in one.jackpots)
    unscaled = [amount.unscaled * 10 ** (scale - amount.scale) for amount in (one.win_amount for one in one.jackpots)]
    return Amount(sum(unscaled), scale)


def _game(call: Call, body: MoneyRequest) -> str | None:
    return call.game(body.table_id) if body.table_id else None


async def _live(ledger: TenantLedger, body: CheckRequest) -> None:
    await _known_player(ledger, body)
    session = await ledger.session(body.sid)
    if session.player_id != body.user_id:
        raise Rejected("SESSION_NOT_FOUND", session_id=body.sid)


async def _known_player(ledger: TenantLedger, body: PlayerRequest) -> None:
    """An unknown `userId` is a wrong parameter in every call, whatever else is wrong with it."""
    if not await ledger.wallets(body.user_id):
        raise Rejected("WALLET_NOT_FOUND", player_id=body.user_id, currency="any currency")


async def _answer(call: Call, ledger: TenantLedger, body: MoneyRequest, outcome: Outcome, status: str) -> Reply:
    balances = outcome.balances or await ledger.wallet(body.user_id, call.currency(body.currency))
    return answer_ok(call, body.uuid, balances, status, repeated=outcome.replayed)


DIALECT = Dialect(
    name="evolution",
    title="Evolution One Wallet",
    endpoints=(
        Endpoint("POST", "/check", check, reads=True),
        Endpoint("POST", "/sid", sid),
        Endpoint("POST", "/balance", balance, reads=True),
        Endpoint("POST", "/debit", debit),
        Endpoint("POST", "/credit", credit, credits=True),
        Endpoint("POST", "/cancel", cancel, credits=True),
        Endpoint("POST", "/promo_payout", promo_payout, credits=True),
    ),
    verify=verify,
    query_has_credentials=True,
    refuse=refuse,
    policy=Policy(refusal_consumes_key=False, zero_stake=ACCEPT, replay_balance=CURRENT),
    defaults={"session_ttl_s": "43200"},
    options={
        "lobby": Option("The game of a session that `sid` starts; the catalogue has it.", default="lobby"),
        "balance_decimals": Option(
            "Decimals that balances are told with, rounded down.", default="2", choices=tuple("0123456")
        ),
    },
)
