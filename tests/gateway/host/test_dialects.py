"""The host of the dialects: routes, the order of checks, and that whatever happens is told in the provider's words."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr
from structlog.testing import capture_logs
from uuid_utils import uuid7

from gateway import metrics
from gateway.host import dialects
from ledger.admin import games, integrations, rates
from ledger.admin.secrets import new_secrets_key
from ledger.core.commands import Origin
from ledger.core.players import StartSession
from ledger.outcome import Callback
from runtime.settings import Settings
from tests.support.caller import Caller, Reply, RunningGateway, on_board, submit
from tests.support.commands import BY
from tests.support.toy_dialect import TOY, WEAK, signature
from tests.support.waiting import until

HOSTED = {"canonical": dialects.CANONICAL_API, "toy": TOY, "weak_toy": WEAK}


@pytest.fixture(scope="module")
def gateway(ledger_database_of_module: str) -> Iterator[RunningGateway]:
    settings = Settings(
        database_url=SecretStr(ledger_database_of_module),
        secrets_key=SecretStr(new_secrets_key()),
        trusted_proxies="10.0.0.0/8, ::1",
    )
    with RunningGateway(settings, HOSTED) as running:
        yield running


@dataclass(frozen=True)
class Toy:
    """A provider that speaks the made-up protocol."""

    gateway: RunningGateway
    integration_id: str
    secret: str

    @property
    def base(self) -> str:
        return f"/integrations/{self.integration_id}"

    def send(self, path: str, content: object = None, *, method: str = "POST", secret: str | None = None, headers: Mapping[str, str] = {}, client: str = "127.0.0.1", absolute: bool = False) -> Reply:  # fmt: skip
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        own = {"Content-Type": "application/json", "X-Toy-Signature": signature(secret or self.secret, body), **headers}
        target = path if absolute else self.base + path
        return self.gateway.run(
            self.gateway.call(method, target, [(k, v) for k, v in own.items() if v], [body], client=client)
        )

    def bet(
        self, player_id: str, amount: str = "2.00", bet_id: str | None = None, game: str | None = None, **options: Any
    ) -> Reply:
        bet_id = bet_id or uuid.uuid4().hex
        content = {"player": player_id, "currency": "EUR", "id": bet_id, "round": "r_1", "amount": amount}
        content |= {"game": game} if game else {}
        return self.send(options.pop("path", "/bet"), content, **options)

    @property
    def tenant_id(self) -> str:
        return self.integration_id.split("/")[0]

    def player(self, amount: str = "100", currency: str = "EUR", player_id: str | None = None) -> str:
        player_id = player_id or f"p_{uuid.uuid4().hex[:12]}"
        self.gateway.open_wallet(self.tenant_id, player_id, currency, amount=amount)
        return player_id


def toy(gateway: RunningGateway, dialect: str = "toy", **options: str) -> Toy:
    issued = gateway.add_integration(
        "brand-7", "EU", f"toy-{uuid.uuid4().hex[:8]}", dialect=dialect, options={k.replace("__", "."): v for k, v in options.items()}
    )  # fmt: skip
    assert issued.secret
    return Toy(gateway, issued.integration_id, issued.secret)


@pytest.fixture(scope="module")
def provider(gateway: RunningGateway) -> Toy:
    return toy(gateway)


# Served ---------------------------------------------------------------------------------------------------------------


def test_a_bet_goes_through_and_is_told_in_the_providers_words(provider: Toy) -> None:
    """Under the integration's own base URL; a repeat moves nothing."""
    player_id = provider.player()
    reply = provider.bet(player_id, bet_id="b_1")
    assert (reply.status, reply.json) == (200, {"ok": True, "cash": 9800, "repeated": False})
    assert provider.bet(player_id, bet_id="b_1").json == {"ok": True, "cash": 9800, "repeated": True}
    win = {"player": player_id, "currency": "EUR", "id": "w_1", "round": "r_1", "amount": "5.00", "bet": "b_1"}
    assert provider.send("/win", win).json["cash"] == 10300
    assert provider.send(f"/players/{player_id}/balance", method="GET").json["cash"] == 10300


