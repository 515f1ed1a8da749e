"""What only the casino ↔ provider integration says, and its provider's half."""

import hashlib
import hmac
import json
import urllib.request
import uuid
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.providers.casino import DIALECT
from sandbox.casino_provider import Casino, build_app
from sandbox.drivers import driver_of
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import Play

PROVIDER_SECRET = "provider-secret-of-the-tests"
BODY = b'{"sessionToken":"sess_0193","transactionId":"bet-1","roundId":"round-1","amount":1000}'


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted."""
    headers = {"x-casino-signature": signature_on_page("casino")}
    DIALECT.verify(signed_call(DIALECT, "casino-example-secret", headers, BODY))


def test_a_launched_session_plays(tables: Tables) -> None:
    """The token of launchGame is what debits need; the currency may be left out where the user has one wallet."""
    play = tables.home.sit()
    launched = _ask(play, "launchGame", userId=play.seat.player_id, gameId="game_1")
    assert launched["success"] is True
    assert launched["sessionId"] == launched["sessionToken"]
    assert (launched["balance"], launched["currency"]) == (10_000, "EUR")
    debit = {"transactionId": play.id("bet"), "roundId": play.id("round"), "amount": 250}
    assert _ask(play, "debit", sessionToken=launched["sessionToken"], **debit)["balance"] == 9_750


def test_a_rollback_without_an_effect_rolls_nothing_back(tables: Tables) -> None:
    """Where the policy acknowledges rollbacks of payouts, `rolledBack` does not claim what did not happen."""
    driver = driver_of("casino", "acknowledging")
    policy = {"policy.rollback_of_win": "acknowledge"}
    play = tables.home.house.mount(driver, f"acknowledging-{uuid.uuid4().hex[:8]}", **policy).sit()
    assert play.win().reading.balance == 105
    undo = {"transactionId": play.id("undo"), "originalTransactionId": play.id("win")}
    told = _ask(play, "rollback", sessionToken=play.seat.session_id, **undo)
    assert (told["success"], told["rolledBack"], told["balance"]) == (True, False, 10_500)


def test_a_launch_minds_the_operator_s_conditions(tables: Tables) -> None:
    """The protocol tells no jurisdiction: where the integration has a list, nobody is let in by it."""
    for jurisdictions, status in (("", 200), ("MT, GB", 400)):
        name = f"casino-{uuid.uuid4().hex[:8]}"
        play = tables.home.house.mount(driver_of("casino", name), name, jurisdictions=jurisdictions).sit()
        launch = _post("launchGame", userId=play.seat.player_id, gameId="dice", currency="EUR")
        assert play.send(launch).answer.status == status


def test_an_unsigned_launch_is_refused(tables: Tables) -> None:
    """The operator's endpoints need the signature too."""
    play = tables.home.sit()
    for name in ("launchGame", "simulateRound"):
        request = _post(name, userId=play.seat.player_id, gameId="game_1", bets=[{"amount": 100}])
        with tables.home.house.nothing_changes():
            assert tables.home.send_as_is(request, play.seat).says == Says(401, "SIGNATURE_INVALID")


def test_a_round_is_simulated_only_where_that_is_wanted(tables: Tables) -> None:
    """It moves real money, so it is off unless the integration says `simulate=true`."""
    play = tables.home.sit()
    request = _post("simulateRound", userId=play.seat.player_id, gameId="game_1", bets=[{"amount": 100}])
    with tables.home.house.nothing_changes():
        assert play.send(request).says == Says(403, "FORBIDDEN")


def test_a_simulated_round_is_all_or_none(tables: Tables) -> None:
    """Bets, rollbacks, payouts; one bet too many, and none of it happened."""
    driver = driver_of("casino", "simulation")
    table = tables.home.house.mount(driver, f"simulated-{uuid.uuid4().hex[:8]}", simulate="true")
    play = table.sit()
    who = {"userId": play.seat.player_id, "gameId": "game_1"}
    bets = [{"amount": 1000}, {"amount": 500}]
    wins, rollbacks = [{"amount": 2500, "relatedBetIndex": 0}], [{"betIndex": 1}]
    told = _ask(play, "simulateRound", **who, bets=bets, wins=wins, rollbacks=rollbacks)
    assert [one["type"] for one in told["transactions"]] == ["bet", "bet", "rollback", "payout"]
    assert [one["balanceAfter"] for one in told["transactions"]] == [9_000, 8_500, 9_000, 11_500]
    assert told["finalBalance"] == 11_500
    assert play.send(_post("simulateRound", **who, bets=[{"amount": 11_501}])).says == Says(400, "INSUFFICIENT_FUNDS")
    assert play.send(_post("simulateRound", **who, bets=bets, rollbacks=[{"betIndex": 2}])).says.status == 400
    assert play.available == 115


