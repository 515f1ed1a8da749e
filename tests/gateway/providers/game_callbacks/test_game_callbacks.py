"""What only the game callbacks of a casino platform say."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.dialect.errors import Rejected
from gateway.dialect.integration import SigningKey
from gateway.dialect.signing import sign
from gateway.providers.game_callbacks import DIALECT
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import LONG_AGO_US, Play

SECRET, AT_S = "callbacks-example-secret", 1_796_000_000
BODY = b'{"sessionId":"s_1","deviceId":"d-1"}'
TARGET = b"/integrations/brand-7/EU/games/session-recovery"


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted for five minutes; under another key's name it is not."""
    header = signature_on_page("game_callbacks")
    call = replace(signed_call(DIALECT, SECRET, {"X-Signature": header}, BODY, at_s=AT_S + 300), target=TARGET)
    DIALECT.verify(call)
    with pytest.raises(Rejected, match="SIGNATURE_EXPIRED"):
        DIALECT.verify(replace(call, received_at=(AT_S + 301) * 1_000_000))
    named = {b"x-signature": header.replace("kid=kid", "kid=other").encode()}
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(replace(call, headers=named))


def test_a_key_pair_signs_too() -> None:
    """Ed25519, as v2."""
    private = Ed25519PrivateKey.generate()
    header = sign("pair", private, "POST", TARGET.decode(), BODY, timestamp_s=AT_S)
    call = replace(signed_call(DIALECT, SECRET, {"X-Signature": header}, BODY, at_s=AT_S), target=TARGET)
    key = SigningKey("pair", None, private.public_key(), 0, float("inf"))
    DIALECT.verify(replace(call, integration=replace(call.integration, keys=(*call.integration.keys, key))))
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(call)


def test_a_round_is_all_or_none(tables: Tables) -> None:
    """The bet cannot be paid for, so the win is not paid either; with the money there, both happen."""
    play = tables.home.sit("1")
    request = play.driver.bet_and_win(play.seat, play.id("g"), "2", play.id("g"), "50", play.id("r"))
    assert request is not None
    with tables.home.house.no_event():
        assert play.send(request).says == Says(402, "INSUFFICIENT_FUNDS")
    rich = tables.home.sit("2")
    request = rich.driver.bet_and_win(rich.seat, rich.id("g"), "2", rich.id("g"), "50", rich.id("r"))
    assert request is not None
    for _ in range(3):
        assert rich.send(request).reading.balance == 50
    assert rich.available == 50


def test_an_integration_may_say_what_identifies_a_callback(tables: Tables) -> None:
    """The named fields, all of them; without them or without the option there is no id, and no made-up one."""
    body = json.dumps(
        {"sessionId": "s", "gameId": "g", "betAmount": 1, "winAmount": 0, "currency": "EUR", "roundId": "r"}
    )
    for fields in ("", "providerTransactionId", "roundId,nothing"):
        with pytest.raises(Rejected, match="FIELD_INVALID"):
            _identified(body, fields)
    assert _identified(body, "roundId") == "roundId=r"
    assert _identified(body, "sessionId,roundId") == "sessionId=s,roundId=r"


def test_the_signed_idempotency_key_is_an_id_too() -> None:
    """Where there is no providerTransactionId; it is an id like any other."""
    body = {"sessionId": "s", "gameId": "g", "betAmount": 1, "winAmount": 0, "currency": "EUR"}
    assert _identified(json.dumps(body), "", key="k-1") == "k-1"
    assert _identified(json.dumps(body | {"providerTransactionId": "t"}), "", key="k-1") == "t"
    with pytest.raises(Rejected, match="FIELD_INVALID"):
        _identified(json.dumps(body), "", key="k" * 201)


def _identified(body: str, fields: str, key: str = "") -> str:
    from gateway.dialect.bodies import read_json
    from gateway.providers.game_callbacks import _identity
    from gateway.providers.game_callbacks.bodies import GameResult

    headers = {"X-Idempotency-Key": key} if key else {}
    call = signed_call(DIALECT, SECRET, headers, body.encode(), identified_by=fields)
    return _identity(call, read_json(GameResult, call.body))


def test_a_jackpot_reaches_a_player_whose_session_is_over(tables: Tables) -> None:
    """Whose session it was is still known."""
    play = tables.home.sit()
    late = play.in_session(tables.home.session(play.seat, expires_at=LONG_AGO_US))
    jackpot = {
        "sessionId": late.seat.session_id, "gameId": "g", "amount": 50, "currency": "EUR", "jackpotType": "MEGA",
        "providerTransactionId": play.id("jackpot"),
    }  # fmt: skip
    for _ in range(2):
        assert late.send(_post("jackpot", jackpot)).reading.balance == 150
    assert late.send(_post("session-recovery", {"sessionId": late.seat.session_id})).says == Says(
        409, "SESSION_EXPIRED"
    )


def test_a_session_of_another_player_is_not_taken(tables: Tables) -> None:
    """playerId and sessionId must be one player's."""
    play, other = tables.home.sit(), tables.home.sit()
    mixed = replace(play.seat, session_id=other.seat.session_id)
    assert Play(tables.home, mixed, "mixed").bet().says == Says(404, "SESSION_NOT_FOUND")
    assert play.available == other.available == 100


def test_unsigned_paths_of_the_seed_do_not_exist(tables: Tables) -> None:
    """No integration is flagged for them, so they lead nowhere; nor does any of them act unsigned."""
    house = tables.home.house
    for path in ("game-round", "balance", "error", "jackpot", "session-recovery", "session-transfer"):
        reply = house.run(house.call("POST", f"/api/callbacks/{path}", [("Content-Length", "2")], [b"{}"]))
        assert reply.status == 404, reply
        assert tables.home.send_as_is(Request(f"/{path}", b"{}"), tables.home.sit().seat).answer.status == 401


def test_anybody_may_ask_whether_anybody_is_there(tables: Tables) -> None:
    """At the published path too."""
    answer = tables.home.ask("GET", "/api/callbacks/ping", b"")
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "OK")


def test_an_adjustment_may_go_down(tables: Tables) -> None:
    """Nothing else may be negative; what gives money is asked for again then."""
    play = tables.home.sit()
    for kind, says in (
        ("ADJUSTMENT", Says(200, "OK")),
        ("BET", Says(422, "FIELD_INVALID")),
        ("WIN", tables.traits.temporary),
    ):
        body = {
            "sessionId": play.seat.session_id, "gameId": "g", "amount": -5, "currency": "EUR",
            "transactionType": kind, "providerTransactionId": play.id(kind),
        }  # fmt: skip
        assert play.send(_post("balance", body)).says == says
    assert play.available == 95


def _post(callback: str, body: dict[str, object]) -> Request:
    return Request(f"/{callback}", json.dumps(body).encode())
