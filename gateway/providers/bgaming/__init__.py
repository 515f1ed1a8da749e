"""SoftSwiss GCP v1, the protocol of BGaming: /play, /rollback and /freespins with integer subunits."""

from hashlib import sha256

from gateway.dialect.amounts import MINOR_EXPONENTS, scaled
from gateway.dialect.bodies import peek_object, read_json, validated
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.signing import verify_hmac_hex
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.bgaming.answers import balance_after, exponent_of, refuse, subunits, tx_id
from gateway.providers.bgaming.bodies import Action, FreeSpins, Play, Winner
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.money import Amount
from ledger.core.policy import ACCEPT, ACKNOWLEDGE, AT_AUTHORIZATION, CURRENT, KNOWN, REFUND, REVERSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances

ACTION, FINISH, FREE_SPINS = "action", "finish", "freespins"
"""Classes of operations: an action_id is unique over bets, wins and rollbacks."""

RUNNING = ("issued", "new", "active", "activated", "started", "in_progress")
"""Free spins that still go on: nothing is credited yet."""


def verify(call: Call) -> bytes:
    """X-REQUEST-SIGN: hex HMAC-SHA256 of the raw body with the AUTH_TOKEN."""
    sent = call.headers.get(b"x-request-sign", b"")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    if not verify_hmac_hex(call.secrets, call.body, sent):
        raise Rejected("SIGNATURE_INVALID")
    return call.body


async def play(call: Call, ledger: TenantLedger) -> Reply:
    """Bets, wins and rollbacks in order, all or none; the provider sends rollbacks to a path of their own."""
    body = read_json(Play, call.body)
    actions = body.actions or []
    commands = [_command(call, body, action) for action in actions]
    if body.finished and body.game_id:
        commands.append(_finish(call, body, body.game_id))
    if not commands:
        return Reply(200, dump({"balance": subunits(call, await _wallet(call, ledger, body))}))
    try:
        outcomes = (await ledger.submit(*commands))[: len(actions)]
    except Rejected as rejected:
        raise await _more_precisely(ledger, body, rejected) from rejected
    balances = balance_after(outcomes) if outcomes else None
    content = {
        "balance": subunits(call, balances or await _wallet(call, ledger, body)),
        "game_id": body.game_id,
        "transactions": [
            {"action_id": action.action_id, "tx_id": tx_id(action.action_id, outcome)}
            for action, outcome in zip(actions, outcomes, strict=True)
        ],
    }
    return Reply(200, dump(content))


async def rollback(call: Call, ledger: TenantLedger) -> Reply:
    """Where the provider sends rollbacks to: one without actions is no question for the balance."""
    if not read_json(Play, call.body).actions:
        raise Unreadable("FIELD_INVALID", field="actions", reason="must be there")
    return await play(call, ledger)


def _credits(call: Call) -> bool:
    """Any win or rollback among the actions; without actions, the end of the round."""
    body = peek_object(call.body)
    actions = body.get("actions") or []
    kinds = [one.get("action") for one in actions if isinstance(one, dict)] if isinstance(actions, list) else []
    return "win" in kinds or "rollback" in kinds or (not kinds and bool(body.get("finished")))


async def free_spins(call: Call, ledger: TenantLedger) -> Reply:
    """One credit of all that the free spins won, once they are over."""
    body = read_json(FreeSpins, call.body)
    winner = _winner(body)
    currency = call.currency(winner.currency)
    if body.status in RUNNING or body.total_amount == 0:
        return Reply(200, dump({"balance": subunits(call, await ledger.wallet(winner.user_id, currency))}))
    (outcome,) = await ledger.submit(
        call.command(
            Award, FREE_SPINS, body.issue_id, player=winner.user_id, currency=currency,
            award_id=sha256(body.issue_id.encode()).hexdigest(), award_kind="free_spins", campaign_id=_campaign(body),
            amount=_amount(call, currency, body.total_amount),
        )
    )  # fmt: skip
    balances = outcome.balances or await ledger.wallet(winner.user_id, currency)
    return Reply(200, dump({"balance": subunits(call, balances)}))


def _winner(body: FreeSpins) -> Winner:
    player, _, rest = body.issue_id.partition("/")
    named = {"user_id": body.user_id or player, "currency": body.currency or rest.partition("/")[0]}
    return validated(Winner, named)


def _campaign(body: FreeSpins) -> str:
    """The name at the end of the issue's id: what is before it says who won, and a campaign is nobody's."""
    return body.issue_id.rpartition("/")[2] or body.issue_id


def _command(call: Call, body: Play, action: Action) -> Command:
    action_id, currency = action.action_id, call.currency(body.currency)
    if action.action == "rollback":
        return call.command(
            Rollback, ACTION, action_id, target_id=action.original_action_id, round_id=None, reason="rollback",
            player=body.user_id, currency=currency, target="any",
        )  # fmt: skip
    assert action.amount is not None, "the body's own rule"
    amount, game_id = _amount(call, currency, action.amount), call.game(body.game) if body.game else None
    if action.action == "bet":
        return call.command(
            AuthorizeBet, ACTION, action_id, session_id=body.session_id or None, bet_id=action_id,
            round_id=body.game_id, amount=amount, currency=currency, player=body.user_id, game_id=game_id,
        )  # fmt: skip
    return call.command(
        SettleBet, ACTION, action_id, bet_id=None, round_id=body.game_id, win=amount, currency=currency,
        player=body.user_id, win_id=action_id, game_id=game_id, ends_bet=False,
    )  # fmt: skip


def _finish(call: Call, body: Play, round_id: str) -> FinishRound:
    # No player id and no currency has a slash.
    key = body.actions[-1].action_id if body.actions else f"{body.user_id}/{body.currency}/{round_id}"
    return call.command(
        FinishRound, FINISH, key, player=body.user_id, currency=call.currency(body.currency), round_id=round_id
    )


def _amount(call: Call, currency: str, units: int) -> Amount:
    return scaled(units, exponent_of(call, currency))


async def _wallet(call: Call, ledger: TenantLedger, body: Play) -> Balances:
    try:
        return await ledger.wallet(body.user_id, call.currency(body.currency))
    except Rejected as rejected:
        raise await _more_precisely(ledger, body, rejected) from rejected


async def _more_precisely(ledger: TenantLedger, body: Play, rejected: Rejected) -> Rejected:
    """Codes 101 and 154 differ: a known player may lack only this wallet. And the one action that a rollback does
    not find is another player's, and will be: no reason to try again.
    """
    if rejected.code == "WALLET_NOT_FOUND" and await ledger.wallets(body.user_id):
        return Rejected("CURRENCY_NOT_SUPPORTED")
    undone = [action.original_action_id for action in body.actions or [] if action.action == "rollback"]
    if rejected.code == "BET_NOT_FOUND" and rejected.details.get("bet_id") in undone:
        return Rejected("FIELD_INVALID", field="original_action_id", reason="is another player's action")
    return rejected


DIALECT = Dialect(
    name="bgaming",
    title="SoftSwiss Game Content Provider v1 (BGaming)",
    endpoints=(
        Endpoint("POST", "/play", play, credits=_credits),
        Endpoint("POST", "/rollback", rollback, credits=True),
        Endpoint("POST", "/freespins", free_spins, credits=True),
    ),
    verify=verify,
    refuse=refuse,
    options={
        "subunits": Option(
            "Decimals of the provider's subunits where they are others than on its page: ETH:18,USDT:6",
            pattern=MINOR_EXPONENTS,
        )
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
