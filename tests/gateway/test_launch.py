"""Launches: an address that only we can make and that the provider can trust, and the session behind it."""

import hmac
import random
import time
import uuid
from datetime import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialect.fields import rfc3339
from gateway.dialect.launch_url import (
    MAX_TTL_S,
    SKEW_S,
    LaunchError,
    base_url_fault,
    canonical_query,
    read_launch,
    sign_launch,
    ttl_fault,
    verify_launch,
)
from gateway.host import dialects
from ledger.admin import games, integrations
from ledger.admin.games import Game
from sandbox.provider import Provider
from schemas.events import BY_FINGERPRINT
from tests.support.caller import Caller, Reply, RunningGateway, on_board
from tests.support.commands import BY
from tests.support.waiting import until

SECRET = b"a secret that both sides know"
NOW = 1_700_000_000
BASE = "https://games.studio.example/launch"
PARAMETERS = {"game": "dice", "player": "p_1", "currency": "EUR", "mode": "real", "token": "s_1", "kid": "k_1"}


def address(expires: int = NOW + 600, base: str = BASE, secret: bytes = SECRET, **parameters: str) -> str:
    return sign_launch(base, {**PARAMETERS, "expires": str(expires), **parameters}, secret)


# The address ----------------------------------------------------------------------------------------------------------


def test_the_address_is_what_providers_compute() -> None:
    """A fixed vector, so that no release changes what every provider has built."""
    assert address(locale="de-DE", return_url="https://brand.example/lobby?tab=a b&ü=1") == (
        "https://games.studio.example/launch?currency=EUR&expires=1700000600&game=dice&kid=k_1&locale=de-DE&mode=real"
        "&player=p_1&return_url=https%3A%2F%2Fbrand.example%2Flobby%3Ftab%3Da%20b%26%C3%BC%3D1&token=s_1"
        "&signature=f2b943e49122f817e962dbe171ba55a1cf6fb55853110c2668296fbfb243458d"
    )


def test_it_lets_in() -> None:
    """The provider hears exactly what was signed."""
    assert verify_launch(address(), SECRET, NOW) == {**PARAMETERS, "expires": str(NOW + 600)}


def test_what_the_base_has_is_signed_too() -> None:
    """A provider's own query stays, and cannot be changed."""
    url = address(base=f"{BASE}?lobby=b%20c&a=")
    assert verify_launch(url, SECRET, NOW).items() >= {"lobby": "b c", "a": ""}.items()
    with pytest.raises(LaunchError, match="signature"):
        verify_launch(url.replace("lobby=b", "lobby=x"), SECRET, NOW)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=6), st.randoms())
def test_any_content_in_any_order(extra: dict[str, str], source: random.Random) -> None:
    """Whatever stands in it, whoever sorts it anew, the address verifies and tells the same."""
    parameters = {name: value for name, value in extra.items() if name not in ("signature", "expires")}
    url = sign_launch(BASE, {**parameters, "expires": str(NOW)}, SECRET)
    base, _, query = url.partition("?")
    parts = query.split("&")
    source.shuffle(parts)
    assert verify_launch(f"{base}?{'&'.join(parts)}", SECRET, NOW) == {**parameters, "expires": str(NOW)}


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.dictionaries(st.text(max_size=5), st.text(max_size=5))
)
def test_one_text_one_meaning(one: dict[str, str], other: dict[str, str]) -> None:
    """Two different sets of parameters never have the same signed text."""
    assert (canonical_query(one) == canonical_query(other)) == (one == other)


def test_every_changed_character_is_noticed() -> None:
    """Nothing of the query can be exchanged."""
    url = address()
    for position in range(url.index("?") + 1, len(url)):
        changed = url[:position] + ("A" if url[position] != "A" else "B") + url[position + 1 :]
        with pytest.raises(LaunchError):
            verify_launch(changed, SECRET, NOW)


