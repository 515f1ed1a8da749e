"""The canonical API, on a real database: what it does, and that it does it once."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.support.caller import Caller, RunningGateway, on_board


def test_a_round_moves_exactly_its_money(caller: Caller, player: str, session: str, bet_id: str) -> None:
    """A bet of 2.00 that wins 14.60 holds 2.00, then leaves 112.60, and every answer carries the balances after it."""
    authorized = caller.authorize(session, bet_id, amount="2.00")
    assert authorized.status == 200
    assert authorized.json | {"hold_id": "", "balances": {}} == {
        "status": "authorized", "hold_id": "", "session_id": session, "bet_id": bet_id, "round_id": "r_1", "balances": {},
    }  # fmt: skip
    assert authorized.json["balances"] == {
        "currency": "EUR", "exponent": 2, "cash": "98.00", "bonus": "0.00", "held": "2.00", "receivable": "0.00", "available": "98.00",
        "cash_minor": 9800, "bonus_minor": 0, "held_minor": 200, "receivable_minor": 0, "available_minor": 9800,
    }  # fmt: skip
    settled = caller.settle(bet_id, win="14.60")
    assert (settled.status, settled.json["status"]) == (200, "credited")
    assert settled.json["balances"] == caller.balances(player)
    assert caller.balances(player)["cash"] == "112.60"


def test_a_session_answers_with_its_id_and_end(caller: Caller, player: str) -> None:
    """A session is created with 201, an id and an end in RFC 3339 UTC; ending it twice is one end."""
    reply = caller.send(
        "POST", "/v1/sessions", {"player_id": player, "game_id": "g", "currency": "EUR", "locale": "de-DE"}
    )
    assert reply.status == 201
    assert set(reply.json) == {
        "status",
        "session_id",
        "expires_at",
        "player_id",
        "game_id",
        "currency",
        "mode",
        "integration_id",
        "token",
        "launch_url",
        "launch_expires_at",
        "balances",
    }
    assert reply.json["expires_at"].endswith("Z")
    path = f"/v1/sessions/{reply.json['session_id']}/end"
    assert caller.send("POST", path).json["status"] == "ended"
    assert caller.send("POST", path, {"reason": "player left"}).json["status"] == "ended"
    assert caller.authorize(reply.json["session_id"], "late").code == "SESSION_ENDED"


def test_a_lost_bet_is_closed_by_a_win_of_zero(caller: Caller, player: str, session: str, bet_id: str) -> None:
    """A win of 0 gives the stake to the house."""
    caller.authorize(session, bet_id, amount=5)
    assert caller.settle(bet_id, win=0).json["balances"]["cash"] == "95.00"
    assert caller.balances(player)["held"] == "0.00"


def test_a_rollback_returns_the_stake(caller: Caller, player: str, session: str, bet_id: str) -> None:
    """A rolled back bet leaves the wallet as it was."""
    caller.authorize(session, bet_id)
    assert caller.roll_back(bet_id, round_id="r_1", reason="the player's line broke").json["status"] == "rolled_back"
    assert caller.balances(player)["cash"] == "100.00"
    assert caller.settle(bet_id, win="1").code == "BET_ROLLED_BACK"


@pytest.mark.parametrize("named", [True, False])
def test_a_rollback_before_its_bet_stops_the_bet(
    caller: Caller, player: str, session: str, bet_id: str, named: bool
) -> None:
    """A rollback of an unknown bet leaves a tombstone, whether or not it names the session; the late bet is refused and moves nothing."""
    reply = caller.roll_back(bet_id, **({"session_id": session} if named else {}))
    assert (reply.status, reply.json["status"]) == (200, "tombstoned")
    assert caller.authorize(session, bet_id).code == "BET_TOMBSTONED"
    assert caller.balances(player)["cash"] == "100.00"


@pytest.mark.parametrize(
    ("amount", "cash"),
    [(b"2.00", "98.00"), (b'"2.00"', "98.00"), (b"2", "98.00"), (b"0.01", "99.99"), (b'"0.10"', "99.90")],
)
def test_amounts_are_taken_as_they_are_written(
    caller: Caller, player: str, session: str, bet_id: str, amount: bytes, cash: str
) -> None:
    """A number and a string of the same digits are the same amount, to the cent."""
    body = b'{"session_id":"%s","bet_id":"%s","round_id":"r","amount":{"amount":%s,"currency":"EUR"}}' % (
        session.encode(),
        bet_id.encode(),
        amount,
    )
    assert caller.send("POST", "/v1/bets/authorize", body).json["balances"]["cash"] == cash


def test_large_amounts_lose_no_digit(gateway: RunningGateway, caller: Caller) -> None:
    """Digits beyond a float's precision arrive."""
    player_id = f"p_{uuid.uuid4().hex[:12]}"
    gateway.open_wallet(caller.tenant_id, player_id, "BTC", 8, "9007199.25474993")
    session = caller.start_session(player_id, "BTC")
    body = b'{"session_id":"%s","bet_id":"%s","round_id":"r","amount":{"amount":9007199.25474993,"currency":"BTC"}}' % (
        session.encode(),
        uuid.uuid4().hex.encode(),
    )
    assert caller.send("POST", "/v1/bets/authorize", body).json["balances"]["held_minor"] == 900719925474993


