"""Hub88's Wallet API, as operators serve it: user info and balance; bet, win and rollback.

Every answer is HTTP 200 with its meaning in `status`, but a passing trouble of ours, which is HTTP 5xx: Hub88 repeats
after a failed exchange and rolls back after any other status.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.dialect.amounts import scaled
from gateway.dialect.bodies import read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import RSA, Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.signing import decode_base64
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.hub88.answers import AMOUNT_DECIMALS, MISSING, answer_ok, answered, refuse
from gateway.providers.hub88.bodies import (
    BalanceRequest,
    BetRequest,
    MoneyRequest,
    RollbackRequest,
    UserRequest,
    WinRequest,
)
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Outcome

TRANSACTION, FINISH = "transaction", "finish"
"""Classes of operations: a transaction_uuid is unique over bets, wins and rollbacks."""
TOLD_OF_ALL = "country", "jurisdiction", "sub_partner_id"
"""Options that /user/info shows of every player."""


def verify(call: Call) -> bytes:
    """X-Hub88-Signature: base64 of RSASSA-PKCS1-v1_5 with SHA-256 over the raw body."""
    sent = call.headers.get(b"x-hub88-signature", b"")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    signature = decode_base64(sent)
    keys = [key for key in call.public_keys if isinstance(key, RSAPublicKey)]
    if signature is None or not any(_signed(key, signature, call.body) for key in keys):
        raise Rejected("SIGNATURE_INVALID")
    return call.body


def _signed(key: RSAPublicKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(signature, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


async def user_info(call: Call, ledger: TenantLedger) -> Reply:
    """What we know of a player; who they are in person is not ours to know."""
    body = read_json(UserRequest, call.body)
    if not await ledger.wallets(body.user):
        raise Rejected("WALLET_NOT_FOUND", player_id=body.user, currency="any currency")
    known = {name: value for name in TOLD_OF_ALL if (value := call.option(name))}
    return Reply(200, dump({"user": body.user, "status": "RS_OK", "request_uuid": body.request_uuid, **known}))


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    """In the session's currency: the call names none."""
    body = read_json(BalanceRequest, call.body)
    session = await ledger.session(body.token)
    if body.user not in (None, session.player_id):
        raise Rejected("SESSION_NOT_FOUND", session_id=body.token)
    balances = await ledger.wallet(session.player_id, session.currency)
    return answer_ok(call, session.player_id, body.request_uuid, balances)


async def bet(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(BetRequest, call.body)
    free = bool(body.is_free or body.is_supplier_promo)
    if free:  # the ledger needs no session for a stake that moves no money
        await _check_token(ledger, body)
    command = call.command(
        AuthorizeBet, TRANSACTION, body.transaction_uuid, session_id=None if body.is_supplier_promo else body.token,
        bet_id=body.transaction_uuid, round_id=body.round, amount=scaled(body.amount, AMOUNT_DECIMALS),
        currency=call.currency(body.currency), player=body.user, game_id=body.game(call),
        stake_kind="free" if free else "bet",
    )  # fmt: skip
    return answered(call, body, await ledger.submit(command, *_round_end(call, body)))


async def win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(WinRequest, call.body)
    if body.is_supplier_promo:
        await _check_token(ledger, body)
    outcomes = await ledger.submit(_win(call, body), *_round_end(call, body))
    if outcomes[0].replayed and body.round:
        await _check_round(ledger, body)
    return answered(call, body, outcomes)


async def rollback(call: Call, ledger: TenantLedger) -> Reply:
    """RS_OK whatever it names: an unknown transaction can then never begin."""
    body = read_json(RollbackRequest, call.body)
    command = call.command(
        Rollback, TRANSACTION, body.transaction_uuid, target_id=body.reference_transaction_uuid, round_id=None,
        reason="rollback", player=body.user, target="any",
    )  # fmt: skip
    outcomes = await ledger.submit(command)
    if outcomes[0].balances is not None:
        return answered(call, body, outcomes)
    return await _without_bet(call, ledger, body, outcomes[0])


async def _check_token(ledger: TenantLedger, body: BetRequest | WinRequest) -> None:
    """A token that we gave to this player; a promotion of the supplier may come long after it has expired."""
    if body.token is None:
        raise Unreadable("FIELD_INVALID", field="token", reason=MISSING)
    session = await ledger.session(body.token, live=False)
    if session.player_id != body.user:
        raise Rejected("SESSION_NOT_FOUND", session_id=body.token)


async def _check_round(ledger: TenantLedger, body: WinRequest) -> None:
    """A repeat names the round of the first call, which is its bet's."""
    known = await ledger.win(body.transaction_uuid)
    if known and known.round_id not in (None, body.round):
        raise Rejected("IDEMPOTENCY_MISMATCH", idempotency_key=body.transaction_uuid)


def _win(call: Call, body: WinRequest) -> Command:
    """Of the bet that it references; only a promotion of the supplier pays without one."""
    amount, currency = scaled(body.amount, AMOUNT_DECIMALS), call.currency(body.currency)
    if body.reference_transaction_uuid:
        return call.command(
            SettleBet, TRANSACTION, body.transaction_uuid, bet_id=body.reference_transaction_uuid, round_id=None,
            win=amount, currency=currency, player=body.user, win_id=body.transaction_uuid, game_id=body.game(call),
            win_kind="free" if body.is_free else "win", ends_bet=False,
        )  # fmt: skip
    if not body.is_promotion:
        raise Unreadable("FIELD_INVALID", field="reference_transaction_uuid", reason=MISSING)
    return call.command(
        Award, TRANSACTION, body.transaction_uuid, player=body.user, currency=currency, amount=amount,
        award_id=body.transaction_uuid, award_kind="promo", campaign_id=body.reward_uuid, round_id=body.round,
        game_id=body.game(call),
    )  # fmt: skip


def _round_end(call: Call, body: MoneyRequest) -> list[FinishRound]:
    if not body.round_closed or not body.round:
        return []
    return [
        call.command(
            FinishRound, FINISH, body.transaction_uuid, player=body.user, currency=call.currency(body.currency),
            round_id=body.round,
        )
    ]  # fmt: skip


async def _without_bet(call: Call, ledger: TenantLedger, body: RollbackRequest, outcome: Outcome) -> Reply:
    """Where no bet says the currency, the player's own; of a player who has none, no balance."""
    try:
        balances = await ledger.wallet(body.user, await ledger.currency_of(body.user))
    except Rejected:
        balances = None
    return answer_ok(call, body.user, body.request_uuid, balances, repeated=outcome.replayed)


DIALECT = Dialect(
    name="hub88",
    title="Hub88 Wallet API v2",
    endpoints=(
        Endpoint("POST", "/user/info", user_info, reads=True),
        Endpoint("POST", "/user/balance", balance, reads=True),
        Endpoint("POST", "/transaction/bet", bet),
        Endpoint("POST", "/transaction/win", win, credits=True),
        Endpoint("POST", "/transaction/rollback", rollback, credits=True),
    ),
    verify=verify,
    refuse=refuse,
    keys=(RSA,),
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        refusal_consumes_key=False,
        rollback_of_win=REVERSE,
        zero_stake=ACCEPT,
        bet_after_round_end=ACCEPT,
    ),
    options={
        "country": Option("ISO 3166-1 code that /user/info tells of every player."),
        "jurisdiction": Option("Jurisdiction that /user/info tells, such as MGA."),
        "sub_partner_id": Option("Id of the brand at Hub88 that /user/info tells."),
    },
)