def test_the_mount_tolerates_one_slash_too_many(provider: Toy) -> None:
    """A base URL with or without a slash at its end is the same one; the target that is signed stays as it was sent."""
    for path in ("", "/"):
        assert provider.send(path).json["target"] == provider.base + path
    assert provider.send("//look?a=1", method="GET").json["target"] == f"{provider.base}//look?a=1"
    assert provider.send("///look", method="GET").status == 404


def test_parts_of_paths_are_decoded_after_they_are_split(provider: Toy) -> None:
    """An encoded slash belongs to the part, and does not lead to another path."""
    assert provider.send("/players/p%2F1/balance", method="GET").json["code"] == "WALLET_NOT_FOUND"
    assert provider.send("/players//balance", method="GET").status == 404


def test_a_demo_session_is_no_session_of_the_providers(gateway: RunningGateway, provider: Toy) -> None:
    """Its token is given to nobody; a win that names it all the same has no player whom it could pay real money."""
    player_id = provider.player()
    for mode in ("real", "demo"):
        origin = Origin(provider.tenant_id, "EU", provider.integration_id, "toy", "launch", uuid.uuid4().hex, "test")
        far = time.time_ns() // 1000 + 10**9
        command = StartSession(origin, str(uuid7()), 0, player_id, "EUR", "dice", None, mode, far)
        (outcome,) = gateway.run(submit(gateway.settings, Callback((command,))))
        told = provider.send(f"/sessions/{outcome.result['session_id']}", method="GET").json
        assert told.get("player" if mode == "real" else "code") == (
            player_id if mode == "real" else "SESSION_NOT_FOUND"
        )


def test_what_is_not_there_is_said_in_plain_http(gateway: RunningGateway, provider: Toy) -> None:
    """Unknown integrations, unknown paths, and wrong methods with the right ones in Allow."""
    stranger = Toy(gateway, "brand-7/EU/nobody", "x" * 20)
    assert (stranger.send("/bet").status, stranger.send("/bet").code) == (404, "NOT_FOUND")
    assert provider.send("/bets").code == "NOT_FOUND"
    wrong = provider.send("/bet", method="GET")
    assert (wrong.status, wrong.code, wrong.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "POST")
    assert gateway.run(gateway.call("POST", "/integrations/", [], [b""])).status == 404
    canonical = gateway.add_integration("brand-7", "EU", f"studio-{uuid.uuid4().hex}")
    assert gateway.run(gateway.call("POST", f"/integrations/{canonical.integration_id}/bet", [], [b""])).status == 404


def test_a_new_integration_is_served_at_once(gateway: RunningGateway) -> None:
    """Without waiting for the next look at the database."""
    assert toy(gateway).send("").status == 200


def test_reads_that_share_a_query_are_told_apart(gateway: RunningGateway, provider: Toy) -> None:
    """Many players ask at once, some of them nobody: each hears of their own wallet."""
    players = [provider.player(str(number)) for number in range(1, 9)] + ["p_nobody"]

    async def ask(player_id: str) -> Reply:
        headers = [("X-Toy-Signature", signature(provider.secret, b""))]
        return await gateway.call("GET", f"{provider.base}/players/{player_id}/balance", headers, [b""])

    async def all_at_once() -> list[Reply]:
        return await asyncio.gather(*(ask(player_id) for player_id in players * 5))

    told = [reply.json for reply in gateway.run(all_at_once())]
    assert [one.get("cash") for one in told] == [*range(100, 900, 100), None] * 5
    assert told[8]["code"] == "WALLET_NOT_FOUND"


# Who is calling -------------------------------------------------------------------------------------------------------


def test_nothing_is_parsed_before_the_signature(provider: Toy) -> None:
    """Neither a body that is no JSON nor a wrong field is mentioned to a caller who has proven nothing."""
    for body in (b"no json", b'{"amount": -1}', b"\xff"):
        assert provider.send("/bet", body, secret="a wrong one").json["code"] == "SIGNATURE_INVALID"
        assert provider.send("/bet", body, headers={"X-Toy-Signature": ""}).json["code"] == "SIGNATURE_MISSING"
    assert provider.send("/bet", b"no json").json["code"] == "MALFORMED_REQUEST"