def test_fields_that_are_not_listed_are_ignored_and_kept_nowhere(
    gateway: RunningGateway, caller: Caller, session: str, bet_id: str
) -> None:
    """What a body carries besides its fields reaches no table."""
    body = {
        "session_id": session,
        "bet_id": bet_id,
        "round_id": "r",
        "amount": {"amount": 1, "currency": "EUR", "x": [1e5]},
        "name": "Canary McBird",
    }
    assert caller.send("POST", "/v1/bets/authorize", body).status == 200
    with gateway.connect() as connection:
        for table in ("event_log", "commands", "refusals", "bets"):
            assert connection.execute(
                f"select count(*) from wagerledger.{table} t where t::text like '%Canary%'"
            ).fetchone() == (0,)


# Idempotency -------------------------------------------------------------------------------------------------------------


def test_a_repeat_hears_the_same_bytes(caller: Caller, player: str, session: str, bet_id: str) -> None:
    """A repeat with the same key gets the byte-identical answer, even after the wallet moved on; only its own trace id is in the header."""
    first = caller.authorize(session, bet_id, key=f"k{bet_id}")
    caller.settle(bet_id, win="50")
    again = caller.authorize(session, bet_id, key=f"k{bet_id}")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["x-trace-id"] != first.headers["x-trace-id"]
    assert caller.balances(player)["cash"] == "148.00"


