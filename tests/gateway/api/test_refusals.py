"""Every way in which a request can be wrong, the order in which that is found out, and that nothing changes."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from gateway.dialect import signing
from ledger.admin import integrations
from runtime.settings import Settings
from schemas.errors import ERRORS
from tests.support.caller import Caller, Reply, RunningGateway, on_board
from tests.support.commands import BY
from tests.support.waiting import until

SETTLE = "/v1/bets/settle"
BODY = {"bet_id": "b_unknown", "round_id": "r", "win": {"amount": "1.00", "currency": "EUR"}}


def is_error(reply: Reply, code: str) -> None:
    assert (reply.code, reply.status, reply.json["retryable"]) == (code, ERRORS[code].status, ERRORS[code].retryable), (
        reply.body
    )
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-trace-id"] == reply.json["trace_id"]


# Signatures --------------------------------------------------------------------------------------------------------------


def test_a_missing_signature_is_refused(caller: Caller) -> None:
    is_error(caller.send("POST", SETTLE, BODY, x_signature=None), "SIGNATURE_MISSING")
    is_error(caller.send("POST", SETTLE, BODY, x_signature=""), "SIGNATURE_MISSING")


@pytest.mark.parametrize(
    "change", ["body", "key", "method", "target", "query", "time", "kid", "secret", "cut", "garbage"]
)
def test_a_signature_over_anything_else_is_refused(caller: Caller, change: str) -> None:
    """Every covered part counts, and the answer never says what would have been right."""
    body, key, now = json.dumps(BODY).encode(), "k1", int(time.time())
    right = signing.sign(caller.kid, caller.secret, "POST", SETTLE, body, idempotency_key=key, timestamp_s=now)
    header = {
        "body": signing.sign(caller.kid, caller.secret, "POST", SETTLE, body + b" ", idempotency_key=key),
        "key": signing.sign(caller.kid, caller.secret, "POST", SETTLE, body, idempotency_key="k2"),
        "method": signing.sign(caller.kid, caller.secret, "PUT", SETTLE, body, idempotency_key=key),
        "target": signing.sign(caller.kid, caller.secret, "POST", "/v1/bets/rollback", body, idempotency_key=key),
        "query": signing.sign(caller.kid, caller.secret, "POST", SETTLE + "?a=1", body, idempotency_key=key),
        "time": right.replace(f"t={now}", f"t={now + 1}"),
        "kid": right.replace(caller.kid, "k_0000000000000000"),
        "secret": signing.sign(caller.kid, "wrong", "POST", SETTLE, body, idempotency_key=key),
        "cut": right[:-2],
        "garbage": "Bearer x",
    }[change]
    reply = caller.send("POST", SETTLE, body, key, x_signature=header)
    is_error(reply, "SIGNATURE_INVALID")
    assert right.partition("v1=")[2].encode() not in reply.body


def test_an_unknown_kid_hears_what_a_wrong_signature_hears(caller: Caller) -> None:
    """The answers differ in nothing but the trace id."""
    unknown = replace(caller, kid="k_nobody").send("POST", SETTLE, BODY, x_trace_id="t").body
    assert unknown == replace(caller, secret="wrong").send("POST", SETTLE, BODY, x_trace_id="t").body


@pytest.mark.parametrize(
    ("offset_s", "fine"), [(-290, True), (290, True), (-310, False), (310, False), (-(10**9), False)]
)
def test_the_window_is_five_minutes_both_ways(caller: Caller, offset_s: int, fine: bool) -> None:
    body, key = json.dumps(BODY).encode(), uuid.uuid4().hex
    header = signing.sign(
        caller.kid, caller.secret, "POST", SETTLE, body, idempotency_key=key, timestamp_s=int(time.time()) + offset_s
    )
    reply = caller.send("POST", SETTLE, body, key, x_signature=header)
    is_error(reply, "BET_NOT_FOUND" if fine else "SIGNATURE_EXPIRED")


def test_a_repeated_signature_header_is_refused(caller: Caller) -> None:
    """Nobody may choose which of two signatures counts."""
    body = json.dumps(BODY).encode()
    headers = caller.headers("POST", SETTLE, body, "k")
    reply = caller.gateway.run(caller.gateway.call("POST", SETTLE, [*headers, headers[-1]], [body]))
    is_error(reply, "SIGNATURE_INVALID")


def test_the_query_is_signed_as_it_was_sent(caller: Caller, player: str) -> None:
    assert caller.send("GET", f"/v1/players/{player}/wallets/EUR?b=%20&a=").status == 200


def test_a_get_signs_no_key_and_no_body(caller: Caller, player: str) -> None:
    """Also when a key is sent along."""
    assert caller.send("GET", f"/v1/players/{player}/wallets/EUR", x_idempotency_key="k").status == 200


def test_ed25519_keys_sign_too(gateway: RunningGateway) -> None:
    """v4 is Ed25519 over the same bytes; the other kind of signature does not fit the key."""
    private_key = Ed25519PrivateKey.generate()
    issued = on_board(gateway, provider_id="modern", public_keys=[private_key.public_key().public_bytes_raw()])
    caller = replace(issued, secret=private_key)
    is_error(caller.send("POST", SETTLE, BODY), "BET_NOT_FOUND")
    is_error(replace(caller, secret=Ed25519PrivateKey.generate()).send("POST", SETTLE, BODY), "SIGNATURE_INVALID")
    is_error(replace(caller, secret="").send("POST", SETTLE, BODY), "SIGNATURE_INVALID")


def test_keys_rotate_without_a_pause(gateway: RunningGateway) -> None:
    """During the overlap both keys work, and a header may carry signatures by both; afterwards only the new one does."""
    old = on_board(gateway, provider_id="rotating")
    name = f"{old.tenant_id}/{old.region}/{old.provider_id}"
    with gateway.connect() as connection:
        issued = integrations.rotate(connection, gateway.vault(), name, by=BY, overlap_s=3600)
    new = replace(old, kid=issued.kid, secret=issued.secret)
    is_error(new.send("POST", SETTLE, BODY), "BET_NOT_FOUND")
    is_error(old.send("POST", SETTLE, BODY), "BET_NOT_FOUND")
    body = json.dumps(BODY).encode()
    by_old, by_new = (
        signing.sign(old.kid, each.secret, "POST", SETTLE, body, idempotency_key="k") for each in (old, new)
    )
    for both in (f"{by_old},{by_new.partition('v1=')[1]}{by_new.partition('v1=')[2]}", f"{by_old},v1={'00' * 32}"):
        is_error(old.send("POST", SETTLE, body, "k", x_signature=both), "BET_NOT_FOUND")
    with gateway.connect() as connection:
        newest = integrations.rotate(connection, gateway.vault(), name, by=BY, overlap_s=0)
    is_error(replace(old, kid=newest.kid, secret=newest.secret).send("POST", SETTLE, BODY), "BET_NOT_FOUND")
    is_error(new.send("POST", SETTLE, BODY), "SIGNATURE_INVALID")


# The integration ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["x_brand_id", "x_region", "x_provider_id"])
@pytest.mark.parametrize("value", [None, "other", ""])
def test_headers_that_differ_from_the_integration_are_refused(caller: Caller, header: str, value: str | None) -> None:
    is_error(caller.send("POST", SETTLE, BODY, **{header: value}), "INTEGRATION_MISMATCH")


def test_one_brands_key_does_not_open_another_brand(caller: Caller, other_caller: Caller) -> None:
    """The key id alone says who calls: what is signed for another integration is not signed for one's own."""
    as_other = replace(caller, tenant_id=other_caller.tenant_id, provider_id=other_caller.provider_id)
    is_error(as_other.send("POST", SETTLE, BODY), "SIGNATURE_INVALID")
    is_error(replace(caller, secret=other_caller.secret).send("POST", SETTLE, BODY), "SIGNATURE_INVALID")


