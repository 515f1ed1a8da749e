"""BetBy's sportsbook: signed tokens in, cents out. Wins, losses and refunds may be undone and said anew many times;
each id that we give names the bet, or the step, that it is of, so that a later call finds it.
"""

from typing import TypeVar

from gateway.dialect.amounts import decimal, scaled
from gateway.dialect.bodies import Body, read_form, validated
from gateway.dialect.call import Call
from gateway.dialect.dialect import ECDSA, RSA, Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.betby.answers import answer_step, cents, refuse, yes
from gateway.providers.betby.bodies import (
    CENTS,
    Commit,
    Discard,
    Identify,
    Lost,
    Make,
    Refund,
    RollbackRequest,
    Settled,
    Win,
)
from gateway.providers.betby.signature import claims_of, parties, verify
from ledger.core.bets import AuthorizeBet, FinalizeBet
from ledger.core.commands import Command
from ledger.core.policy import AT_SETTLEMENT, KNOWN, REVERSE, Policy
from ledger.core.rollbacks import ReinstateBet, Rollback
from ledger.core.state import FREE, OPEN, ROLLED_BACK, TOMBSTONED, Bet
from ledger.core.wins import SettleBet
from ledger.outcome import Outcome

B = TypeVar("B", bound=Body)

BET, WIN, LOST, REFUND = "bet-", "win-", "lost-", "rb_"
"""How our ids of each step begin. A refund has the ledger's own id of it: the bet keeps that, and so it is known
whether the refund that they undo is the one in force.
"""

# The calls ----------------------------------------------------------------------------------------------------------