@pytest.mark.parametrize("addition", ["&token=s_2", "&extra=1", "&signature=00"])
def test_nothing_can_be_added(addition: str) -> None:
    """Least of all a second value for a name."""
    with pytest.raises(LaunchError):
        verify_launch(address() + addition, SECRET, NOW)


@pytest.mark.parametrize("parameter", [*PARAMETERS, "expires", "signature"])
def test_nothing_can_be_left_out(parameter: str) -> None:
    base, _, query = address().partition("?")
    rest = [part for part in query.split("&") if not part.startswith(f"{parameter}=")]
    with pytest.raises(LaunchError):
        verify_launch(f"{base}?{'&'.join(rest)}", SECRET, NOW)


@pytest.mark.parametrize(
    "url", ["", "not a url", BASE, f"{BASE}?a", f"{BASE}?a=%FF", f"{BASE}?" + "a=1&" * 100 + "b=1"]
)
def test_what_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(LaunchError):
        verify_launch(url, SECRET, NOW)


def test_the_signature_of_another_key_is_refused() -> None:
    """Nor does the callback secret itself sign: the launch key is derived from it."""
    with pytest.raises(LaunchError, match="signature"):
        verify_launch(address(secret=b"another"), SECRET, NOW)
    signed, _, _ = address().partition("&signature=")
    direct = hmac.digest(SECRET, signed.partition("?")[2].encode(), "sha256").hex()
    with pytest.raises(LaunchError, match="signature"):
        verify_launch(f"{signed}&signature={direct}", SECRET, NOW)


@pytest.mark.parametrize("late_s", [0, 1, SKEW_S])
def test_clocks_may_differ_a_little(late_s: int) -> None:
    """30 s either way."""
    assert verify_launch(address(NOW), SECRET, NOW + late_s)
    assert verify_launch(address(NOW + MAX_TTL_S + late_s), SECRET, NOW)


def test_old_and_far_addresses_are_refused() -> None:
    """A second more is too much."""
    with pytest.raises(LaunchError, match="expired"):
        verify_launch(address(NOW), SECRET, NOW + SKEW_S + 1)
    with pytest.raises(LaunchError, match="valid for more"):
        verify_launch(address(NOW + MAX_TTL_S + SKEW_S + 1), SECRET, NOW)
    for expires in ("", "-1", "1e9", "٣", "9" * 13):
        with pytest.raises(LaunchError, match="expires"):
            verify_launch(sign_launch(BASE, {"expires": expires}, SECRET), SECRET, NOW)


def test_the_key_id_can_be_read_first() -> None:
    """So that a provider finds the key while keys change."""
    assert read_launch(address())["kid"] == "k_1"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://games.example/launch", None),
        ("http://127.0.0.1:8000/launch?a=1", None),
        ("games.example/launch", "https://host"),
        ("javascript:alert(1)", "https://host"),
        ("https://user:word@games.example/", "without user"),
        ("https://games.example/#top", "fragment"),
        ("https://games.example/?token=1", "token"),
        ("https://games.example/?a=1&a=2", "twice"),
        ("https://[games.example/", "no URL"),
    ],
)
def test_a_base_is_checked(url: str, fault: str | None) -> None:
    assert (base_url_fault(url) or "").find(fault or "") >= 0
    assert (base_url_fault(url) is None) == (fault is None)


def test_a_lifetime_is_five_to_fifteen_minutes() -> None:
    assert [text for text in ("299", "300", "900", "901", "", "x", "-300", "٣٠٠") if ttl_fault(text) is None] == [
        "300",
        "900",
    ]


# The session behind it ------------------------------------------------------------------------------------------------

OPERATOR, STUDIO, TABLES = "brand-7/EU/operator", "brand-7/EU/live", "brand-7/EU/tables"


@pytest.fixture(scope="module")
def operator(gateway: RunningGateway) -> Caller:
    return on_board(gateway, provider_id="operator", options={"may_launch": "true"})