def until_not(status: int, ask: Callable[[], Reply]) -> Reply:
    """The first reply with another status."""
    return until(lambda: reply if (reply := ask()).status != status else None, f"another status than {status}")


def test_a_disabled_integration_is_refused(gateway: RunningGateway) -> None:
    """Within seconds, without a restart."""
    caller = on_board(gateway, provider_id="leaving")
    is_error(caller.send("POST", SETTLE, BODY), "BET_NOT_FOUND")
    with gateway.connect() as connection:
        integration_id = f"{caller.tenant_id}/{caller.region}/{caller.provider_id}"
        integrations.set_enabled(connection, integration_id, enabled=False, by=BY)
    is_error(until_not(404, lambda: caller.send("POST", SETTLE, BODY)), "INTEGRATION_DISABLED")


def test_a_caller_over_its_rate_is_told_to_wait(settings: Settings) -> None:
    """429 with Retry-After; the next second is free again, and a neighbour is not affected."""
    with RunningGateway(settings.model_copy(update={"rate_limit_per_s": 5})) as gateway:
        fast, slow = on_board(gateway, provider_id="fast"), on_board(gateway, provider_id="slow")
        replies = gateway.run(crowd_of(fast, 30))
        limited = [reply for reply in replies if reply.status == 429]
        assert limited
        is_error(limited[0], "RATE_LIMITED")
        assert int(limited[0].headers["retry-after"]) > 0
        is_error(slow.send("POST", SETTLE, BODY), "BET_NOT_FOUND")
        is_error(until_not(429, lambda: fast.send("POST", SETTLE, BODY)), "BET_NOT_FOUND")


