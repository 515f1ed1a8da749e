"""The canonical API: one signed request is good for one call, at one integration."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.api.operations import OPERATIONS
from tests.support.caller import Caller, Reply, RunningGateway, on_board

KEY = Ed25519PrivateKey.generate()
EVENTS = "select count(*) from wagerledger.event_log"


@pytest.fixture(scope="module")
def sharing(gateway: RunningGateway) -> list[Caller]:
    """Two brands with one key."""
    public_key = KEY.public_key().public_bytes_raw()
    told: dict[str, Any] = {"provider_id": "one_key", "public_keys": [public_key], "shared_key": "a test"}
    return [replace(on_board(gateway, brand, **told), secret=KEY) for brand in ("brand-a", "brand-b")]


def calls(caller: Caller, player: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Target and content of each write that is accepted, and of some that are refused."""
    session = caller.start_session(player)
    money = {"amount": "2", "currency": "EUR"}
    bet = {"session_id": session, "bet_id": f"b_{uuid.uuid4().hex}", "round_id": "r"}
    yield "/v1/bets/authorize", bet | {"amount": money}
    yield "/v1/bets/settle", {"bet_id": bet["bet_id"], "round_id": "r", "win": money}
    yield "/v1/bets/authorize", bet | {"bet_id": f"b_{uuid.uuid4().hex}", "amount": money | {"amount": "900"}}
    yield "/v1/bets/settle", {"bet_id": "unknown", "round_id": "r", "win": money}
    yield "/v1/bets/rollback", {"bet_id": f"b_{uuid.uuid4().hex}", "session_id": session}
    yield "/v1/sessions", {"player_id": player, "game_id": "dice", "currency": "EUR"}
    yield f"/v1/sessions/{session}/end", {}


def elsewhere(target: str) -> Iterator[str]:
    for operation in OPERATIONS:
        yield operation.path.replace("{session_id}", "s_1")
    yield from (target + end for end in ("/", "?a=1", "%20", "."))
    yield from (target.replace("/v1", "//v1"), target.replace("/v1", "/V1"), target.replace("/v1/", "/v1/%2e/"))
    yield target.replace("bets", "%62ets").replace("sessions", "%73essions")


@pytest.mark.parametrize("names_place", [True, False])
def test_a_signed_write_moves_nothing_as_another_call(
    gateway: RunningGateway, caller: Caller, player: str, names_place: bool
) -> None:
    """Accepted or refused: at no other route, in no other spelling, under no other key of the header."""
    caller = replace(caller, names_place=names_place)
    with gateway.connect() as connection:
        for target, content in calls(caller, player):
            headers, body = signed(caller, target, content)
            gateway.run(gateway.call("POST", target, headers, [body]))
            before = connection.execute(EVENTS).fetchone()
            for other in set(elsewhere(target)) - {target}:
                reply = gateway.run(gateway.call("POST", other, headers, [body]))
                assert reply.status >= 400, (other, reply)
            for key in ("k.1", "another"):
                renamed = [("X-Idempotency-Key", key) if name == "X-Idempotency-Key" else (name, value) for name, value in headers]  # fmt: skip
                assert gateway.run(gateway.call("POST", target, renamed, [body])).code == "SIGNATURE_INVALID"
            assert connection.execute(EVENTS).fetchone() == before, target


def test_a_key_of_two_brands_signs_for_the_one_that_it_names(gateway: RunningGateway, sharing: list[Caller]) -> None:
    """The same bytes at the other brand, whose key it is too, are no signature."""
    one, other = sharing
    player = f"p_{uuid.uuid4().hex[:12]}"
    for brand in sharing:
        gateway.open_wallet(brand.tenant_id, player)
    with gateway.connect() as connection:
        for target, content in calls(one, player):
            headers, body = signed(one, target, content)
            gateway.run(gateway.call("POST", target, headers, [body]))
            before = connection.execute(EVENTS).fetchone()
            assert as_of(gateway, other, one, headers, target, body).code == "SIGNATURE_INVALID"
            assert connection.execute(EVENTS).fetchone() == before, target


def test_the_older_signature_is_not_taken_by_a_key_of_two_brands(
    gateway: RunningGateway, sharing: list[Caller]
) -> None:
    """It does not say whose integration is called, and would be as good at the other one."""
    one, other = (replace(brand, names_place=False) for brand in sharing)
    content = {"bet_id": "b", "round_id": "r", "win": {"amount": "1", "currency": "EUR"}}
    headers, body = signed(one, "/v1/bets/settle", content)
    for brand in (one, other):
        assert as_of(gateway, brand, one, headers, "/v1/bets/settle", body).code == "SIGNATURE_REUSED"


def signed(caller: Caller, target: str, content: Any) -> tuple[list[tuple[str, str]], bytes]:
    body = json.dumps(content).encode()
    return caller.headers("POST", target, body, key=f"k.{uuid.uuid4().hex}", timestamp_s=int(time.time())), body


def as_of(
    gateway: RunningGateway, brand: Caller, signer: Caller, headers: list[tuple[str, str]], target: str, body: bytes
) -> Reply:
    """With the headers of another brand, as far as they are not signed."""
    changed = {
        "X-Brand-Id": brand.tenant_id,
        "X-Signature": dict(headers)["X-Signature"].replace(signer.kid, brand.kid),
    }
    reply: Reply = gateway.run(gateway.call("POST", target, list((dict(headers) | changed).items()), [body]))
    return reply