@pytest.fixture(scope="module")
def studio(gateway: RunningGateway) -> Caller:
    """A provider with a catalogue, an address and conditions."""
    options = {"launch_url": f"{BASE}?lobby=1", "jurisdictions": "MT, GB", "currencies": "EUR,XBT:BTC"}
    caller = on_board(gateway, provider_id="live", options=options)
    on_board(gateway, provider_id="tables", options={"launch_ttl_s": "300", "session_ttl_s": "43200"})
    catalogue(gateway, STUDIO, Game(STUDIO, "dice", "D-1", "Dice", True), Game(STUDIO, "off", "O-1", "Off", False),
              Game(STUDIO, "both", "B-1", "Both", True))  # fmt: skip
    catalogue(gateway, TABLES, Game(TABLES, "both", "B-2", "Both", True), Game(TABLES, "roulette", "R-1", "R", True))
    return caller


def read_again(gateway: RunningGateway) -> None:
    """At once, not within two seconds."""
    gateway.run(gateway.app.provider_calls.services.keys._read_again())


def catalogue(gateway: RunningGateway, integration_id: str, *listed: Game) -> None:
    with gateway.connect() as connection:
        games.put(connection, integration_id, listed, by=BY, replace=True)
    read_again(gateway)


def start(operator: Caller, player: str, key: str | None = None, **fields: object) -> Reply:
    body = {"player_id": player, "game_id": "dice", "currency": "EUR", "jurisdiction": "MT", **fields}
    return operator.send(
        "POST", "/v1/sessions", {name: value for name, value in body.items() if value is not None}, key
    )


def test_a_launch_opens_the_provider_s_session(operator: Caller, studio: Caller, player: str) -> None:
    """The address verifies with the provider's secret, its token is the session, and the provider bets with it; the
    operator cannot either."""
    asked_at = int(time.time())
    reply = start(operator, player, locale="de-DE", return_url="https://brand.example/lobby?x=1")
    assert reply.status == 201, reply.body
    told = reply.json
    assert (told["integration_id"], told["token"]) == (STUDIO, told["session_id"])
    parameters = verify_launch(told["launch_url"], studio.secret.encode(), time.time())
    assert parameters | {"expires": ""} == {
        "game": "D-1", "player": player, "currency": "EUR", "locale": "de-DE", "mode": "real", "token": told["token"],
        "jurisdiction": "MT", "return_url": "https://brand.example/lobby?x=1", "lobby": "1", "kid": studio.kid, "expires": "",
    }  # fmt: skip
    assert asked_at + 600 <= int(parameters["expires"]) <= time.time() + 600
    assert told["launch_expires_at"] == rfc3339(int(parameters["expires"]) * 1_000_000)
    bet_id = f"b_{uuid.uuid4().hex}"
    assert operator.authorize(told["token"], bet_id).code == "SESSION_NOT_FOUND"
    assert studio.authorize(told["token"], bet_id).status == 200


def test_a_repeated_launch_is_the_same_to_the_byte(
    gateway: RunningGateway, operator: Caller, studio: Caller, player: str
) -> None:
    """Also when the catalogue has changed in between; the same key for another game is refused all the same."""
    key = uuid.uuid4().hex
    first = start(operator, player, key)
    assert start(operator, player, key).body == first.body
    before = Game(STUDIO, "dice", "D-1", "Dice", True)
    with gateway.connect() as connection:
        games.put(connection, STUDIO, [before._replace(enabled=False)], by=BY)
    read_again(gateway)
    try:
        again = start(operator, player, key)
        assert (again.status, again.body) == (201, first.body)
        assert start(operator, player).code == "GAME_DISABLED"
        assert start(operator, player, key, game_id="off").code == "IDEMPOTENCY_MISMATCH"
    finally:
        with gateway.connect() as connection:
            games.put(connection, STUDIO, [before], by=BY)
        read_again(gateway)


