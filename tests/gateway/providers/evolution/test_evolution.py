"""What only Evolution says: a token in the query, promo payouts of several kinds, balances with few decimals."""

import json
import uuid

import pytest

from gateway.dialect.errors import Rejected
from gateway.providers.evolution import DIALECT
from gateway.providers.evolution.answers import answer_ok
from ledger.outcome import Balances
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import Tables, yes
from tests.gateway.providers.worked_example import signed_call
from tests.support.house import Heard, Play


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"authToken=s3cr3t-token", None),
        (b"authToken=s3cr3t%2Dtoken&more=1", None),
        (b"", "SIGNATURE_MISSING"),
        (b"authtoken=s3cr3t-token", "SIGNATURE_MISSING"),
        (b"authToken=", "SIGNATURE_INVALID"),
        (b"authToken=s3cr3t-toke", "SIGNATURE_INVALID"),
        (b"authToken=s3cr3t-token&authToken=s3cr3t-token", "SIGNATURE_INVALID"),
        (b"authToken=\xff", "SIGNATURE_INVALID"),
    ],
)
def test_the_token_of_the_query(query: bytes, code: str | None) -> None:
    """Exactly one, and exactly the secret."""
    call = signed_call(DIALECT, "s3cr3t-token", {}, b"{}")
    object.__setattr__(call, "query", query)
    if code is None:
        DIALECT.verify(call)
    else:
        with pytest.raises(Rejected, match=code):
            DIALECT.verify(call)


@pytest.mark.parametrize(
    ("balances", "decimals", "body"),
    [
        (Balances("EUR", 2, 1_005, 250, 7, 0), "2", b'{"status":"OK","balance":10.05,"bonus":2.50,"uuid":"u"}'),
        (Balances("BTC", 8, 199_999_999, 0, 0, 0), "2", b'{"status":"OK","balance":1.99,"bonus":0.00,"uuid":"u"}'),
        (
            Balances("BTC", 8, 199_999_999, 0, 0, 0),
            "6",
            b'{"status":"OK","balance":1.999999,"bonus":0.000000,"uuid":"u"}',
        ),
        (Balances("JPY", 0, 5, 0, 0, -3), "2", b'{"status":"OK","balance":5,"bonus":0,"uuid":"u"}'),
    ],
)
def test_balances_are_rounded_down(balances: Balances, decimals: str, body: bytes) -> None:
    """What is told may never be more than what can be staked; a debt is not part of it."""
    call = signed_call(DIALECT, "s3cr3t-token", {}, b"{}", balance_decimals=decimals)
    assert answer_ok(call, "u", balances).body == body


@pytest.mark.parametrize(
    ("kind", "account"),
    [
        ("JackpotWin", "jackpot:evolution"),
        ("FreeRoundPlayableSpent", "bonus_cost"),
        ("SmartTournamentMonetaryReward", "bonus_cost"),
        ("SomethingNew", "bonus_cost"),
    ],
)
def test_promo_payouts(tables: Tables, kind: str, account: str) -> None:
    """Each is paid once, by the account that bears it, and needs no session; one of nothing is a yes too."""
    play = tables.home.sit().in_session("gone")
    for name, amount, cash in (("one", "1.50", 101.5), ("one", "1.50", 101.5), ("nothing", "0", 101.5)):
        yes(_payout(play, kind, name, amount), tables.traits)
        assert play.wallet.cash == cash
    row = tables.home.house.row(
        "select account from wagerledger.settlements where win_id = %s", (play.id(f"{kind}-one"),)
    )
    assert row == (account,)