# The request -------------------------------------------------------------------------------------------------------------


def test_a_write_takes_no_query(caller: Caller) -> None:
    """However well it is signed: the older signature would take a part of a query for a part of the key."""
    for each in (caller, replace(caller, names_place=False)):
        is_error(each.send("POST", SETTLE + "?a=1.k", BODY, key="one"), "MALFORMED_REQUEST")


def test_a_write_needs_a_key(caller: Caller) -> None:
    is_error(caller.send("POST", SETTLE, BODY, key=""), "IDEMPOTENCY_KEY_MISSING")


@pytest.mark.parametrize("key", ["a b", "x" * 129, "ä", "a/b", "a,b"])
def test_a_key_has_one_form(caller: Caller, key: str) -> None:
    body = json.dumps(BODY).encode()
    header = signing.sign(caller.kid, caller.secret, "POST", SETTLE, body)
    place = signing.Place("", "", "")
    message = signing.Signed(header[2:12].encode(), b"POST", SETTLE.encode(), key.encode("latin-1"), body, place).joined
    import hmac

    signature = f"{header.partition('v1=')[0]}v1={hmac.digest(caller.secret.encode(), message, 'sha256').hex()}"
    is_error(
        caller.send("POST", SETTLE, body, "k", x_idempotency_key=key, x_signature=signature), "IDEMPOTENCY_KEY_INVALID"
    )


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_a_body_must_be_json(caller: Caller, content_type: str | None) -> None:
    is_error(caller.send("POST", SETTLE, BODY, content_type=content_type), "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_a_media_type_may_have_parameters(caller: Caller, content_type: str) -> None:
    is_error(caller.send("POST", SETTLE, BODY, content_type=content_type), "BET_NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":' + b"[" * 5000],
)
def test_what_is_no_plain_object_is_refused(caller: Caller, body: bytes) -> None:
    is_error(caller.send("POST", SETTLE, body), "MALFORMED_REQUEST")


@pytest.mark.parametrize("token", ["1e2", "1.5E0", "-0", "-0.0", '"+1"', '"1e2"', '"01"', '"1."', '".5"', "0." + "0" * 30, "1" + "0" * 20 + "E-20"])  # fmt: skip
def test_amounts_count_by_value(caller: Caller, token: str) -> None:
    """Whatever the spelling: what is wrong then is that nobody knows the bet."""
    body = f'{{"bet_id":"b","round_id":"r","win":{{"amount":{token},"currency":"EUR"}}}}'.encode()
    is_error(caller.send("POST", SETTLE, body), "BET_NOT_FOUND")


@pytest.mark.parametrize("token", ["-1", '"-1"', '" 1"', '"1 "', '""', '"."', '"1,00"', '"\u0661"', "1E400", "1e-19", '"1e99999"', '"-"', "9" * 5000,
                                   "null", "true", "[]", "{}", '"0x1"', '"NaN"', '"Infinity"', '"1_000"', "1" * 19, "0." + "1" * 19])  # fmt: skip
def test_what_is_no_amount_is_refused(caller: Caller, token: str) -> None:
    """Nothing below zero, no blank, group or other digits, nothing beyond 18 digits: 422, and nothing happens."""
    body = f'{{"bet_id":"b","round_id":"r","win":{{"amount":{token},"currency":"EUR"}}}}'.encode()
    reply = caller.send("POST", SETTLE, body)
    is_error(reply, "FIELD_INVALID")
    assert "win.amount" in reply.json["message"]


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        (SETTLE, {"bet_id": None}, "bet_id"),
        (SETTLE, {"bet_id": 1}, "bet_id"),
        (SETTLE, {"bet_id": ""}, "bet_id"),
        (SETTLE, {"bet_id": "x" * 129}, "bet_id"),
        (SETTLE, {"bet_id": "a b"}, "bet_id"),
        (SETTLE, {"bet_id": "b\n"}, "bet_id"),
        (SETTLE, {"bet_id": "b\u0000"}, "bet_id"),
        (SETTLE, {"round_id": ["r"]}, "round_id"),
        (SETTLE, {"win": "1.00"}, "win"),
        (SETTLE, {"win": {"amount": "1", "currency": "eur"}}, "win.currency"),
        (SETTLE, {"win": {"amount": "1"}}, "win.currency"),
        (SETTLE, {"bonus_state": {"in_bonus": "yes"}}, "bonus_state.in_bonus"),
        (SETTLE, {"bonus_state": {"freespins_left": -1}}, "bonus_state.freespins_left"),
        (SETTLE, {"bonus_state": {"freespins_left": 1.5}}, "bonus_state.freespins_left"),
        (SETTLE, {"bonus_state": {"freespins_left": 10**12}}, "bonus_state.freespins_left"),
        ("/v1/bets/rollback", {"reason": "mail me@example.org"}, "reason"),
        ("/v1/sessions", {"mode": "fun"}, "mode"),
        ("/v1/sessions", {"locale": "de DE"}, "locale"),
        ("/v1/sessions", {"player_id": "someone@example.org"}, "player_id"),
        ("/v1/sessions", {"player_id": "004915112345678"}, "player_id"),
        ("/v1/sessions", {"player_id": "0151-12345678"}, "player_id"),
        ("/v1/sessions", {"player_id": "4915112345678"}, "player_id"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(caller: Caller, path: str, change: dict[str, Any], field: str) -> None:
    """422 that names the field, before anything is looked up."""
    body = BODY | {"game_id": "g", "currency": "EUR", "player_id": "p_1"} | change
    reply = caller.send("POST", path, {name: value for name, value in body.items() if value is not None})
    is_error(reply, "FIELD_INVALID")
    assert f"Field {field}:" in reply.json["message"]


@pytest.mark.parametrize(
    "path", ["/v1/players/a%20b/wallets/EUR", "/v1/players/p/wallets/eur", "/v1/players/me@example.org/wallets/EUR"]
)
def test_a_bad_name_in_the_path_is_named(caller: Caller, path: str) -> None:
    is_error(caller.send("GET", path), "FIELD_INVALID")


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_refused_without_reading_it(caller: Caller, announced: bool) -> None:
    """By its announced length, or as soon as what has come is too much; the connection ends."""
    read = 0

    class Chunks(list[bytes]):
        def pop(self, index: Any = 0) -> bytes:
            nonlocal read
            read += 1
            return super().pop(index)

    headers = [header for header in caller.headers("POST", SETTLE, b"x") if header[0] != "Content-Length"]
    headers += [("Content-Length", str(10**9))] if announced else []
    reply = caller.gateway.run(caller.gateway.call("POST", SETTLE, headers, [b" " * 50_000] * 100))
    is_error(reply, "BODY_TOO_LARGE")
    assert reply.headers["connection"] == "close"


def test_a_body_at_the_limit_is_read(caller: Caller) -> None:
    """In however many pieces it comes."""
    body = json.dumps(BODY).encode().ljust(64 * 1024)
    headers = caller.headers("POST", SETTLE, body)
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    is_error(caller.gateway.run(caller.gateway.call("POST", SETTLE, headers, pieces)), "BET_NOT_FOUND")
    is_error(caller.send("POST", SETTLE, body + b" "), "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("POST", "/v1/bets/settle/"),
        ("GET", "/metrics"),
        ("POST", "/v1/bets/cancel"),
        ("GET", "//health"),
    ],
)
def test_what_is_not_there_is_a_404_in_our_shape(caller: Caller, method: str, path: str) -> None:
    """Without a signature; also /metrics, which only the internal port has."""
    is_error(caller.gateway.run(caller.gateway.call(method, path, [], [b""])), "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", SETTLE, "POST"), ("DELETE", "/v1/sessions", "POST"), ("POST", "/health", "GET, HEAD")],
)
def test_another_method_is_a_405_that_names_the_right_one(caller: Caller, method: str, path: str, allow: str) -> None:
    reply = caller.gateway.run(caller.gateway.call(method, path, [], [b""]))
    is_error(reply, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == allow


def test_the_first_fault_in_order_is_told(caller: Caller) -> None:
    """Size before signature, signature before headers, headers before key, key before type, type before form."""
    wrong: dict[str, str | None] = {"x_signature": None, "x_region": "x", "content_type": "text/plain"}
    is_error(caller.send("POST", SETTLE, b"{" * 70_000, key="", **wrong), "BODY_TOO_LARGE")
    is_error(caller.send("POST", SETTLE, b"{", key="", **wrong), "SIGNATURE_MISSING")
    del wrong["x_signature"]
    is_error(caller.send("POST", SETTLE, b"{", key="", **wrong), "INTEGRATION_MISMATCH")
    del wrong["x_region"]
    is_error(caller.send("POST", SETTLE, b"{", key="", **wrong), "IDEMPOTENCY_KEY_MISSING")
    is_error(caller.send("POST", SETTLE, b"{", **wrong), "UNSUPPORTED_MEDIA_TYPE")
    is_error(caller.send("POST", SETTLE, b"{"), "MALFORMED_REQUEST")
    is_error(caller.send("POST", SETTLE, {}), "FIELD_INVALID")


def test_refused_requests_change_nothing(gateway: RunningGateway, caller: Caller, player: str, session: str) -> None:
    """Malformed, unsigned and oversized input leaves every table as it was."""

    def rows() -> list[int]:
        tables = "event_log", "commands", "refusals", "bets", "sessions", "wallets", "streams"
        with gateway.connect() as connection:
            return [connection.execute(f"select count(*) from wagerledger.{table}").fetchone()[0] for table in tables]  # type: ignore[index]

    before = rows()
    good = {"session_id": session, "bet_id": "b", "round_id": "r", "amount": {"amount": "1", "currency": "EUR"}}
    for content in (
        b"",
        b"{",
        b"{" * 70_000,
        b'{"a":1,"a":1}',
        b"\xff",
        good | {"amount": {"amount": "-1e2", "currency": "EUR"}},
    ):
        assert 400 <= caller.send("POST", "/v1/bets/authorize", content).status < 500
    assert replace(caller, secret="wrong").send("POST", "/v1/bets/authorize", good).status == 401
    assert caller.send("POST", "/v1/bets/authorize", good, x_region="US").status == 403
    assert rows() == before


# Ourselves ---------------------------------------------------------------------------------------------------------------


async def crowd_of(caller: Caller, number: int) -> list[Reply]:
    return await asyncio.gather(*(caller.sending("POST", SETTLE, BODY) for _ in range(number)))


def readiness(gateway: RunningGateway) -> Reply:
    return gateway.run(gateway.call("GET", "/readyz", [], [b""]))


def test_a_full_queue_is_a_503_to_repeat(settings: Settings) -> None:
    """At once, retryable, with Retry-After; the same key works later."""
    with RunningGateway(settings.model_copy(update={"journal_queue": 1})) as gateway:
        caller = on_board(gateway, provider_id="crowd")
        replies = gateway.run(crowd_of(caller, 50))
        refused = [reply for reply in replies if reply.status == 503]
        assert refused
        is_error(refused[0], "OVERLOADED")
        assert int(refused[0].headers["retry-after"]) > 0


def test_a_database_that_is_gone_is_a_503_to_repeat_and_never_a_business_answer(
    ledger_database: str, settings: Settings
) -> None:
    """Keys stay known, writes and reads answer 503 with Retry-After, readiness says what is missing, and the same key works when it is back."""
    with RunningGateway(settings.model_copy(update={"database_url": SecretStr(ledger_database)})) as gateway:
        caller = on_board(gateway)
        gateway.open_wallet(caller.tenant_id, "p_1")
        is_error(caller.send("POST", SETTLE, BODY), "BET_NOT_FOUND")
        name = ledger_database.rpartition("/")[2]
        with psycopg.connect(ledger_database.replace(name, "postgres"), autocommit=True) as admin:
            admin.execute(f"alter database {name} allow_connections false")
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
            key = uuid.uuid4().hex
            down = caller.send("POST", SETTLE, BODY, key)
            assert down.status == 503
            assert int(down.headers["retry-after"]) > 0
            assert down.json["retryable"]
            is_error(caller.send("GET", "/v1/players/p_1/wallets/EUR"), "UNAVAILABLE")
            ready = until_not(200, lambda: readiness(gateway))
            assert (ready.status, ready.json["missing"]) == (503, ["database"])
            admin.execute(f"alter database {name} allow_connections true")
        is_error(until_not(503, lambda: caller.send("POST", SETTLE, BODY, key)), "BET_NOT_FOUND")
        assert until_not(503, lambda: readiness(gateway)).status == 200


def test_a_gateway_that_never_saw_the_database_is_unready_and_says_503(settings: Settings) -> None:
    """Not 401: who calls cannot be known yet."""
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://wagerledger@127.0.0.1:1/none")})
    with RunningGateway(nowhere) as gateway:
        caller = Caller(gateway, "b", "r", "p", "k", "s")
        is_error(caller.send("POST", SETTLE, BODY), "UNAVAILABLE")
        assert gateway.run(gateway.call("GET", "/readyz", [], [b""])).json == {
            "status": "unready",
            "missing": ["keys", "database"],
        }
        assert gateway.run(gateway.call("GET", "/livez", [], [b""])).status == 200


def test_a_database_without_migrations_is_unready(empty_database: str, settings: Settings) -> None:
    with RunningGateway(settings.model_copy(update={"database_url": SecretStr(empty_database)})) as gateway:
        ready = gateway.run(gateway.call("GET", "/readyz", [], [b""]))
        assert (ready.status, ready.json["missing"]) == (503, ["keys", "migrations"])


def test_a_crash_of_ours_is_a_500_in_our_shape(caller: Caller, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the exception reaches the caller."""

    def crash(*_: object) -> None:
        raise RuntimeError("s3cret detail")

    monkeypatch.setattr("gateway.api.endpoints.uuid_utils.uuid7", crash)
    reply = caller.authorize(session, "b_crash")
    is_error(reply, "INTERNAL")
    assert b"s3cret" not in reply.body