def test_one_integrations_key_opens_no_other(gateway: RunningGateway, provider: Toy) -> None:
    """Of the same dialect, and of the canonical API."""
    other = toy(gateway)
    assert Toy(gateway, other.integration_id, provider.secret).send("").json["code"] == "SIGNATURE_INVALID"
    with gateway.connect() as connection:
        row = connection.execute(
            "select kid from wagerledger.integration_keys where integration_id = %s", [provider.integration_id]
        ).fetchone()
    assert row
    caller = Caller(gateway, "brand-7", "EU", provider.integration_id.split("/")[2], row[0], provider.secret)
    assert caller.send("POST", "/v1/sessions/s_1/end").code == "SIGNATURE_INVALID"


def test_without_a_usable_key_nobody_is_proven(gateway: RunningGateway) -> None:
    """A dialect asks for secrets and gets one that nobody knows."""
    name = f"toy-{uuid.uuid4().hex[:8]}"
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    issued = gateway.add_integration("brand-7", "EU", name, dialect="toy", public_keys=[pem])
    assert issued.secret is None
    assert Toy(gateway, issued.integration_id, "").send("", secret="\0").json["code"] == "SIGNATURE_INVALID"


def test_while_keys_rotate_both_work_and_then_only_the_new(gateway: RunningGateway) -> None:
    """Within two looks at the database."""
    provider = toy(gateway)
    assert provider.send("").json["ok"]
    with gateway.connect() as connection:
        second = integrations.rotate(
            connection, gateway.vault(), provider.integration_id, by=BY, overlap_s=3600, secret="chosen by them"
        )
    assert second.secret is None, "a given secret is told to nobody"
    new = Toy(gateway, provider.integration_id, "chosen by them")
    until(lambda: new.send("").json["ok"], "the new key")
    assert provider.send("").json["ok"]
    player_id = provider.player()
    assert provider.bet(player_id, bet_id="by the old key").json["ok"]
    assert new.bet(player_id, bet_id="by the new key").json["ok"]
    with gateway.connect() as connection:
        query = "select idempotency_key, kid from wagerledger.commands where scope = %s"
        signed_by = dict(connection.execute(query, [provider.integration_id]).fetchall())
    assert signed_by["by the new key"] == second.kid != signed_by["by the old key"]
    with gateway.connect() as connection:
        third = integrations.rotate(connection, gateway.vault(), provider.integration_id, by=BY, overlap_s=0)
    assert third.secret
    until(lambda: Toy(gateway, provider.integration_id, third.secret or "").send("").json["ok"], "the third key")
    assert {one.send("").json["code"] for one in (provider, new)} == {"SIGNATURE_INVALID"}


def test_the_red_button_stops_a_dialect(gateway: RunningGateway) -> None:
    """Only a proven caller hears that its integration is off."""
    provider = toy(gateway)
    assert provider.send("").json["ok"]
    with gateway.connect() as connection:
        integrations.set_enabled(connection, provider.integration_id, enabled=False, by=BY)
    until(lambda: not provider.send("").json["ok"], "the integration's end")
    assert provider.send("").json["code"] == "INTEGRATION_DISABLED"
    assert provider.send("", secret="a wrong one").json["code"] == "SIGNATURE_INVALID"


def test_an_open_endpoint_answers_anybody_and_reaches_no_books(provider: Toy) -> None:
    """A health check needs no signature, and a dialect that reads more from one is stopped."""
    unsigned = {"X-Toy-Signature": ""}
    assert provider.send("/ping", method="GET", headers=unsigned).json == {"ok": True, "pong": True}
    assert provider.send("/nosy", method="GET", headers=unsigned).json["code"] == "SIGNATURE_MISSING"


