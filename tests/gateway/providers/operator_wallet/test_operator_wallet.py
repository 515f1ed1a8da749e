"""What only the operator wallet says: hashes that do not cover what is asked, and what is safe about them all the same."""

import json
from dataclasses import replace
from hashlib import sha1
from typing import Any

import pytest

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.providers.operator_wallet import DIALECT
from gateway.providers.operator_wallet.signature import unix_seconds
from ledger.admin.integrations import IntegrationError
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call

SECRET = "operator-example-secret"
STAMP, STAMP_S = "2026-12-01 00:00:00", 1_796_083_200


def _sha1(text: str) -> str:
    return sha1((text + SECRET).encode(), usedforsecurity=False).hexdigest()


def _call(at_s: float = STAMP_S, params: dict[str, str] | None = None, **changed: Any) -> Call:
    envelope = {
        "command": "balance",
        "request_timestamp": STAMP,
        "hash": _sha1("balance" + STAMP),
        "data": {},
    } | changed
    headers = {"X-Operator-Id": "op-1", "X-Authorization": _sha1("balance")}
    call = signed_call(
        DIALECT, SECRET, headers, json.dumps(envelope).encode(), at_s=at_s, operator_id="op-1", provider="TLT"
    )
    return replace(call, path="/balance", params=params or {})


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same X-Authorization and hash, and both are accepted."""
    authorization, stamped = signature_on_page("operator_wallet").split()
    call = _call(hash=stamped)
    DIALECT.verify(replace(call, headers={**call.headers, b"x-authorization": authorization.encode()}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hash": _sha1("balance" + STAMP)[:-1] + "x"}, {"hash": ""}, {"hash": None}, {"hash": 1},
        {"hash": _sha1("balance")}, {"command": "cancel"}, {"request_timestamp": "2026-12-01 00:00:01"},
        {"request_timestamp": None}, {"command": "cancel", "hash": _sha1("cancel" + STAMP)},
    ],
)  # fmt: skip
def test_the_bodys_hash_is_verified(wrong: dict[str, Any]) -> None:
    """And the command is the path's: a hash of another command opens nothing here. OP_20, HTTP 200."""
    with pytest.raises(Rejected, match="SIGNATURE_INVALID") as refused:
        DIALECT.verify(_call(**wrong))
    reply = DIALECT.refuse(_call(), refused.value)
    assert (reply.status, json.loads(reply.body)["data"]["error_code"]) == (200, "OP_20")


