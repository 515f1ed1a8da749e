"""A protocol made up for tests: JSON, HMAC-SHA256 of the body in X-Toy-Signature, answers {"ok": …}."""

import hmac
from typing import Any

from gateway.dialect.bodies import Body, read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import ECDSA, RSA, SECRET, Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.fields import CurrencyCode, DecimalString, PlayerId, ProviderId
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from ledger.core.bets import AuthorizeBet
from ledger.core.policy import AT_AUTHORIZATION, Policy
from ledger.core.wins import SettleBet


class Bet(Body):
    player: PlayerId
    currency: CurrencyCode
    id: ProviderId
    round: ProviderId
    amount: DecimalString
    session: str | None = None
    game: ProviderId | None = None


class Win(Bet):
    bet: ProviderId


def verify(call: Call) -> bytes:
    sent = call.header(b"x-toy-signature").encode()
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    tags = [hmac.digest(secret, call.body, "sha256").hex().encode() for secret in call.secrets]
    if not any(hmac.compare_digest(tag, sent) for tag in tags):
        raise Rejected("SIGNATURE_INVALID")
    return call.body


def refuse(call: Call, rejected: Rejected) -> Reply:
    balance = rejected.balances.cash_minor if rejected.balances else None
    return Reply(200, dump({"ok": False, "code": rejected.code, "balance": balance}))


def answer(**content: Any) -> Reply:
    return Reply(200, dump({"ok": True, **content}))


async def bet(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(Bet, call.body)
    command = call.command(
        AuthorizeBet, "bet", body.id, session_id=body.session, bet_id=body.id, round_id=body.round, amount=body.amount,
        currency=call.currency(body.currency), player=body.player, game_id=call.game(body.game) if body.game else None,
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    assert outcome.balances
    return answer(cash=outcome.balances.cash_minor, repeated=outcome.replayed)


async def win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(Win, call.body)
    command = call.command(
        SettleBet, "win", body.id, bet_id=body.bet, round_id=body.round, win=body.amount,
        currency=call.currency(body.currency),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    assert outcome.balances
    return answer(cash=outcome.balances.cash_minor)


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    player_id = call.params["player"]
    currency = await ledger.currency_of(player_id)
    wallet = await ledger.wallet(player_id, currency)
    return answer(
        cash=wallet.cash_minor, currency=call.provider_currency(currency), wallets=len(await ledger.wallets(player_id))
    )


async def sit(call: Call, ledger: TenantLedger) -> Reply:
    """Who plays in a session, ended or not: what a dialect pays a win by that names nothing else."""
    return answer(player=(await ledger.session(call.params["session"], live=False)).player_id)


async def look(call: Call, ledger: TenantLedger) -> Reply:
    """What the host tells a dialect about the call."""
    found = await ledger.bet(call.option("look_for"))
    return answer(
        target=call.target.decode(), client=call.client, option=call.option("look_for"), game=call.game("g"),
        policy=call.integration.policy.capture, bet=found.status if found else None,
    )  # fmt: skip


async def crash(call: Call, ledger: TenantLedger) -> Reply:
    raise RuntimeError(f"a bug, with {call.secrets[0].decode()} nearby")


async def ping(call: Call, ledger: TenantLedger) -> Reply:
    return answer(pong=True)


async def nosy_ping(call: Call, ledger: TenantLedger) -> Reply:
    return answer(wallets=await ledger.wallets("p_1"))


def claims(call: Call) -> dict[str, str]:
    operator = call.header(b"x-toy-operator")
    return {"operator": operator} if operator else {}


TOY = Dialect(
    name="toy",
    title="Made up for tests",
    endpoints=(
        Endpoint("POST", "/bet", bet, as_written=("/toy/api/bet",)),
        Endpoint("POST", "/win", win, credits=True),
        Endpoint("GET", "/players/{player}/balance", balance, as_written=("/toy/api/players/{player}/balance",)),
        Endpoint("GET", "/sessions/{session}", sit),
        Endpoint("POST", "", look),
        Endpoint("GET", "/look", look),
        Endpoint("POST", "/crash", crash),
        Endpoint("GET", "/ping", ping, open=True),
        Endpoint("GET", "/nosy", nosy_ping, open=True),
    ),
    verify=verify,
    refuse=refuse,
    keys=(SECRET, ECDSA, RSA),
    policy=Policy(capture=AT_AUTHORIZATION, session="known"),
    options={
        "operator": Option("Who the operator is to them."),
        "look_for": Option("A bet.", default="b_none"),
        "mood": Option("How it is.", default="calm", choices=("calm", "wild")),
    },
    claims=claims,
    query_has_credentials=True,  # as far as anybody can tell: some of its tests send one there
    body_limit_bytes=10_000,
)

WEAK = Dialect(name="weak_toy", title="Proves nothing", endpoints=(Endpoint("GET", "/look", look),), verify=verify, refuse=refuse, weak=True)  # fmt: skip


def signature(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()
