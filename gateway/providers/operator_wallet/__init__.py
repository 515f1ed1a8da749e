"""The command envelope of a casino platform: every call is `{command, request_timestamp, hash, data}`, a bet is known
by its transaction id, a win only by its round.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.dialect.bodies import B, peek_object, validated
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.operator_wallet.answers import amount, refuse, yes
from gateway.providers.operator_wallet.bodies import Authenticate, Balance, Cancel, ChangeBalance, FinishRound, Status
from gateway.providers.operator_wallet.signature import envelope_of, verify
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound as EndRound
from ledger.core.state import FREE, ROLLED_BACK, TOMBSTONED
from ledger.core.wins import SettleBet

# The commands -------------------------------------------------------------------------------------------------------


async def ping(call: Call, ledger: TenantLedger) -> Reply:
    return yes(call, {})


async def authenticate(call: Call, ledger: TenantLedger) -> Reply:
    session = await ledger.session(_data(call, Authenticate).token)
    balances = await ledger.wallet(session.player_id, session.currency)
    return yes(
        call,
        {
            "user_id": session.player_id,
            "user_name": session.player_id,
            "user_country": call.option("country"),
            "display_name": session.player_id,
            "group": call.option("group"),
            "currency_code": call.provider_currency(session.currency),
            "balance": amount(balances),
        },
    )


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    body = _data(call, Balance)
    session = await ledger.session(body.token)
    if body.user_id not in (None, session.player_id):
        raise Rejected("WALLET_NOT_FOUND", player_id=body.user_id, currency=session.currency)
    currency_code = body.currency_code or call.provider_currency(session.currency)
    if call.currency(currency_code) != session.currency:
        raise Rejected("CURRENCY_MISMATCH", currency=currency_code, expected=session.currency)
    balances = await ledger.wallet(session.player_id, session.currency)
    return yes(call, {"balance": amount(balances), "currency_code": currency_code})


async def change_balance(call: Call, ledger: TenantLedger) -> Reply:
    body = _data(call, ChangeBalance)
    commands = [_movement(call, body)]
    if body.round_finished:
        commands.append(_end_of_round(call, body.user_id, body.round_id, call.currency(body.currency_code)))
    balances = (await ledger.submit(*commands))[0].balances
    balances = balances or await ledger.wallet(body.user_id, call.currency(body.currency_code))
    return yes(call, {"balance": amount(balances), "currency_code": call.provider_currency(balances.currency)})


async def status(call: Call, ledger: TenantLedger) -> Reply:
    body = _data(call, Status)
    bet, win = await ledger.bet(body.transaction_id), await ledger.win(body.transaction_id)
    known = bet or win
    if known is None or known.player_id not in (None, body.user_id):
        raise Rejected("BET_NOT_FOUND", bet_id=body.transaction_id)
    canceled = bet.status in (ROLLED_BACK, TOMBSTONED) if bet else bool(win and win.undone_by)
    if body.transaction_type and (body.transaction_type == "BET") is (bet is None) and not canceled:
        raise Rejected("FIELD_INVALID", field="transaction_type", reason="is not the one of this transaction")
    echoed = _echoed(call, "user_id", "transaction_id")
    return yes(call, echoed | {"transaction_status": "CANCELED" if canceled else "OK"})


async def cancel(call: Call, ledger: TenantLedger) -> Reply:
    """Cancel a bet or a win; one that is not known yet can then never become true."""
    body = _data(call, Cancel)
    await ledger.submit(
        call.command(
            Rollback,
            "cancel",
            body.transaction_id,
            target_id=body.transaction_id,
            round_id=body.round_id,
            reason="cancel",
            player=body.user_id,
            target="any",
        )
    )
    return yes(call, _echoed(call, "user_id", "transaction_id") | {"transaction_status": "CANCELED"})


async def finish_round(call: Call, ledger: TenantLedger) -> Reply:
    """It names no currency: the round ends in each of the player's wallets."""
    body = _data(call, FinishRound)
    wallets = await ledger.wallets(body.user_id)
    if not wallets:
        raise Rejected("WALLET_NOT_FOUND", player_id=body.user_id, currency="any currency")
    await ledger.submit(*[_end_of_round(call, body.user_id, body.round_id, wallet.currency) for wallet in wallets])
    return yes(call, _echoed(call, "round_id", "user_id", "game_id"))