# Where from -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "forwarded", "allowed"), [
    ("203.0.113.7", "", True),
    ("::ffff:203.0.113.7", "", True),
    ("203.0.114.7", "", False),
    ("2001:db8::7", "", True),
    ("203.0.114.7", "203.0.113.7", False),
    ("10.1.2.3", "203.0.113.7", True),
    ("10.1.2.3", "203.0.113.7, 203.0.114.7", False),
    ("10.1.2.3", "203.0.114.7, 203.0.113.7, 10.9.9.9", True),
    ("10.1.2.3", "", False),
    ("10.1.2.3", "nonsense", False),
    ("10.1.2.3", "203.0.113.7:51234", True),
    ("10.1.2.3", "203.0.114.7:51234", False),
    ("10.1.2.3", "203.0.114.7,\t203.0.113.7:51234 , 10.9.9.9:80", True),
    ("10.1.2.3", "[2001:db8::7]", True),
    ("10.1.2.3", "[2001:db8::7]:51234", True),
    ("10.1.2.3", "2001:db8::7", True),
    ("10.1.2.3", "[2001:db9::7]:51234", False),
    ("10.1.2.3", "[::ffff:203.0.113.7]:51234", True),
    ("10.1.2.3", "203.0.113.7, ", False),
    ("10.1.2.3", "203.0.113.7:", False),
    ("10.1.2.3", "203.0.113.7:x", False),
    ("10.1.2.3", "203.0.113.7:51234:1", False),
    ("10.1.2.3", "[203.0.113.7]", False),
    ("10.1.2.3", "[2001:db8::7", False),
    ("10.1.2.3", "for=203.0.113.7", False),
    ("10.1.2.3", "unknown", False),
    ("::1", "2001:db8::1", True),
    ("", "", False),
])  # fmt: skip
def test_callers_come_from_where_the_integration_says(limited: Toy, client: str, forwarded: str, allowed: bool) -> None:
    """X-Forwarded-For counts only from a trusted proxy, and of it only the last hop that is none, without its port; checked
    before the signature."""
    headers = {"X-Forwarded-For": forwarded, "X-Toy-Signature": "wrong"}
    code = limited.send("", client=client, headers=headers).json["code"]
    assert code == ("SIGNATURE_INVALID" if allowed else "CALLER_NOT_ALLOWED")


def test_several_headers_of_hops_are_one_list(limited: Toy) -> None:
    """Where a proxy adds a header of its own instead of going on with the one there is, the last one counts."""
    for hops, code in (
        (("203.0.114.7", "203.0.113.7"), "SIGNATURE_INVALID"),
        (("203.0.113.7", "x"), "CALLER_NOT_ALLOWED"),
    ):
        headers = {"X-Forwarded-For": hops[0], "x-forwarded-for": hops[1], "X-Toy-Signature": "wrong"}
        assert limited.send("", client="10.1.2.3", headers=headers).json["code"] == code


@pytest.fixture(scope="module")
def limited(gateway: RunningGateway) -> Toy:
    return toy(gateway, ip_allow="203.0.113.0/24, 2001:db8::/32")


def test_a_client_certificate_is_told_by_a_trusted_proxy_only(gateway: RunningGateway) -> None:
    """Its SHA-256, with or without colons, in either case."""
    provider = toy(gateway, client_certificate="ab" * 32)
    shown = {"X-Client-Certificate-SHA256": ":".join(["AB"] * 32)}
    assert provider.send("", client="10.0.0.1", headers=shown).json["ok"]
    assert provider.send("", client="192.0.2.1", headers=shown).json["code"] == "CALLER_NOT_ALLOWED"
    for wrong in ("", "ab" * 31, "ac" * 32):
        headers = {"X-Client-Certificate-SHA256": wrong}
        assert provider.send("", client="10.0.0.1", headers=headers).json["code"] == "CALLER_NOT_ALLOWED"


def test_the_canonical_api_minds_the_place_too(gateway: RunningGateway) -> None:
    """An option that every integration has holds for every integration."""
    here, elsewhere = (
        on_board(gateway, provider_id=uuid.uuid4().hex, options={"ip_allow": one}) for one in ("127.0.0.1", "192.0.2.1")
    )
    assert here.send("POST", "/v1/sessions/s_1/end").code == "SESSION_NOT_FOUND"
    assert elsewhere.send("POST", "/v1/sessions/s_1/end").code == "CALLER_NOT_ALLOWED"
    assert elsewhere.send("GET", "/v1/players/p_1/wallets/EUR").code == "CALLER_NOT_ALLOWED"


