"""ST8: player_profile, balance, debit, credit, cancel, buyin and payout.

Each transaction stands by itself: a cancel names any of them, takes back that one alone, and what it names before it is
known can then never become true.
"""

from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.dialect.bodies import read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import ECDSA, Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.signing import decode_base64
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.st8.answers import answer_ok, refuse
from gateway.providers.st8.bodies import (
    BalanceRequest,
    BuyinRequest,
    CancelRequest,
    CreditRequest,
    DebitRequest,
    PayoutRequest,
    ProfileRequest,
)
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION, KNOWN, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from ledger.core.state import TOMBSTONED
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Outcome

R = TypeVar("R", bound=ProfileRequest)

TRANSACTION, CANCEL, FINISH = "transaction", "cancel", "finish"
"""Classes of operations: a transaction_id is unique over debits, credits, buy-ins and payouts."""

STAKES = {"debit": "bet", "free_debit": "free", "bonus_buy_debit": "bonus_buy", "correction_debit": "correction"}
BUYINS = {**STAKES, "debit": "buy_in"}
WINS = {"credit": "win", "bonus_buy_credit": "win", "free_credit": "free", "correction_credit": "correction"}
"""Credits of a round. The others are no part of it."""
AWARDS = {
    "credit": "payout",
    "bonus_buy_credit": "payout",
    "free_credit": "free_spins",
    "correction_credit": "correction",
    "jackpot_credit": "jackpot",
    "promo_credit": "promo",
}


def verify(call: Call) -> bytes:
    """x-st8-sign: base64 of the DER of an ECDSA signature with SHA-256 over the raw body; of a GET, over its query."""
    sent = call.headers.get(b"x-st8-sign", b"")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    signature = decode_base64(sent)
    signed = call.query if call.method == "GET" else call.body
    keys = [key for key in call.public_keys if isinstance(key, ec.EllipticCurvePublicKey)]
    if signature is None or not any(_signed(key, signature, signed) for key in keys):
        raise Rejected("SIGNATURE_INVALID")
    return signed


