"""PM8, the Eva platform: accounts, sessions, and the transactions bet, win, refund, promoWin and tournamentWin.

How callers prove themselves is a setting: an HMAC of the content, or HTTP Basic from a listed address.
"""

import hmac

from gateway.dialect.amounts import MINOR_EXPONENTS, minor_exponent, scaled
from gateway.dialect.bodies import read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.signing import decode_base64, verify_hmac_hex
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.pm8.answers import answer_ok, balance_of, refuse
from gateway.providers.pm8.bodies import PromoRequest, RefundRequest, RoundTransaction, Transaction, player_in_path
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.money import Amount
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION, KNOWN, REFUND, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances

TRANSACTION, REFUND_OF = "transaction", "refund"
"""Classes of operations: a txId is unique over all that pays; a refund repeats its bet's."""


def verify(call: Call) -> bytes:
    if call.option("auth") == "basic":
        return _verify_basic(call)
    return _verify_hmac(call)


def _verify_hmac(call: Call) -> bytes:
    """X-Operator-Signature: hex HMAC-SHA256 of the raw body; of a GET, of its path and query as sent."""
    sent = call.headers.get(b"x-operator-signature", b"")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    signed = call.target if call.method == "GET" else call.body
    if not verify_hmac_hex(call.secrets, signed, sent):
        raise Rejected("SIGNATURE_INVALID")
    return signed


def _verify_basic(call: Call) -> bytes:
    """Authorization: Basic, which proves nothing of the content: only callers from a known place are served."""
    if not call.option("ip_allow") and not call.option("client_certificate"):
        raise Rejected("CALLER_NOT_ALLOWED")
    scheme, _, sent = call.headers.get(b"authorization", b"").partition(b" ")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    credentials = decode_base64(sent)
    if credentials is None or scheme.lower() != b"basic":
        raise Rejected("SIGNATURE_INVALID")
    found = False
    for secret in call.secrets:
        found |= hmac.compare_digest(call.option("username").encode() + b":" + secret, credentials)
    if not found:
        raise Rejected("SIGNATURE_INVALID")
    return call.body


async def account(call: Call, ledger: TenantLedger) -> Reply:
    player_id = player_in_path(call.params["playerId"])
    return _account(call, player_id, await ledger.wallet(player_id, await ledger.currency_of(player_id)))


async def session(call: Call, ledger: TenantLedger) -> Reply:
    token = call.params["sessionToken"]
    found = await ledger.session(token)
    return _account(call, found.player_id, await ledger.wallet(found.player_id, found.currency), sessionToken=token)


async def bet(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(RoundTransaction, call.body)
    if body.session_token:  # one that we never gave is wrong, whatever the policy makes of a bet without any
        await ledger.session(body.session_token, live=False)
    command = call.command(
        AuthorizeBet, TRANSACTION, body.tx_id, session_id=body.session_token, bet_id=body.tx_id,
        round_id=body.round_id, amount=_amount(call, body), currency=call.currency(body.currency),
        player=body.player_id, game_id=_game(call, body.game_id), stake_kind="free" if body.free_spin_data else "bet",
    )  # fmt: skip
    return await _submit(call, ledger, body, command)


async def win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(RoundTransaction, call.body)
    command = call.command(
        SettleBet, TRANSACTION, body.tx_id, bet_id=None, round_id=body.round_id, win=_amount(call, body),
        currency=call.currency(body.currency), player=body.player_id, win_id=body.tx_id,
        game_id=_game(call, body.game_id), win_kind="free" if body.free_spin_data else "win", ends_bet=False,
    )  # fmt: skip
    return await _submit(call, ledger, body, command)


async def refund(call: Call, ledger: TenantLedger) -> Reply:
    """A success whatever it names: an unknown bet can then never begin."""
    body = read_json(RefundRequest, call.body)
    command = call.command(
        Rollback, REFUND_OF, body.tx_id, target_id=body.tx_id, round_id=None, reason="refund", player=body.player_id,
        currency=call.currency(body.currency),
    )  # fmt: skip
    return await _submit(call, ledger, body, command)


async def promo_win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(PromoRequest, call.body)
    return await _submit(call, ledger, body, _award(call, body, "promo", body.promo_id))


async def tournament_win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(PromoRequest, call.body)
    return await _submit(call, ledger, body, _award(call, body, "tournament", body.tournament_id))


def _award(call: Call, body: PromoRequest, kind: str, campaign_id: str | None) -> Award:
    return call.command(
        Award, TRANSACTION, body.tx_id, player=body.player_id, currency=call.currency(body.currency),
        amount=_amount(call, body), award_id=body.tx_id, award_kind=kind, campaign_id=campaign_id,
        round_id=body.round_id, game_id=_game(call, body.game_id),
    )  # fmt: skip


def _account(call: Call, player_id: str, balances: Balances, **more: str) -> Reply:
    currency = call.provider_currency(balances.currency)
    return Reply(
        200, dump({"playerId": player_id, **more, "currency": currency, "balance": balance_of(call, balances)})
    )  # fmt: skip


def _amount(call: Call, body: Transaction) -> Amount:
    return scaled(body.amount, minor_exponent(call.currency(body.currency), call.option("subunits")))


def _game(call: Call, code: str | None) -> str | None:
    return call.game(code) if code else None


async def _submit(call: Call, ledger: TenantLedger, body: Transaction | RefundRequest, command: Command) -> Reply:
    (outcome,) = await ledger.submit(command)
    balances = outcome.balances or await ledger.wallet(body.player_id, call.currency(body.currency))
    return answer_ok(call, balances, body.tx_id, outcome)


DIALECT = Dialect(
    name="pm8",
    title="PM8 (Eva platform) operator wallet",
    endpoints=(
        Endpoint("GET", "/players/accounts/{playerId}", account),
        Endpoint("GET", "/players/sessions/{sessionToken}", session),
        Endpoint("POST", "/transactions/bet", bet),
        Endpoint("POST", "/transactions/win", win, credits=True),
        Endpoint("POST", "/transactions/refund", refund, credits=True),
        Endpoint("POST", "/transactions/promoWin", promo_win, credits=True),
        Endpoint("POST", "/transactions/tournamentWin", tournament_win, credits=True),
    ),
    verify=verify,
    refuse=refuse,
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        refusal_consumes_key=False,
        session=KNOWN,
        zero_stake=ACCEPT,
    ),
    options={
        "auth": Option(
            "How callers prove themselves: an HMAC of the content, or HTTP Basic with ip_allow.",
            default="hmac",
            choices=("hmac", "basic"),
        ),
        "username": Option("The user of HTTP Basic; the integration's secret is its password.", default="pm8"),
        "subunits": Option(
            "Decimals of the minor units of amounts, where they are not those of ISO 4217: ETH:18,USDT:6",
            pattern=MINOR_EXPONENTS,
        ),
    },
)