def test_a_launch_says_where_the_player_plays(
    gateway: RunningGateway, operator: Caller, studio: Caller, player: str
) -> None:
    """In its event; and another jurisdiction under the same key is another launch, allowed or not."""
    key = uuid.uuid4().hex
    assert start(operator, player, key).status == 201
    with gateway.connect() as connection:
        found = connection.execute(
            "select schema_fingerprint, body from wagerledger.event_log where stream_id = %s and event_type = %s",
            (player, "session.started"),
        )
        ((fingerprint, body),) = found.fetchall()
    assert BY_FINGERPRINT[fingerprint].decode(body)["payload"]["jurisdiction"] == "MT"
    for jurisdiction in ("GB", "US", None):
        assert start(operator, player, key, jurisdiction=jurisdiction).code == "IDEMPOTENCY_MISMATCH"


def test_demo_play_has_no_token(operator: Caller, studio: Caller, player: str) -> None:
    """Its event says that it is demo, and there is nothing to call a wallet with."""
    told = start(operator, player, mode="demo").json
    assert told["token"] is None
    parameters = verify_launch(told["launch_url"], studio.secret.encode(), time.time())
    assert (parameters["mode"], "token" in parameters) == ("demo", False)
    with operator.gateway.connect() as connection:
        row = connection.execute(
            "select mode, integration_id from wagerledger.sessions where session_id = %s", (told["session_id"],)
        ).fetchone()
    assert row == ("demo", STUDIO)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"jurisdiction": "SE"}, "JURISDICTION_NOT_ALLOWED"),
        ({"jurisdiction": None}, "FIELD_INVALID"),
        ({"currency": "USD"}, "CURRENCY_NOT_SUPPORTED"),
        ({"game_id": "off"}, "GAME_DISABLED"),
        ({"game_id": "poker", "integration_id": STUDIO}, "GAME_NOT_FOUND"),
        ({"game_id": "both"}, "FIELD_INVALID"),
        ({"integration_id": "brand-8/EU/other_studio"}, "FIELD_INVALID"),
        ({"integration_id": "brand-7/EU/nobody"}, "FIELD_INVALID"),
        ({"integration_id": "nobody"}, "FIELD_INVALID"),
        ({"jurisdiction": "M T"}, "FIELD_INVALID"),
        ({"return_url": "javascript:alert(1)"}, "FIELD_INVALID"),
    ],
)
def test_what_is_not_allowed_is_refused(
    operator: Caller, other_caller: Caller, studio: Caller, player: str, fields: dict[str, object], code: str
) -> None:
    assert start(operator, player, **fields).code == code


def test_a_currency_has_the_provider_s_name(operator: Caller, studio: Caller, player: str) -> None:
    operator.gateway.open_wallet("brand-7", player, "BTC", 8, "1")
    told = start(operator, player, currency="BTC").json
    assert verify_launch(told["launch_url"], studio.secret.encode(), time.time())["currency"] == "XBT"


def test_an_integration_without_an_address_gives_a_token(operator: Caller, studio: Caller, player: str) -> None:
    """Its operator makes the address; where two have a game, the name says which one."""
    told = start(operator, player, game_id="both", integration_id=TABLES).json
    assert (told["integration_id"], told["launch_url"], told["launch_expires_at"]) == (TABLES, None, None)
    lives_s = datetime.fromisoformat(told["expires_at"]).timestamp() - time.time()
    assert 43_000 < lives_s <= 43_200, "the integration says how long its sessions last"
    assert told["token"] == told["session_id"]
    assert start(operator, player, game_id="roulette").json["integration_id"] == TABLES


def test_only_the_operator_launches(caller: Caller, studio: Caller, player: str) -> None:
    """Another provider opens its own sessions, whatever the catalogues say."""
    assert start(caller, player, integration_id=STUDIO).code == "LAUNCH_NOT_ALLOWED"
    told = start(caller, player).json
    assert (told["integration_id"], told["launch_url"]) == ("brand-7/EU/studio", None)


