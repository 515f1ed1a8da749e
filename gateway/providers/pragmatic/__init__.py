"""Pragmatic Play's seamless wallet: forms to /<method>.html, JSON back.

`reference` is the id of each money call, and a refund names its bet by it. The calls name no currency: it is the
player's only one, or the integration's.
"""

import hashlib
import hmac
import re

from gateway.dialect.amounts import decimal
from gateway.dialect.bodies import form_fields, read_form
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import Number
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.pragmatic.answers import answer_ok, money, moved, our_id, refuse
from gateway.providers.pragmatic.bodies import (
    AdjustmentRequest,
    AuthenticateRequest,
    BetRequest,
    BonusWinRequest,
    GamesRequest,
    JackpotWinRequest,
    PlayerRequest,
    PromoWinRequest,
    ResultRequest,
    RoundRequest,
    SessionRequest,
    Transaction,
)
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.players import EndSession
from ledger.core.policy import ACCEPT, AT_AUTHORIZATION, CURRENT, KNOWN, REFUND, REFUSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from ledger.core.state import ROLLED_BACK
from ledger.core.wallets import Adjust
from ledger.core.wins import Award, SettleBet
from ledger.outcome import Balances

INFORMATION, PAYMENT = "information", "payment"
"""What bonusWin may be."""

TRANSACTION, REFUND_OF, FINISH, SESSION = "transaction", "refund", "finish", "session"
"""Classes of operations: a reference is unique over all money calls; a refund repeats its bet's."""

_JOINT = re.compile("[&=]")
_SWALLOWED = re.compile("&[^&]*=")
"""In a name and in a value: what could be the joint of two fields."""


def verify(call: Call) -> bytes:
    """`hash`: hex MD5 of the other fields that are not empty, as name=value, sorted by name and joined by &, with the
    secret key after them. Over the fields as received: new ones come without notice.

    Joined so, a field could swallow the next one under the same hash, and an id that grew by it would be a new call's.
    """
    try:
        fields = form_fields(call.body)
    except Rejected as rejected:
        raise Rejected("SIGNATURE_INVALID") from rejected
    sent = fields.pop("hash", "").encode()
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    if any(map(_JOINT.search, fields)) or any(map(_SWALLOWED.search, fields.values())):
        raise Rejected("SIGNATURE_INVALID")
    signed = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value).encode()
    found = False
    for secret in call.secrets:
        expected = hashlib.md5(signed + secret, usedforsecurity=False).hexdigest().encode()
        found |= hmac.compare_digest(expected, sent)
    if not found:
        raise Rejected("SIGNATURE_INVALID")
    return signed


async def authenticate(call: Call, ledger: TenantLedger) -> Reply:
    token = read_form(AuthenticateRequest, call.body).token
    session = await ledger.session(token)
    balances = await ledger.wallet(session.player_id, session.currency)
    place = {name: value for name in ("country", "jurisdiction") if (value := call.option(name))}
    return answer_ok({
        "userId": session.player_id, "currency": call.provider_currency(balances.currency), **money(balances),
        "token": token, **place,
    })  # fmt: skip


async def balance(call: Call, ledger: TenantLedger) -> Reply:
    balances = await _wallet(ledger, read_form(PlayerRequest, call.body))
    return answer_ok({"currency": call.provider_currency(balances.currency), **money(balances)})


async def balance_per_game(call: Call, ledger: TenantLedger) -> Reply:
    """One wallet pays for all games."""
    body = read_form(GamesRequest, call.body)
    cash_and_bonus = money(await _wallet(ledger, body))
    return answer_ok({"gamesBalances": [{"gameID": game, **cash_and_bonus} for game in body.game_id_list.split(",")]})