async def ping(call: Call, ledger: TenantLedger) -> Reply:
    return yes({"timestamp": call.received_at // 1_000_000})


async def identify(call: Call, ledger: TenantLedger) -> Reply:
    """Whose session a key is. The key itself is what proves the caller: nothing is signed here, and nothing moves."""
    session = await ledger.session(read_form(Identify, call.query).key)
    balances = await ledger.wallet(session.player_id, session.currency)
    return yes(
        {
            "user_id": session.player_id,
            "username": session.player_id,
            "lang": call.option("lang"),
            "currency": call.provider_currency(session.currency),
            "balance": cents(balances),
            "feature_flags": {"is_cashout_available": True, "is_match_tracker_available": False},
            "session_id": session.session_id,
            "odds_format": "DECIMAL",
        }
    )


async def make(call: Call, ledger: TenantLedger) -> Reply:
    body = _payload(call, Make)
    theirs = body.transaction
    command = call.command(
        AuthorizeBet, "bet", theirs.id, occurred_at=theirs.timestamp, session_id=body.session_id, bet_id=theirs.id,
        round_id=None, amount=scaled(body.amount, CENTS), currency=call.currency(body.currency),
        player=body.player_id, stake_kind=FREE if _is_free(call, body) else "bet",
    )  # fmt: skip
    try:
        # Where a bet may name no session, one that we never gave is wrong all the same.
        if body.session_id and call.integration.policy.session == KNOWN:
            await ledger.session(body.session_id, live=False)
        outcome = await _decide(ledger, command)
    except Rejected as rejected:
        if rejected.code == "SESSION_NOT_FOUND" and not await ledger.wallets(body.player_id):
            raise Rejected("WALLET_NOT_FOUND", player_id=body.player_id, currency=body.currency) from rejected
        raise
    ours = f"{BET}{theirs.id}"
    money = {"amount": body.amount, "currency": body.currency}
    return answer_step(outcome, "bet", ours, theirs, parent=ours, money=money, user_id=body.player_id)


async def win(call: Call, ledger: TenantLedger) -> Reply:
    body = _payload(call, Win)
    ours = f"{WIN}{body.transaction.id}"
    kind = "cash_out" if body.is_cashout else FREE if _is_free(call, body) else "win"
    outcome = await _settle(call, ledger, body, "win", ours, body.amount, kind)
    money = {"amount": body.amount, "currency": body.currency}
    return answer_step(outcome, "win", ours, body.transaction, parent=body.bet_transaction_id, money=money)


async def lost(call: Call, ledger: TenantLedger) -> Reply:
    body = _payload(call, Lost)
    ours = f"{LOST}{body.transaction.id}"
    outcome = await _settle(call, ledger, body, "lost", ours, 0, "win")
    return answer_step(outcome, "lost", ours, body.transaction, parent=body.bet_transaction_id, money={})


async def refund(call: Call, ledger: TenantLedger) -> Reply:
    """The whole stake goes back, and nothing but it: another amount would make the answer a lie."""
    body = _payload(call, Refund)
    theirs, bet = body.transaction, await _bet(ledger, body.bet_transaction_id)
    await _check_stake(call, ledger, bet, theirs.amount, theirs.currency)
    outcome = await _undo(call, ledger, "refund", theirs.id, bet.bet_id, theirs.ext_player_id, at=theirs.timestamp)
    money = {"amount": theirs.amount, "currency": theirs.currency}
    return answer_step(
        outcome, "refund", outcome.result["rollback_id"], theirs, parent=body.bet_transaction_id, money=money
    )


async def discard(call: Call, ledger: TenantLedger) -> Reply:
    """Names their own id. A bet that has not arrived yet can then never begin."""
    body = _payload(call, Discard)
    outcome = await _undo(call, ledger, "discard", body.transaction_id, body.transaction_id, body.ext_player_id)
    return yes({}, outcome)


async def rollback(call: Call, ledger: TenantLedger) -> Reply:
    """Undoes a win, a loss or a refund: the bet is open again. Repeats undo it once, under whatever id."""
    body = _payload(call, RollbackRequest)
    theirs, parent = body.transaction, body.parent_transaction_id
    bet = await _bet(ledger, body.bet_transaction_id)
    undo = _undo_win if parent.startswith((WIN, LOST)) else _undo_refund
    outcome = await undo(call, ledger, bet, body)
    money = {"amount": theirs.amount or 0, "currency": theirs.currency or bet.currency}
    return answer_step(outcome, "rollback", f"rollback-{theirs.id}", theirs, parent=parent, money=money)


async def commit(call: Call, ledger: TenantLedger) -> Reply:
    """The stake is held since `make`: nothing is left to do but to know the bet."""
    bet = await _bet(ledger, _payload(call, Commit).bet_transaction_id)
    if bet.status in (ROLLED_BACK, TOMBSTONED):
        raise Rejected("BET_ROLLED_BACK", bet_id=bet.bet_id)
    return yes({})


async def settlement(call: Call, ledger: TenantLedger) -> Reply:
    """Some 30 days later: nothing about the bet changes any more. One that was lost without a word of it ends now."""
    body = _payload(call, Settled)
    bet = await _bet(ledger, body.bet_transaction_id)
    commands: list[Command] = [call.command(FinalizeBet, "settlement", bet.bet_id, bet_id=bet.bet_id)]
    if bet.status == OPEN and body.status == "lost":
        nothing = scaled(0, CENTS)
        commands.insert(
            0,
            call.command(
                SettleBet, "lost", f"settlement:{bet.bet_id}", bet_id=bet.bet_id, round_id=None, win=nothing,
                currency=str(bet.stake_currency), player=bet.player_id,
            ),
        )  # fmt: skip
    return yes({}, (await ledger.submit(*commands))[-1])


# Steps of them ------------------------------------------------------------------------------------------------------


def _payload(call: Call, model: type[B]) -> B:
    content = claims_of(call).get("payload")
    if not isinstance(content, dict):
        raise Unreadable("FIELD_INVALID", field="payload", reason="must be an object")
    return validated(model, content)


def _is_free(call: Call, body: Make | Win) -> bool:
    return body.bonus_type is not None and body.bonus_type in call.option("free_bets").split(",")


def _their_id(our_id: str) -> str:
    """The provider's id of the bet that our answer named `our_id`."""
    if not our_id.startswith(BET):
        raise Rejected("BET_NOT_FOUND", bet_id=our_id)
    return our_id.removeprefix(BET)


async def _bet(ledger: TenantLedger, our_id: str) -> Bet:
    bet = await ledger.bet(_their_id(our_id))
    if bet is None:
        raise Rejected("BET_NOT_FOUND", bet_id=our_id)
    return bet


async def _decide(ledger: TenantLedger, command: Command) -> Outcome:
    return (await ledger.submit(command))[0]


async def _settle(
    call: Call, ledger: TenantLedger, body: Win | Lost, step: str, ours: str, amount: int, kind: str
) -> Outcome:
    theirs = body.transaction
    command = call.command(
        SettleBet, step, theirs.id, occurred_at=theirs.timestamp, bet_id=_their_id(body.bet_transaction_id),
        round_id=None, win=scaled(amount, CENTS), currency=call.currency(body.currency), player=theirs.ext_player_id,
        win_id=ours, win_kind=kind,
    )  # fmt: skip
    return await _decide(ledger, command)


async def _undo(
    call: Call,
    ledger: TenantLedger,
    step: str,
    key: str,
    what: str,
    player: str,
    *,
    at: int | None = None,
    target: str = "bet",
) -> Outcome:
    command = call.command(
        Rollback, step, key, occurred_at=at, target_id=what, round_id=None, reason=step, player=player, target=target
    )
    return await _decide(ledger, command)


async def _check_stake(call: Call, ledger: TenantLedger, bet: Bet, amount: int, currency: str) -> None:
    """What the provider takes back must be what was staked, as it was sent. Of a free bet nothing comes back."""
    if bet.status == TOMBSTONED or bet.stake_kind == FREE or bet.currency is None or bet.player_id is None:
        return
    if bet.stake_currency != call.currency(currency):
        raise Rejected("CURRENCY_MISMATCH", currency=currency, expected=bet.stake_currency)
    if bet.conversion:
        stake_minor, exponent = bet.conversion.amount_minor, bet.conversion.exponent
    else:
        stake_minor, exponent = bet.stake_minor, (await ledger.wallet(bet.player_id, bet.currency)).exponent
    if scaled(amount, CENTS).to_minor(exponent) != stake_minor:
        stake = decimal(stake_minor, exponent)
        raise Unreadable("FIELD_INVALID", field="transaction.amount", reason=f"must be the stake, {stake}")


async def _undo_win(call: Call, ledger: TenantLedger, bet: Bet, body: RollbackRequest) -> Outcome:
    theirs, parent = body.transaction, body.parent_transaction_id
    win = await ledger.win(parent)
    if win is None or win.bet_id != bet.bet_id:
        raise Rejected("BET_NOT_FOUND", bet_id=parent)
    key = f"{theirs.id}:{parent}"
    return await _undo(call, ledger, "rollback", key, parent, theirs.ext_player_id, at=theirs.timestamp, target="win")


async def _undo_refund(call: Call, ledger: TenantLedger, bet: Bet, body: RollbackRequest) -> Outcome:
    theirs, parent = body.transaction, body.parent_transaction_id
    if not parent.startswith(REFUND) or bet.player_id != theirs.ext_player_id:
        raise Rejected("BET_NOT_FOUND", bet_id=parent)
    key = f"{theirs.id}:{parent}"
    command = call.command(
        ReinstateBet, "rollback", key, occurred_at=theirs.timestamp, bet_id=bet.bet_id, reason="rollback",
        rollback_id=parent,
    )  # fmt: skip
    return await _decide(ledger, command)


AS_WRITTEN = "/api/v1/sport/betby"


def _bet_endpoints(name: str, handle: Handle) -> tuple[Endpoint, ...]:
    """Both spellings: /bet/make and /bet_make."""
    return tuple(
        Endpoint("POST", path, handle, (AS_WRITTEN + path,), credits=name not in ("make", "commit"))
        for path in (f"/bet/{name}", f"/bet_{name}")
    )


CALLS: dict[str, Handle] = {
    "make": make, "commit": commit, "win": win, "lost": lost, "refund": refund, "discard": discard,
    "rollback": rollback, "settlement": settlement,
}  # fmt: skip

DIALECT = Dialect(
    name="betby",
    title="BetBy sportsbook",
    endpoints=(
        Endpoint("GET", "/ping", ping, (f"{AS_WRITTEN}/ping",), open=True),
        Endpoint("GET", "/identify", identify),
        *(endpoint for name, handle in CALLS.items() for endpoint in _bet_endpoints(name, handle)),
    ),
    verify=verify,
    refuse=refuse,
    claims=parties,
    keys=(RSA, ECDSA),
    policy=Policy(capture=AT_SETTLEMENT, rollback_of_win=REVERSE, refusal_consumes_key=False, session=KNOWN),
    options={
        "iss": Option("Issuer of their tokens: the operator id that they gave.", required=True),
        "aud": Option("Audience of their tokens: the brand id that they gave.", required=True),
        "free_bets": Option(
            "Bonus types whose stake moves no money, separated by commas.", "freebet_refund,freebet_freemoney"
        ),
        "identify": Option("Whether a session key alone, unsigned, tells whose it is.", "off", ("on", "off")),
        "lang": Option("Language that identify tells.", "en"),
    },
)