def test_a_weak_protocol_is_served_only_to_a_known_place(gateway: RunningGateway) -> None:
    """However it came into the database without one."""
    anywhere, somewhere = toy(gateway, "weak_toy"), toy(gateway, "weak_toy", ip_allow="127.0.0.1")
    assert anywhere.send("/look", method="GET").json["code"] == "CALLER_NOT_ALLOWED"
    assert somewhere.send("/look", method="GET").json["ok"]


# Absolute paths -------------------------------------------------------------------------------------------------------


def test_claims_select_and_the_signature_proves(gateway: RunningGateway) -> None:
    """On the contract's own path the credentials name the integration; with another one's signature they prove nothing."""
    operator, rival = f"op-{uuid.uuid4().hex}", f"op-{uuid.uuid4().hex}"
    provider, other = toy(gateway, operator=operator), toy(gateway, operator=rival)
    player_id = provider.player()
    until(lambda: absolute(provider, player_id, operator).status == 200, "the operator's path")
    assert absolute(provider, player_id, operator).json["cash"] >= 0
    assert absolute(other, player_id, operator).json["code"] == "SIGNATURE_INVALID"
    path = f"/toy/api/players/{player_id}/balance"
    read = provider.send(path, method="GET", absolute=True, headers={"X-Toy-Operator": operator})
    assert read.json["ok"]


def test_a_name_that_is_not_exactly_one_integrations_leads_nowhere(gateway: RunningGateway) -> None:
    """Unknown, ambiguous, disabled, or nothing named while none is flagged: 404."""
    operator = f"op-{uuid.uuid4().hex}"
    first = toy(gateway, operator=operator)
    assert absolute(first, "p_1", "nobody").status == 404
    assert absolute(first, "p_1", "").status == 404
    until(lambda: absolute(first, "p_1", operator).status == 200, "the operator's path")
    second = toy(gateway, operator=operator)
    assert second.send("").json["ok"]
    assert absolute(first, "p_1", operator).status == 404
    with gateway.connect() as connection:
        integrations.set_enabled(connection, second.integration_id, enabled=False, by=BY)
    until(lambda: absolute(first, "p_1", operator).status == 200, "the operator's path")


def test_the_flagged_integration_takes_what_names_none(gateway: RunningGateway) -> None:
    """Option as_written=true, and only one may have it."""
    flagged = toy(gateway, as_written="true")
    player_id = flagged.player()
    until(lambda: absolute(flagged, player_id, "").status == 200, "the path that names none")
    wrong = flagged.send("/toy/api/bet", b"", absolute=True, method="DELETE")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert toy(gateway, as_written="true").send("").json["ok"]
    assert absolute(flagged, player_id, "").status == 404


# Whatever goes wrong --------------------------------------------------------------------------------------------------


def test_failures_are_told_in_the_providers_words(provider: Toy) -> None:
    """Refusals with the wallet's balance, bodies too large, bugs without their details."""
    player_id = provider.player("1")
    assert provider.bet(player_id).json == {"ok": False, "code": "INSUFFICIENT_FUNDS", "balance": 100}
    assert provider.bet("p_unknown").json["code"] == "WALLET_NOT_FOUND"
    too_large = provider.send("/bet", b"x" * 10_001)
    assert (too_large.json["code"], too_large.headers["connection"]) == ("BODY_TOO_LARGE", "close")
    with capture_logs() as lines:
        crashed = provider.send("/crash")
    assert crashed.json == {"ok": False, "code": "INTERNAL", "balance": None}
    assert any(line["event"] == "callback crashed" for line in lines)


def test_a_refusal_that_crashes_is_still_an_answer(gateway: RunningGateway, provider: Toy, monkeypatch: Any) -> None:
    """A word that a dialect's author forgot becomes our own 500."""
    broken = replace(TOY, refuse=lambda call, rejected: {}[rejected.code])
    paths = gateway.app.provider_calls._below["toy"]
    monkeypatch.setattr(
        paths, "plain", {key: [one._replace(dialect=broken) for one in found] for key, found in paths.plain.items()}
    )
    reply = provider.send("/bet", b"no json")
    assert (reply.status, reply.code) == (500, "INTERNAL")