def test_a_thousand_repeats_at_once_are_one_bet(caller: Caller, player: str, session: str, bet_id: str) -> None:
    """A thousand concurrent duplicates make one bet and hear one answer."""
    body = {"session_id": session, "bet_id": bet_id, "round_id": "r", "amount": {"amount": "3", "currency": "EUR"}}

    async def storm() -> list[Any]:
        return await asyncio.gather(*(caller.sending("POST", "/v1/bets/authorize", body, bet_id) for _ in range(1000)))

    replies = caller.gateway.run(storm())
    assert {(reply.status, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert caller.balances(player)["held"] == "3.00"


def test_one_key_is_one_intent(caller: Caller, player: str, session: str, bet_id: str) -> None:
    """The same key with another amount, or on another route, is refused and changes nothing."""
    caller.authorize(session, bet_id, amount="2", key=f"k{bet_id}")
    mismatch = caller.authorize(session, bet_id, amount="3", key=f"k{bet_id}")
    assert (mismatch.status, mismatch.code, mismatch.json["retryable"]) == (409, "IDEMPOTENCY_MISMATCH", False)
    assert caller.settle(bet_id, win="9", key=f"k{bet_id}").code == "IDEMPOTENCY_MISMATCH"
    assert caller.authorize(session, bet_id, amount="2.0", key=f"k{bet_id}").status == 200, (
        "the same amount, written in another way"
    )
    assert caller.balances(player)["held"] == "2.00"


def test_a_bet_under_another_key_is_a_duplicate(caller: Caller, session: str, bet_id: str) -> None:
    """The seed's error: same bet, other key, 409 DUPLICATE, not retryable."""
    caller.authorize(session, bet_id)
    reply = caller.authorize(session, bet_id)
    assert (reply.status, reply.code, reply.json["retryable"]) == (409, "DUPLICATE", False)


def test_insufficient_funds_are_remembered(
    gateway: RunningGateway, caller: Caller, player: str, session: str, bet_id: str
) -> None:
    """A refusal for want of money stays the answer of its key, byte for byte, even when money has come; a new key may try again."""
    first = caller.authorize(session, bet_id, amount="100.01", key=f"k{bet_id}")
    assert (first.status, first.code) == (402, "INSUFFICIENT_FUNDS")
    won = f"w{bet_id}"
    caller.authorize(session, won, amount="1")
    caller.settle(won, win="50")
    again = caller.authorize(session, bet_id, amount="100.01", key=f"k{bet_id}")
    assert (again.status, again.body) == (first.status, first.body)
    assert caller.authorize(session, bet_id, amount="100.01").status == 200


def test_a_settlement_that_overtook_its_bet_works_when_repeated(
    caller: Caller, player: str, session: str, bet_id: str
) -> None:
    """A settlement before its bet is a 404 that is not remembered: the same key works after the bet."""
    early = caller.settle(bet_id, win="10", key=f"k{bet_id}")
    assert (early.status, early.code, early.json["retryable"]) == (404, "BET_NOT_FOUND", True)
    caller.authorize(session, bet_id)
    assert caller.settle(bet_id, win="10", key=f"k{bet_id}").json["status"] == "credited"
    assert caller.balances(player)["cash"] == "108.00"


def test_unknown_sessions_and_wallets_are_not_remembered(gateway: RunningGateway, caller: Caller) -> None:
    """A session for a player without a wallet works under the same key once the wallet is there."""
    player_id = f"p_{uuid.uuid4().hex[:12]}"
    body = {"player_id": player_id, "game_id": "g", "currency": "EUR"}
    assert caller.send("POST", "/v1/sessions", body, f"k{player_id}").code == "WALLET_NOT_FOUND"
    assert caller.authorize("s_unknown", "b").code == "SESSION_NOT_FOUND"
    gateway.open_wallet(caller.tenant_id, player_id)
    assert caller.send("POST", "/v1/sessions", body, f"k{player_id}").status == 201


def test_a_repeated_session_start_is_one_session(caller: Caller, player: str) -> None:
    """The end of a session is ours, not asked for: a repeat a moment later is no mismatch."""
    body = {"player_id": player, "game_id": "g", "currency": "EUR"}
    key = uuid.uuid4().hex
    first = caller.send("POST", "/v1/sessions", body, key)
    assert caller.send("POST", "/v1/sessions", body, key).body == first.body


# Tenants -----------------------------------------------------------------------------------------------------------------


def test_providers_do_not_touch_each_other(
    caller: Caller, other_caller: Caller, player: str, session: str, bet_id: str
) -> None:
    """Another provider of another brand finds neither the wallet, nor the session, nor the bet, and its own bet ids and keys are its own."""
    caller.authorize(session, bet_id, key=f"k{bet_id}")
    assert other_caller.send("GET", f"/v1/players/{player}/wallets/EUR").code == "WALLET_NOT_FOUND"
    assert other_caller.authorize(session, "b_x").code == "SESSION_NOT_FOUND"
    assert other_caller.send("POST", f"/v1/sessions/{session}/end").code == "SESSION_NOT_FOUND"
    assert other_caller.settle(bet_id, win="5", key=f"k{bet_id}").code == "BET_NOT_FOUND"
    assert other_caller.roll_back(bet_id, session_id=session).json["status"] == "tombstoned", "a tombstone of its own"
    assert caller.settle(bet_id, win="0").status == 200


def test_providers_of_one_brand_do_not_touch_each_others_bets(
    gateway: RunningGateway, caller: Caller, player: str, session: str, bet_id: str
) -> None:
    """Two providers of one brand share its wallets, not their sessions and bets."""
    neighbour = on_board(gateway, caller.tenant_id, caller.region, f"neighbour-{bet_id}")
    caller.authorize(session, bet_id)
    assert neighbour.balances(player)["held"] == "2.00"
    assert neighbour.authorize(session, "b_x").code == "SESSION_NOT_FOUND"
    assert neighbour.settle(bet_id, win="5").code == "BET_NOT_FOUND"


# Traces ------------------------------------------------------------------------------------------------------------------


def test_the_trace_goes_from_the_callback_to_the_event(
    gateway: RunningGateway, caller: Caller, session: str, bet_id: str
) -> None:
    """X-Trace-Id and traceparent are stored with the event; the trace id is answered back."""
    body = {"session_id": session, "bet_id": bet_id, "round_id": "r", "amount": {"amount": "1", "currency": "EUR"}}
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    reply = caller.send("POST", "/v1/bets/authorize", body, x_trace_id=f"tr_{bet_id}", traceparent=parent)
    assert reply.headers["x-trace-id"] == f"tr_{bet_id}"
    with gateway.connect() as connection:
        assert connection.execute(
            "select traceparent from wagerledger.event_log where trace_id = %s", [f"tr_{bet_id}"]
        ).fetchall() == [(parent,)]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ({"x_trace_id": "tr_a1b2"}, "tr_a1b2"),
        (
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ),
        ({"x_trace_id": "no blanks"}, None),
        ({"x_trace_id": "x" * 65}, None),
        ({"traceparent": "00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, None),
        ({}, None),
    ],
)
def test_every_answer_carries_a_trace_id(caller: Caller, sent: dict[str, str], answered: str | None) -> None:
    """The caller's where it has the right form, else 32 hex digits of ours; errors carry the same one in their body."""
    reply = caller.send("POST", "/v1/bets/settle", b"{", **sent)
    trace_id = reply.headers["x-trace-id"]
    assert trace_id == answered or (answered is None and len(trace_id) == 32 and int(trace_id, 16))
    assert json.loads(reply.body)["trace_id"] == trace_id