def test_time_is_told_in_several_forms_and_runs_out() -> None:
    """Sixty seconds, both ways."""
    for stamp in (STAMP, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00.5Z", "1796083200", "1796083200123"):
        call = _call(request_timestamp=stamp, hash=_sha1("balance" + stamp))
        DIALECT.verify(call)
        assert int(unix_seconds(stamp) or 0) == STAMP_S
    for at_s in (STAMP_S - 61, STAMP_S + 61):
        with pytest.raises(Rejected, match="SIGNATURE_EXPIRED"):
            DIALECT.verify(_call(at_s))
    for stamp in ("yesterday", "2026-13-01 00:00:00", "", "9" * 30):
        with pytest.raises(Rejected, match="SIGNATURE_EXPIRED"):
            DIALECT.verify(_call(request_timestamp=stamp, hash=_sha1("balance" + stamp)))


def test_the_path_names_the_provider() -> None:
    """Where it is the contract's own: several providers may know the operator by one id."""
    for params in ({}, {"provider": "TLT"}):
        DIALECT.verify(_call(params=params))
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(_call(params={"provider": "another"}))


def test_who_proved_nothing_hears_no_hash() -> None:
    """A hash of the secret is only told to who knows it."""
    call = _call()
    stranger = replace(call, headers={b"x-operator-id": b"op-1", b"x-authorization": b"0" * 40})
    for asked, proven in ((call, True), (stranger, False)):
        reply = DIALECT.refuse(asked, Rejected("SIGNATURE_INVALID"))
        assert bool(json.loads(reply.body)["hash"]) is proven
        assert reply.status == 403


def test_a_hash_with_another_content_moves_no_more_money(tables: Tables) -> None:
    """All calls of one second share their hash, so it cannot be used up. The very same call again is a repeat; with
    another content under its transaction id it is refused.
    """
    play = tables.home.sit()
    signed = play.driver.signed(play.a_bet())
    assert tables.home.send_as_is(signed, play.seat).reading.balance == 98
    with tables.home.house.no_event():
        again = tables.home.send_as_is(signed, play.seat)
        assert again.reading.ok
        assert again.reading.balance == 98
        forged = replace(signed, body=signed.body.replace(b'"amount": 2', b'"amount": 1'))
        assert tables.home.send_as_is(forged, play.seat).says == Says(200, "OP_40")
        flipped = replace(signed, body=signed.body.replace(b'"BET"', b'"WIN"'))
        assert tables.home.send_as_is(flipped, play.seat).says == Says(200, "OP_40")
    assert play.available == 98


def test_it_needs_a_known_place(tables: Tables) -> None:
    """No integration without `ip_allow` or `client_certificate`."""
    from gateway.host.dialects import check_options

    with pytest.raises(IntegrationError, match="known place"):
        check_options(DIALECT, {"operator_id": "op-1"})


def test_an_answer_is_found_alone_and_beside_its_request() -> None:
    """Both at once, where the integration does not say which: the contract's form, and that of some of its users."""
    call = _call()
    forms = {}
    for envelope in ("both", "flat", "wrapped"):
        options = {**call.integration.options, "envelope": envelope}
        asked = replace(call, integration=replace(call.integration, options=options))
        forms[envelope] = json.loads(DIALECT.refuse(asked, Rejected("INSUFFICIENT_FUNDS")).body)
    flat = forms["flat"]
    assert flat["hash"] == _sha1("ERROR" + flat["response_timestamp"])
    assert flat["data"] == {"error_code": "OP_31", "error_message": "Insufficient funds"}
    assert forms["wrapped"] == {"request": json.loads(call.body), "response": flat}
    assert forms["both"] == flat | forms["wrapped"]


def test_what_is_not_proven_or_not_understood_is_not_repeated() -> None:
    """`request` is empty then."""
    call = _call()
    broken = replace(call, body=b"{")
    for asked, code in ((call, "FIELD_INVALID"), (broken, "MALFORMED_REQUEST"), (broken, "CALLER_NOT_ALLOWED")):
        assert json.loads(DIALECT.refuse(asked, Rejected(code)).body)["request"] == {}
    stranger = replace(call, headers={b"x-operator-id": b"op-1", b"x-authorization": b"0" * 40})
    assert json.loads(DIALECT.refuse(stranger, Rejected("SIGNATURE_INVALID")).body)["request"] == {}


def test_anybody_may_ask_whether_anybody_is_there(tables: Tables) -> None:
    """At the contract's own path too, where a ping names no operator."""
    answer = tables.home.ask("GET", "/api/v1/provider/TLT/ping", b"")
    told = json.loads(answer.body)
    assert (answer.status, told["status"], told["hash"]) == (200, "OK", "")


def test_one_operator_has_several_providers() -> None:
    """They may all know the player by the same id: the path says which integration it is."""
    call = _call(params={"provider": "TLT"})
    assert DIALECT.claims is not None
    assert DIALECT.claims(call) == {"operator_id": "op-1", "provider": "TLT"}
    assert DIALECT.claims(replace(call, headers={})) == {"provider": "TLT"}


def test_a_round_ends_whatever_wallets_its_player_has(tables: Tables) -> None:
    """`finishround` names no currency; it is never refused because there are two."""
    play = tables.home.sit()
    play.bet()
    tables.home.sit(currency="JPY", player_id=play.seat.player_id)
    finish = play.driver.finish(play.seat, play.id("round"))
    assert finish is not None
    for _ in range(2):
        assert play.send(finish).reading.ok
    assert play.bet("late").says == Says(200, "OP_49")


def test_the_token_alone_tells_whose_balance(tables: Tables) -> None:
    """The player and the currency may be left out of `balance`, and the round of `cancel`."""
    play = tables.home.sit()
    play.bet()
    assert play.send(_post("balance", {"token": play.seat.session_id})).reading.balance == 98
    cancel = {"user_id": play.seat.player_id, "transaction_id": play.id("bet")}
    assert play.send(_post("cancel", cancel)).reading.ok
    assert play.available == 100


def test_the_contracts_own_paths_find_the_integration(tables: Tables) -> None:
    """By X-Operator-Id and the provider's name."""
    play = tables.home.sit()
    signed = play.driver.signed(play.driver.balance(play.seat))
    headers = {**signed.headers, "Content-Length": str(len(signed.body))}
    house = tables.home.house
    reply = house.run(house.call("POST", "/api/v1/provider/TLT/balance", headers.items(), [signed.body]))
    assert reply.json["data"] == {"balance": 100, "currency_code": "EUR"}
    headers["X-Operator-Id"] = "operator-nobody"
    reply = house.run(house.call("POST", "/api/v1/provider/TLT/balance", headers.items(), [signed.body]))
    assert reply.status == 404


def test_a_status_is_told_only_of_the_players_own(tables: Tables) -> None:
    """Another player's transaction is not found."""
    play, other = tables.home.sit(), tables.home.sit()
    play.bet()
    for asking, word in ((play, Says(200, "OK")), (other, Says(200, "OP_41"))):
        body = {"user_id": asking.seat.player_id, "transaction_id": play.id("bet"), "transaction_type": "BET"}
        assert asking.send(_post("status", body)).says == word


def test_what_a_provider_leaves_empty_is_absent(tables: Tables) -> None:
    """Nulls of optional fields, an empty token of a win, and ids as numbers."""
    play = tables.home.sit()
    play.bet()
    win = json.loads(play.a_win().body) | {"token": "", "round_finished": None, "context": []}
    assert play.send(Request("/changebalance", json.dumps(win).encode())).reading.balance == 103
    bet = json.loads(play.a_bet("other").body) | {"token": ""}
    assert play.send(Request("/changebalance", json.dumps(bet).encode())).says == Says(200, "OP_21")
    number = json.loads(play.a_bet().body) | {"transaction_id": 77001, "round_id": 5, "game_id": 43}
    assert play.send(Request("/changebalance", json.dumps(number).encode())).reading.balance == 101
    text = number | {"transaction_id": "77001", "round_id": "5", "game_id": "43"}
    assert play.send(Request("/changebalance", json.dumps(text).encode())).reading.balance == 101


def _post(command: str, data: dict[str, object]) -> Request:
    return Request(f"/{command}", json.dumps(data).encode())