def test_an_outage_is_the_providers_try_again(settings: Settings) -> None:
    """Never a business answer: before the keys were ever read, in our words, since we know nobody yet."""
    away = settings.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none")})
    with RunningGateway(away, HOSTED) as gateway:
        reply = gateway.run(gateway.call("POST", "/integrations/brand-7/EU/toy/bet", [], [b""]))
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "UNAVAILABLE", "1")


def test_a_call_leaves_one_line_without_its_secrets(provider: Toy) -> None:
    """With the provider's transaction id; never a query, a header or a key."""
    player_id = provider.player()
    with capture_logs() as lines:
        provider.bet(player_id, bet_id="b_logged", headers={"X-Other": "hush"})
        provider.bet(player_id, path="/bet?authToken=sesame")
        provider.send("/crash?authToken=sesame", headers={"X-Other": "hush"})
        provider.bet(player_id, secret="a wrong secret")
    (line,) = [line for line in lines if line.get("provider_transaction_id") == "b_logged"]
    assert (line["event"], line["operation"], line["outcome"]) == ("callback", "toy /bet", "accepted")
    text = repr([{name: value for name, value in line.items() if name != "exc_info"} for line in lines])
    for secret in (provider.secret, "sesame", "hush", "a wrong secret", signature("a wrong secret", b"")):
        assert secret not in text


# What an integration says of itself -----------------------------------------------------------------------------------


def test_options_and_policy_are_the_integrations_over_the_dialects(gateway: RunningGateway, provider: Toy) -> None:
    """Defaults where nothing is said."""
    said = toy(gateway, look_for="b_9", policy__capture="settlement").send("").json
    assert (said["option"], said["policy"]) == ("b_9", "settlement")
    unsaid = provider.send("").json
    assert (unsaid["option"], unsaid["policy"], unsaid["client"]) == ("b_none", "authorization", "127.0.0.1")


def test_currencies_are_translated_and_others_refused(gateway: RunningGateway) -> None:
    """THEIRS:OURS in both directions."""
    provider = toy(gateway, currencies="BUCK:USD,mBTC:BTC/1000")
    player_id = provider.player(currency="USD")
    content = {"player": player_id, "currency": "BUCK", "id": "b_0", "round": "r_1", "amount": "2"}
    assert provider.send("/bet", content).json["cash"] == 9800
    assert provider.send(f"/players/{player_id}/balance", method="GET").json["currency"] == "BUCK"
    content |= {"currency": "USD", "id": "b_1"}
    assert provider.send("/bet", content).json["code"] == "CURRENCY_NOT_SUPPORTED"


def test_bets_in_another_currency_than_the_wallets_are_converted(gateway: RunningGateway) -> None:
    """The option wallet_currency: the rate is locked with the bet, and the win takes the same."""
    provider = toy(gateway, wallet_currency="EUR", policy__rate_max_age_s="3600")
    player_id = provider.player()
    content = {"player": player_id, "currency": "USD", "id": "fx_1", "round": "r_1", "amount": "10.00"}
    assert provider.send("/bet", content).json["code"] == "RATE_NOT_AVAILABLE"
    with gateway.connect() as connection:
        fields = {"base": "USD", "quote": "EUR", "rate": "0.5", "base_exponent": "2", "source": "test"}
        rates.add(connection, [rates.parse("brand-7", fields, datetime.now(UTC))], by=BY)
    assert provider.send("/bet", content).json["cash"] == 9500
    win = content | {"id": "fx_w", "amount": "20.00", "bet": "fx_1"}
    assert provider.send("/win", win).json["cash"] == 10500
    assert provider.bet(player_id, bet_id="eur_1").json["cash"] == 10300


def test_a_call_without_a_currency_is_the_players_only_one(gateway: RunningGateway) -> None:
    """Else the integration's; else a refusal."""
    unsaid, said = toy(gateway), toy(gateway, currency="USD")
    player_id = unsaid.player()
    path = f"/players/{player_id}/balance"
    assert unsaid.send(path, method="GET").json == {"ok": True, "cash": 10000, "currency": "EUR", "wallets": 1}
    unsaid.player(currency="USD", amount="7", player_id=player_id)
    assert unsaid.send(path, method="GET").json["code"] == "CURRENCY_MISMATCH"
    assert said.send(path, method="GET").json["cash"] == 700