async def bet(call: Call, ledger: TenantLedger) -> Reply:
    body = read_form(BetRequest, call.body)
    if body.token:  # one that we never gave is wrong, whatever the policy makes of a bet without any
        await ledger.session(body.token, live=False)
    command = _transaction(
        call, AuthorizeBet, body, session_id=body.token, bet_id=body.reference, round_id=body.round_id,
        amount=body.amount, currency=await ledger.currency_of(body.user_id), game_id=call.game(body.game_id),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    balances = outcome.balances or await _wallet(ledger, body)
    # Cash is taken first: bonus money was used only where none is left.
    known = await ledger.bet(body.reference) if outcome.replayed or not balances.cash_minor else None
    if outcome.replayed and known and known.status == ROLLED_BACK:
        raise Rejected("BET_ROLLED_BACK", bet_id=body.reference)
    used_promo = Number(decimal(known.stake_bonus_minor if known else 0, balances.exponent))
    return answer_ok(moved(call, our_id(outcome), balances, usedPromo=used_promo), repeated=outcome.replayed)


async def result(call: Call, ledger: TenantLedger) -> Reply:
    """The win of a round, possibly 0, and with it perhaps a promotion's: both or none."""
    body = read_form(ResultRequest, call.body)
    currency, game_id = await ledger.currency_of(body.user_id), call.game(body.game_id)
    win = _transaction(
        call, SettleBet, body, bet_id=None, round_id=body.round_id, win=body.amount, currency=currency,
        win_id=body.reference, game_id=game_id, ends_bet=False,
    )  # fmt: skip
    if body.promo_win_reference and body.promo_win_amount is None:  # what it names would be lost
        raise Unreadable("FIELD_INVALID", field="promoWinAmount", reason="field required")
    if not body.promo_win_amount or not body.promo_win_amount.unscaled:
        return await _submit(call, ledger, body, win, *_end_of_bets(call, body, currency))
    if not body.promo_win_reference:
        raise Unreadable("FIELD_INVALID", field="promoWinReference", reason="field required")
    promo = call.command(
        Award, TRANSACTION, body.promo_win_reference, occurred_at=body.timestamp, player=body.user_id,
        currency=currency, amount=body.promo_win_amount, award_id=body.promo_win_reference, award_kind="promo",
        campaign_id=body.promo_campaign_id, round_id=body.round_id, game_id=game_id,
    )  # fmt: skip
    return await _submit(call, ledger, body, win, promo, *_end_of_bets(call, body, currency))


def _end_of_bets(call: Call, body: ResultRequest, currency: str) -> list[Command]:
    """`endRound` is the provider's setting, and may be off: then only a result says that the bets were played."""
    if call.option("result_ends_bets") != "true":
        return []
    return [
        call.command(
            FinishRound, FINISH, body.reference, player=body.user_id, currency=currency, round_id=body.round_id,
            game_id=call.game(body.game_id),
        )
    ]  # fmt: skip


async def bonus_win(call: Call, ledger: TenantLedger) -> Reply:
    """The total of a player's free rounds. Whether it pays is the provider's setting, and our option `bonus_win`: where
    each of their wins has come as a result, it is information.
    """
    if call.option("bonus_win") != PAYMENT:
        body = read_form(Transaction, call.body)
        call.note("bonus win told", reference=body.reference)
        return answer_ok(moved(call, body.reference, await _wallet(ledger, body)))
    paid = read_form(BonusWinRequest, call.body)
    command = _transaction(
        call, Award, paid, currency=await ledger.currency_of(paid.user_id), amount=paid.amount,
        award_id=paid.reference, award_kind="free_spins", campaign_id=paid.bonus_code, round_id=paid.round_id,
        game_id=call.game(paid.game_id) if paid.game_id else None,
    )  # fmt: skip
    return await _submit(call, ledger, paid, command)


async def jackpot_win(call: Call, ledger: TenantLedger) -> Reply:
    body = read_form(JackpotWinRequest, call.body)
    command = _transaction(
        call, Award, body, currency=await ledger.currency_of(body.user_id), amount=body.amount,
        award_id=body.reference, award_kind="jackpot", campaign_id=body.jackpot_id, round_id=body.round_id,
        game_id=call.game(body.game_id) if body.game_id else None,
    )  # fmt: skip
    return await _submit(call, ledger, body, command)


async def promo_win(call: Call, ledger: TenantLedger) -> Reply:
    """Pay the prize of a tournament, a prize drop or a cashback: outside rounds, and up to half an hour later."""
    body = read_form(PromoWinRequest, call.body)
    currency = call.currency(body.currency) if body.currency else await ledger.currency_of(body.user_id)
    command = _transaction(
        call, Award, body, currency=currency, amount=body.amount, award_id=body.reference,
        award_kind="tournament" if body.campaign_type == "T" else "promo", campaign_id=body.campaign_id,
    )  # fmt: skip
    return await _submit(call, ledger, body, command)


async def end_round(call: Call, ledger: TenantLedger) -> Reply:
    body = read_form(RoundRequest, call.body)
    command = call.command(
        FinishRound, FINISH, f"{body.user_id}:{body.round_id}", player=body.user_id,
        currency=await ledger.currency_of(body.user_id), round_id=body.round_id, game_id=call.game(body.game_id),
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    return answer_ok(money(outcome.balances or await _wallet(ledger, body)), repeated=outcome.replayed)


async def refund(call: Call, ledger: TenantLedger) -> Reply:
    """A success whatever it names: an unknown bet can then never begin. `reference` is the bet's; the amount and the
    round, where they are sent, are the bet's too.
    """
    body = read_form(Transaction, call.body)
    command = call.command(
        Rollback, REFUND_OF, body.reference, occurred_at=body.timestamp, target_id=body.reference, round_id=None,
        reason="refund", player=body.user_id,
    )  # fmt: skip
    (outcome,) = await ledger.submit(command)
    return answer_ok({"transactionId": our_id(outcome)}, repeated=outcome.replayed)


async def adjustment(call: Call, ledger: TenantLedger) -> Reply:
    """A live table's correction of what it paid, up or down."""
    body = read_form(AdjustmentRequest, call.body)
    negative, amount = body.amount
    command = _transaction(
        call, Adjust, body, currency=await ledger.currency_of(body.user_id), amount=amount,
        negative=negative, reason="adjustment", reference=body.reference,
        actor=call.integration.provider_id, round_id=body.round_id, game_id=call.game(body.game_id),
    )  # fmt: skip
    return await _submit(call, ledger, body, command)


async def session_expired(call: Call, ledger: TenantLedger) -> Reply:
    """The player left: nothing more is bet with the token."""
    token = read_form(SessionRequest, call.body).token
    if token:
        try:
            await ledger.session(token)
            await ledger.submit(call.command(EndSession, SESSION, token, session_id=token, reason="expired"))
        except Rejected as rejected:
            if not rejected.code.startswith("SESSION_"):
                raise
    return answer_ok({})


async def round_details(call: Call, _: TenantLedger) -> Reply:
    """The course of a round, for information."""
    return answer_ok({})


def _transaction(call: Call, kind: type[Command], body: Transaction, **fields: object) -> Command:
    return call.command(
        kind, TRANSACTION, body.reference, occurred_at=body.timestamp, player=body.user_id, **fields
    )  # fmt: skip


async def _submit(call: Call, ledger: TenantLedger, body: Transaction, *commands: Command) -> Reply:
    outcomes = await ledger.submit(*commands)
    known = [outcome.balances for outcome in outcomes if outcome.balances]
    balances = known[-1] if known else await _wallet(ledger, body)
    return answer_ok(moved(call, our_id(outcomes[0]), balances), repeated=outcomes[0].replayed)


async def _wallet(ledger: TenantLedger, body: PlayerRequest) -> Balances:
    return await ledger.wallet(body.user_id, await ledger.currency_of(body.user_id))


DIALECT = Dialect(
    name="pragmatic",
    title="Pragmatic Play seamless wallet",
    endpoints=(
        Endpoint("POST", "/authenticate.html", authenticate),  # remembered: its bytes would end the session
        Endpoint("POST", "/balance.html", balance, reads=True),
        Endpoint("POST", "/getBalancePerGame.html", balance_per_game, reads=True),
        Endpoint("POST", "/GetBalancePerGame.html", balance_per_game, reads=True),  # both spellings are in use
        Endpoint("POST", "/bet.html", bet),
        Endpoint("POST", "/result.html", result, credits=True),
        Endpoint("POST", "/bonusWin.html", bonus_win, credits=True),
        Endpoint("POST", "/jackpotWin.html", jackpot_win, credits=True),
        Endpoint("POST", "/promoWin.html", promo_win, credits=True),
        Endpoint("POST", "/endRound.html", end_round, credits=True),
        Endpoint("POST", "/refund.html", refund, credits=True),
        Endpoint("POST", "/adjustment.html", adjustment, credits=True),
        Endpoint("POST", "/session/expired", session_expired),
        Endpoint("POST", "/sessionExpired.html", session_expired),
        Endpoint("POST", "/roundDetails.html", round_details),
    ),
    verify=verify,
    refuse=refuse,
    policy=Policy(
        capture=AT_AUTHORIZATION,
        rollback_of_settled=REFUND,
        refusal_consumes_key=False,
        shortfall=REFUSE,
        session=KNOWN,
        zero_stake=ACCEPT,
        bet_after_round_end=ACCEPT,
        replay_balance=CURRENT,
    ),
    options={
        "bonus_win": Option(
            "What bonusWin is: information, where wins of free rounds come as results, or the payment of them.",
            INFORMATION,
            (INFORMATION, PAYMENT),
        ),
        "result_ends_bets": Option(
            "Whether a result ends the bets of its round; more results still come. false: only endRound does.",
            "true",
            ("true", "false"),
        ),
        "country": Option("ISO 3166-1 code that authenticate tells of every player."),
        "jurisdiction": Option("Jurisdiction that authenticate tells, such as MT."),
    },
)