# Parts of them ------------------------------------------------------------------------------------------------------


def _data(call: Call, model: type[B]) -> B:
    return validated(model, _fields(call))


def _fields(call: Call) -> Mapping[str, Any]:
    data = envelope_of(call).get("data")
    if not isinstance(data, dict):
        raise Unreadable("FIELD_INVALID", field="data", reason="must be an object")
    return data


def _echoed(call: Call, *names: str) -> dict[str, Any]:
    """Fields as they came: a number stays a number."""
    data = _fields(call)
    return {name: data[name] for name in names if name in data}


def _movement(call: Call, body: ChangeBalance) -> Command:
    """All three kinds share one space of transaction ids. A refund names no bet: it is a credit of the round."""
    fields: dict[str, Any] = {
        "occurred_at": body.transaction_timestamp,
        "player": body.user_id,
        "round_id": body.round_id,
        "game_id": call.game(body.game_id),
        "currency": call.currency(body.currency_code),
    }
    if body.transaction_type == "BET":
        kind = FREE if body.is_promo else "bet"
        return call.command(
            AuthorizeBet, "transaction", body.transaction_id, bet_id=body.transaction_id, amount=body.amount,
            session_id=body.token or None, stake_kind=kind, **fields,
        )  # fmt: skip
    kind = "correction" if body.transaction_type == "REFUND" else FREE if body.is_promo else "win"
    return call.command(
        SettleBet, "transaction", body.transaction_id, bet_id=None, win_id=body.transaction_id, win=body.amount,
        win_kind=kind, **fields,
    )  # fmt: skip


def _credits(call: Call) -> bool:
    data = peek_object(call.body).get("data")
    return isinstance(data, dict) and data.get("transaction_type") in ("WIN", "REFUND")


def _end_of_round(call: Call, player: str, round_id: str, currency: str) -> Command:
    """Under one key, whether a flag or a command of its own says it. A round's id may be shared by players."""
    key = f"{player}:{currency}:{round_id}"
    return call.command(EndRound, "finishround", key, player=player, currency=currency, round_id=round_id)


def _claims(call: Call) -> Mapping[str, str]:
    """An operator may have this contract with several providers: the path says which of them it is."""
    operator_id = call.header(b"x-operator-id")
    return {"provider": call.params["provider"]} | ({"operator_id": operator_id} if operator_id else {})


COMMANDS: dict[str, Handle] = {
    "authenticate": authenticate, "balance": balance, "changebalance": change_balance, "status": status,
    "cancel": cancel, "finishround": finish_round,
}  # fmt: skip
CREDITS: dict[str, bool | Callable[[Call], bool]] = {"changebalance": _credits, "cancel": True, "finishround": True}
AS_WRITTEN = "/api/v1/provider/{provider}"

DIALECT = Dialect(
    name="operator_wallet",
    title="Operator wallet API with SHA-1 command hashes (Innova, TimelessTech)",
    endpoints=(
        Endpoint("GET", "/ping", ping, (f"{AS_WRITTEN}/ping",), open=True),
        *(
            Endpoint("POST", f"/{name}", handle, (f"{AS_WRITTEN}/{name}",), credits=CREDITS.get(name, False))
            for name, handle in COMMANDS.items()
        ),
    ),
    verify=verify,
    proof_names_operation=True,
    refuse=refuse,
    claims=_claims,
    weak=True,
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        rollback_of_win=REVERSE,
        refusal_consumes_key=False,
        zero_stake=ACCEPT,
    ),
    options={
        "operator_id": Option("X-Operator-Id of every call.", required=True),
        "provider": Option("The {provider} of the contract's own paths; empty: it has none, only its base URL."),
        "envelope": Option(
            "Answers alone (flat), beside the request that they answer (wrapped), or both at once.",
            "both",
            ("both", "flat", "wrapped"),
        ),
        "country": Option("ISO code that authenticate tells as the player's country."),
        "group": Option("Player group that authenticate tells."),
    },
)