def test_the_catalogue_is_seen_within_seconds(gateway: RunningGateway) -> None:
    """Provider's codes become our game ids; unknown codes stay what they are."""
    provider = toy(gateway)
    assert provider.send("").json["game"] == "g"
    with gateway.connect() as connection:
        listed = [games.Game(provider.integration_id, "ours", "g", "G", True)]
        games.put(connection, provider.integration_id, listed, by=BY)
    until(lambda: provider.send("").json["game"] == "ours", "the listed game")


def test_a_game_that_is_off_takes_no_new_bets(gateway: RunningGateway) -> None:
    """Nor does one that the catalogue has not, but with `unlisted_games=accept`; repeats are told as they were."""
    strict, loose = toy(gateway), toy(gateway, unlisted_games="accept")
    for provider in (strict, loose):
        player_id = provider.player()
        assert provider.bet(player_id, bet_id="before", game="g").json["ok"]
        with gateway.connect() as connection:
            listed = [
                games.Game(provider.integration_id, "ours", "g", "G", False),
                games.Game(provider.integration_id, "another", "a", "A", True),
            ]
            games.put(connection, provider.integration_id, listed, by=BY)
        off = partial(provider.bet, player_id, "0.01", game="g")
        until(lambda bet=off: bet().json.get("code") == "GAME_DISABLED", "the game's end")
        assert provider.bet(player_id, bet_id="before", game="g").json.get("code") != "GAME_DISABLED"
        assert provider.bet(player_id, bet_id="on", game="a").json["ok"]
        unlisted = provider.bet(player_id, bet_id="unlisted", game="table-7").json
        assert unlisted.get("code") == (None if provider is loose else "GAME_NOT_FOUND")


def test_a_win_that_cannot_be_read_is_asked_for_again(gateway: RunningGateway) -> None:
    """A bet that cannot is refused; of both the log names the field, and the win is counted for the operator."""
    provider = toy(gateway)
    player_id = provider.player()
    assert provider.bet(player_id, bet_id="b").json["ok"]
    counter = metrics.CREDITS_UNREADABLE.labels("toy /win", "amount")
    before = counter._value.get()
    body = {"player": player_id, "currency": "EUR", "id": "w", "round": "r", "bet": "b", "amount": "much"}
    assert provider.send("/bet", body).json["code"] == "FIELD_INVALID"
    assert counter._value.get() == before
    assert provider.send("/win", body).json["code"] == "UNAVAILABLE"
    assert counter._value.get() == before + 1


@pytest.mark.parametrize(("column", "value"), [
    ("policy", {"capture": "someday"}), ("policy", {"brand_new": True}), ("options", {"ip_allow": "everywhere"}),
    ("options", {"currencies": "EUR:"}), ("dialect", "klingon"),
])  # fmt: skip
def test_what_this_version_does_not_understand_is_not_served(gateway: RunningGateway, column: str, value: Any) -> None:
    """Better no answer than one by other rules; the others go on."""
    provider, neighbour = toy(gateway), toy(gateway)
    assert provider.send("").json["ok"]
    with gateway.wrong_hand() as connection:
        content = value if isinstance(value, str) else json.dumps(value)
        connection.execute(
            f"update wagerledger.integrations set {column} = %s where integration_id = %s",
            [content, provider.integration_id],
        )
    until(lambda: provider.send("").status == 404, "the integration's end")
    assert neighbour.send("").json["ok"]


# The registry ---------------------------------------------------------------------------------------------------------


def test_every_dialect_keeps_the_rules_of_the_host() -> None:
    """Unique paths, no secret among the options, folder and name the same."""
    for dialect in dialects.load().values():
        dialects.check(dialect)


def absolute(provider: Toy, player_id: str, operator: str) -> Reply:
    return provider.bet(player_id, path="/toy/api/bet", absolute=True, headers={"X-Toy-Operator": operator})