def test_only_the_very_same_bet_exists_already(tables: Tables) -> None:
    """BET_ALREADY_EXIST counts as success: told of another player's bet, of another stake, or of a stake that was given
    back, it would let the player play for nothing.
    """
    play, other = tables.home.sit(), tables.home.sit()
    yes(play.bet(), tables.traits)
    assert _debit(play, play.id("bet"), "2").says.code == "BET_ALREADY_EXIST"
    assert _debit(play, play.id("bet"), "3").says.code == "INVALID_PARAMETER"
    assert _debit(other, play.id("bet"), "2").says.code == "INVALID_PARAMETER"
    yes(play.win(amount="0"), tables.traits)
    assert _debit(play, play.id("bet"), "2").says.code == "BET_ALREADY_EXIST"
    assert (play.available, other.available) == (98, 100)


def test_a_cancelled_bet_does_not_exist_under_another_id(tables: Tables) -> None:
    """Whatever the debit's id: its refId was cancelled."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.cancel(), tables.traits)
    for heard in (play.bet(), _debit(play, play.id("bet"), "2")):
        assert heard.says.code == "FINAL_ERROR_ACTION_FAILED"
    assert play.available == 100


def _debit(play: Play, ref_id: str, amount: str) -> Heard:
    """Under an id that was never used."""
    request = play.driver.bet(play.seat, ref_id, amount, play.id("round"))
    content = json.loads(request.body)
    content["transaction"]["id"] = str(uuid.uuid4())
    return play.send(Request(request.path, json.dumps(content).encode()))


def _payout(play: Play, kind: str, name: str, amount: str) -> Heard:
    seat = play.seat
    content = {
        "sid": seat.session_id, "userId": seat.player_id, "currency": seat.currency, "game": None, "uuid": "u",
        "promoTransaction": {"type": kind, "id": play.id(f"{kind}-{name}"), "amount": amount, "voucherId": "v"},
    }  # fmt: skip
    return play.send(Request("/promo_payout", json.dumps(content).encode()))


def test_what_the_test_tool_asks(tables: Tables) -> None:
    """A sid for whoever has none, a word for an unknown player in every call, a uuid and keep-alive in every answer."""
    play = tables.home.sit()
    asked = {"sid": "", "userId": play.seat.player_id, "channel": {"type": "P"}, "uuid": "u-1"}
    fresh = _post(play, "/sid", asked)
    sid = json.loads(fresh.answer.body)["sid"]
    assert sid != play.seat.session_id
    assert _post(play, "/check", asked | {"sid": sid}).says.code == "OK"
    yes(play.in_session(sid).bet(), tables.traits)
    assert _post(play, "/sid", asked | {"sid": "gone"}).says.code == "INVALID_SID"
    money = {
        "currency": "EUR", "game": None, "sid": sid, "userId": "nobody", "uuid": "u-2",
        "transaction": {"id": "t", "refId": "r", "amount": 1}, "promoTransaction": {"type": "x", "id": "p", "amount": 1},
    }  # fmt: skip
    for path in ("/check", "/sid", "/balance", "/debit", "/credit", "/cancel", "/promo_payout"):
        heard = _post(play, path, money | {"uuid": path})
        assert (heard.says.code, json.loads(heard.answer.body)["uuid"]) == ("INVALID_PARAMETER", path), heard
        assert heard.answer.headers["connection"] == "keep-alive"
        unproven = tables.home.send_as_is(Request(path, json.dumps(money).encode()), play.seat)
        assert json.loads(unproven.answer.body) == {"status": "INVALID_TOKEN_ID", "uuid": "u-2"}
    assert json.loads(_post(play, "/check", {"sid": sid, "userId": play.seat.player_id}).answer.body)["uuid"]


def test_the_same_debit_with_another_amount_exists_already(tables: Tables) -> None:
    """Answered as the bet that it is, and nothing moves; one that was given back does not exist any more."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    assert play.bet(amount="3").says.code == "BET_ALREADY_EXIST"
    assert play.available == 98
    yes(play.cancel(), tables.traits)
    assert play.bet(amount="3").says.code == "INVALID_PARAMETER"
    assert play.available == 100


def _post(play: Play, path: str, content: dict[str, object]) -> Heard:
    return play.send(Request(path, json.dumps(content).encode()))