def test_a_switched_off_integration_is_not_launched(operator: Caller, studio: Caller, player: str) -> None:
    gateway = operator.gateway
    for enabled, expected in ((False, "INTEGRATION_DISABLED"), (True, None)):
        with gateway.connect() as connection:
            integrations.set_enabled(connection, TABLES, enabled=enabled, by=BY)
        read_again(gateway)
        reply = start(operator, player, game_id="roulette")
        assert (reply.code if expected else None) == expected


def test_new_games_show_by_themselves(operator: Caller, studio: Caller, player: str) -> None:
    """Nobody has to tell the gateway: it looks every two seconds."""
    with operator.gateway.connect() as connection:
        games.put(connection, STUDIO, [Game(STUDIO, "fresh", "F-1", "Fresh", True)], by=BY)
    until(
        lambda: start(operator, player, game_id="fresh").json.get("integration_id") == STUDIO,
        "a catalogue that was read again",
    )


def test_the_token_outlives_nothing_but_bets(
    gateway: RunningGateway, operator: Caller, studio: Caller, player: str
) -> None:
    """An expired session refuses the stake; the win of a bet that runs still comes."""
    token, bet_id = start(operator, player).json["token"], f"b_{uuid.uuid4().hex}"
    assert studio.authorize(token, bet_id).status == 200
    with gateway.connect() as connection:
        connection.execute("update wagerledger.sessions set expires_at = 1 where session_id = %s", (token,))
    gateway.open_wallet(operator.tenant_id, player, "SEK")  # by another process: this one reads the stream again
    assert studio.authorize(token, f"b_{uuid.uuid4().hex}").code == "SESSION_EXPIRED"
    assert studio.settle(bet_id, "5").status == 200


def test_the_operator_ends_what_he_launched(operator: Caller, studio: Caller, caller: Caller, player: str) -> None:
    """A session of another integration of their brand; another provider cannot."""
    token = start(operator, player).json["token"]
    assert caller.send("POST", f"/v1/sessions/{token}/end").code == "SESSION_NOT_FOUND"
    assert operator.send("POST", f"/v1/sessions/{token}/end").json["status"] == "ended"
    assert studio.authorize(token, f"b_{uuid.uuid4().hex}").code == "SESSION_ENDED"


def test_the_sandbox_provider_lets_in_whom_the_operator_sends(operator: Caller, studio: Caller, player: str) -> None:
    """And nobody whose address is signed for somebody else."""
    url = start(operator, player).json["launch_url"]
    provider = Provider("", {"kid": studio.kid, "secret": studio.secret})
    assert provider.let_in(url)["player"] == player
    with pytest.raises(LaunchError, match="not ours"):
        Provider("", {"kid": "k_other", "secret": studio.secret}).let_in(url)
    with pytest.raises(LaunchError, match="signature"):
        Provider("", {"kid": studio.kid, "secret": "another"}).let_in(url)


def test_without_a_secret_there_is_no_address(operator: Caller, studio: Caller, player: str) -> None:
    """An integration whose calls are proven by public keys cannot sign one; a token alone needs none."""
    key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    on_board(operator.gateway, provider_id="keyed", public_keys=[key], options={"launch_url": BASE})
    assert start(operator, player, integration_id="brand-7/EU/keyed").code == "LAUNCH_NOT_POSSIBLE"
    on_board(operator.gateway, provider_id="keyed-2", public_keys=[key], shared_key="a test")
    told = start(operator, player, integration_id="brand-7/EU/keyed-2").json
    assert (told["launch_url"], told["token"]) == (None, told["session_id"])


@pytest.mark.parametrize(
    "options", [{"launch_url": "games.example"}, {"launch_ttl_s": "60"}, {"launch_url": "https://a.example/?token=1"}]
)
def test_options_of_a_launch_are_checked_when_they_are_given(options: dict[str, str]) -> None:
    with pytest.raises(integrations.IntegrationError, match=next(iter(options))):
        dialects.check_options(dialects.load()["canonical"], options)