def test_the_paths_as_the_protocol_writes_them(tables: Tables) -> None:
    """/casino/debit of the whole server belongs to the one integration that is flagged for it."""
    driver = driver_of("casino", "flagged")
    table = tables.home.house.mount(driver, f"flagged-{uuid.uuid4().hex[:8]}", as_written="true")
    play = table.sit()
    assert play.balance().reading.ok
    driver.mounted("", driver.kid)
    heard = play.bet()
    assert heard.reading.balance == 98, heard
    forged = replace(play, table=replace(table, driver=tables.home.driver)).driver.signed(play.a_bet("forged"))
    assert table.send_as_is(forged, play.seat).says == Says(401, "SIGNATURE_INVALID")


class Provider:
    """The provider's half, whose calls reach the gateway of the tests instead of a port."""

    def __init__(self, play: Play) -> None:
        self.play = play
        casino = Casino("http://casino.invalid", str(play.driver.setup().secret))
        casino = replace(casino, opener=self._open)
        self.client = TestClient(build_app(casino, PROVIDER_SECRET))

    def _open(self, request: urllib.request.Request) -> bytes:
        assert isinstance(request.data, bytes)
        path = request.full_url.removeprefix("http://casino.invalid")
        headers = dict(request.header_items())
        answer = self.play.table.house.run(
            self.play.table.sending_raw(Request(path, request.data, "POST", "", headers))
        )
        return answer.body

    def post(self, name: str, **content: object) -> tuple[int, dict[str, object]]:
        body = json.dumps(content).encode()
        sent = hmac.new(PROVIDER_SECRET.encode(), body, hashlib.sha256).hexdigest()
        answer = self.client.post(f"/provider/{name}", content=body, headers={"x-provider-signature": sent})
        return answer.status_code, answer.json()


def test_the_provider_plays_a_round(tables: Tables) -> None:
    """Launch, then a balance check, bets, a rollback, a payout, and a bet above the balance that changes nothing."""
    play = tables.home.sit()
    provider = Provider(play)
    who = {"casinoCode": "CASINO_MAIN", "sessionToken": play.seat.session_id, "gameId": "game_1"}
    status, launched = provider.post("launch", **who, playerId=play.seat.player_id, currency="EUR", balance=10_000)
    assert (status, launched["success"], launched["playerId"]) == (200, True, play.seat.player_id)
    actions: list[dict[str, object]] = [
        {"type": "balance_check"}, {"type": "bet", "amount": 1000}, {"type": "bet", "amount": 500},
        {"type": "rollback", "betIndex": 1}, {"type": "payout", "amount": 2500, "betIndex": 0},
        {"type": "bet", "amount": 99_999}, {"type": "rollback", "betIndex": 7}, {"type": "dance"},
    ]  # fmt: skip
    status, told = provider.post("simulate", **who, actions=actions)
    assert (status, told["success"], told["finalBalance"]) == (200, True, 11_500)
    results = told["results"]
    assert isinstance(results, list)
    assert [one["success"] for one in results] == [True] * 5 + [False] * 3
    assert results[5]["code"] == "INSUFFICIENT_FUNDS"
    assert play.available == 115


def test_the_provider_answers_only_what_is_signed(tables: Tables) -> None:
    """A wrong, cut or missing signature is 401; its health is open."""
    client = Provider(tables.home.sit()).client
    assert client.get("/provider/health").json() == {"status": "ok", "service": "game-provider"}
    for name in ("launch", "simulate"):
        for headers in ({}, {"x-provider-signature": ""}, {"x-provider-signature": "0" * 64}):
            assert client.post(f"/provider/{name}", content=b"{}", headers=headers).status_code == 401
    with pytest.raises(ValueError, match="secrets"):
        build_app(Casino("http://casino.invalid", "casino-secret"), "")


def _ask(play: Play, name: str, **content: object) -> dict[str, Any]:
    heard = play.send(_post(name, **content))
    assert heard.reading.ok, heard
    answer: dict[str, Any] = json.loads(heard.answer.body)
    return answer


def _post(name: str, **content: object) -> Request:
    return Request(f"/casino/{name}", json.dumps(content).encode())