def _signed(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


async def player_profile(call: Call, ledger: TenantLedger) -> Reply:
    """What the integration says of all its players; who one is in person is not ours to know."""
    body = _read(call, ProfileRequest)
    currency = await ledger.currency_of(body.player)
    profile: dict[str, object] = {
        "status": "ok", "id": body.player, "jurisdiction": call.option("jurisdiction"),
        "default_currency": call.provider_currency(currency), "reg_country": call.option("country"),
        "affiliate": None, "bet_limits": call.option("bet_limits"), "birth_date": None, "reg_date": None,
        "attributes": {"labels": []},
    }  # fmt: skip
    return Reply(200, dump(profile))


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    body = _read(call, BalanceRequest)
    return answer_ok(call, await ledger.wallet(body.player, call.currency(body.currency)))


async def debit(call: Call, ledger: TenantLedger) -> Reply:
    """A correction may come long after the session. The policy cannot demand one, since buy-ins name none."""
    body = _read(call, DebitRequest)
    kind = STAKES[body.provider_kind]
    if kind != "correction":
        await ledger.session(body.token, live=False)
    command = _stake(call, body, kind, None if kind == "correction" else body.token, body.round)
    return await _submit(call, ledger, body, command, *_round_end(call, body))


async def buyin(call: Call, ledger: TenantLedger) -> Reply:
    """A stake outside sessions and rounds: a seat at a poker table or in a tournament."""
    body = _read(call, BuyinRequest)
    return await _submit(call, ledger, body, _stake(call, body, BUYINS[body.provider_kind], None, None))


async def credit(call: Call, ledger: TenantLedger) -> Reply:
    body = _read(call, CreditRequest)
    if body.provider_kind not in WINS:
        return await _submit(call, ledger, body, _award(call, body, body.round), *_round_end(call, body))
    command = call.command(
        SettleBet, TRANSACTION, body.transaction_id, bet_id=None, round_id=body.round, win=body.amount,
        currency=call.currency(body.currency), player=body.player, win_id=body.transaction_id,
        game_id=_game(call, body), win_kind=WINS[body.provider_kind], ends_bet=False,
    )  # fmt: skip
    return await _submit(call, ledger, body, command, *_round_end(call, body))


async def payout(call: Call, ledger: TenantLedger) -> Reply:
    body = _read(call, PayoutRequest)
    return await _submit(call, ledger, body, _award(call, body, None))


async def cancel(call: Call, ledger: TenantLedger) -> Reply:
    """Of an unknown transaction: transaction_not_found, and remembered."""
    body = _read(call, CancelRequest)
    command = call.command(
        Rollback, CANCEL, body.cancel_id, target_id=body.transaction_id, round_id=None, reason="cancel",
        player=body.player, currency=call.currency(body.currency), target="any",
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    if outcome.result["status"] == TOMBSTONED:
        raise Rejected("BET_NOT_FOUND", bet_id=body.transaction_id)
    return await _answer(call, ledger, body, outcome)


def _read(call: Call, model: type[R]) -> R:
    body = read_json(model, call.body)
    if call.option("site") not in ("", body.site):
        raise Rejected("INTEGRATION_DISABLED")
    return body


def _stake(call: Call, body: BuyinRequest, kind: str, token: str | None, round_id: str | None) -> AuthorizeBet:
    return call.command(
        AuthorizeBet, TRANSACTION, body.transaction_id, session_id=token, bet_id=body.transaction_id,
        round_id=round_id, amount=body.amount, currency=call.currency(body.currency), player=body.player,
        game_id=_game(call, body), stake_kind=kind,
    )  # fmt: skip


def _award(call: Call, body: PayoutRequest, round_id: str | None) -> Award:
    return call.command(
        Award, TRANSACTION, body.transaction_id, player=body.player, currency=call.currency(body.currency),
        amount=body.amount, award_id=body.transaction_id, award_kind=AWARDS[body.provider_kind],
        campaign_id=body.campaign_id, round_id=round_id, game_id=_game(call, body),
    )  # fmt: skip


def _round_end(call: Call, body: DebitRequest | CreditRequest) -> list[FinishRound]:
    if not body.round_closed:
        return []
    return [
        call.command(
            FinishRound, FINISH, body.transaction_id, player=body.player, currency=call.currency(body.currency),
            round_id=body.round,
        )
    ]  # fmt: skip


def _game(call: Call, body: BuyinRequest | PayoutRequest) -> str | None:
    return call.game(body.game_code) if body.game_code else None


async def _submit(call: Call, ledger: TenantLedger, body: BalanceRequest, *commands: Command) -> Reply:
    return await _answer(call, ledger, body, (await ledger.submit(*commands))[0])


async def _answer(call: Call, ledger: TenantLedger, body: BalanceRequest, outcome: Outcome) -> Reply:
    balances = outcome.balances or await ledger.wallet(body.player, call.currency(body.currency))
    return answer_ok(call, balances, repeated=outcome.replayed)


DIALECT = Dialect(
    name="st8",
    title="ST8 operator wallet",
    endpoints=(
        Endpoint("POST", "/player_profile", player_profile, reads=True),
        Endpoint("POST", "/balance", balance, reads=True),
        Endpoint("POST", "/debit", debit),
        Endpoint("POST", "/credit", credit, credits=True),
        Endpoint("POST", "/cancel", cancel, credits=True),
        Endpoint("POST", "/buyin", buyin),
        Endpoint("POST", "/payout", payout, credits=True),
    ),
    verify=verify,
    refuse=refuse,
    keys=(ECDSA,),
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        refusal_consumes_key=False,
        rollback_of_win=REVERSE,
        session=KNOWN,
        win_needs_bet=False,
        zero_stake=ACCEPT,
        bet_after_round_end=ACCEPT,
    ),
    options={
        "site": Option("The only site that calls may be for. Empty: any."),
        "jurisdiction": Option(
            "Jurisdiction that player_profile tells.",
            default="CW",
            choices=("CW", "IoM", "MGA", "Pagcor", "EMTA", "SGA", "UKGC"),
        ),
        "country": Option("ISO 3166-1 code that player_profile tells as reg_country."),
        "bet_limits": Option("Limits that player_profile tells.", default="low", choices=("low", "medium", "high")),
    },
)
