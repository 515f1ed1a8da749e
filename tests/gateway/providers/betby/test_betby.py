"""What only BetBy says: its tokens, and the many lives of a bet."""

import json
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration, SigningKey
from gateway.providers.betby import DIALECT
from gateway.providers.betby.signature import parties
from ledger.admin import rates
from ledger.core.state import Rate
from sandbox.drivers.betby import BetbyDriver
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page
from tests.support.commands import BY
from tests.support.house import Play
from tests.support.pages import ROOT, blocks

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
NOW_S = 1_796_000_000
CLAIMS: dict[str, Any] = {"iss": "op", "aud": "brand", "iat": NOW_S, "exp": NOW_S + 60, "jti": "j-1", "payload": {}}


def _base64url(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")


def _message(header: object, claims: object) -> bytes:
    return b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))


def _rs256(claims: object = CLAIMS, **header: object) -> bytes:
    message = _message({"alg": "RS256", **header}, claims)
    return message + b"." + _base64url(RSA_KEY.sign(message, padding.PKCS1v15(), SHA256()))


def _body(token: bytes) -> bytes:
    return b'{"payload": "' + token + b'"}'


def _call(body: bytes, *keys: Any, method: str = "POST") -> Call:
    known = tuple(
        SigningKey(f"k{n}", None, key, 0, float("inf")) for n, key in enumerate(keys or (RSA_KEY.public_key(),))
    )
    integration = Integration(
        "b/EU/betby", "b", "EU", "betby", DIALECT.policy, enabled=True, keys=known, dialect="betby",
        options={"iss": "op", "aud": "brand", "identify": "on"}, key_kinds=DIALECT.keys,
    )  # fmt: skip
    trace = Trace("0" * 32, None)
    return Call(method, "/bet/make", {}, b"/", b"", {}, body, "127.0.0.1", trace, integration, NOW_S * 1_000_000)


def _refused(body: bytes, *keys: Any, code: str = "SIGNATURE_INVALID") -> None:
    with pytest.raises(Rejected, match=code):
        DIALECT.verify(_call(body, *keys))


def test_nobody_is_identified_unless_the_integration_says_so() -> None:
    """A session key alone tells nothing of its player where the option was not set."""
    assert DIALECT.default_options["identify"] == "off"
    asked = replace(_call(b"", method="GET"), path="/identify", query=b"key=s_1")
    DIALECT.verify(asked)
    closed = replace(asked.integration, options={"iss": "op", "aud": "brand"})
    with pytest.raises(Rejected, match="SIGNATURE_MISSING"):
        DIALECT.verify(replace(asked, integration=closed))


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same RS256 signature, and it is the one of the token's other two parts."""
    signature = signature_on_page("betby")
    ((_, python),) = blocks(ROOT / "docs" / "providers" / "betby.md", "python")
    scope: dict[str, Any] = {"print": lambda _: None}
    exec(python, scope)  # our own page
    call = _call(_body(scope["message"] + b"." + signature.encode()), scope["key"].public_key())
    DIALECT.verify(call)


def test_rs256_and_es256_by_any_of_the_keys() -> None:
    """While keys rotate, each of them proves."""
    other = rsa.generate_private_key(65537, 2048).public_key()
    DIALECT.verify(_call(_body(_rs256()), other, RSA_KEY.public_key(), EC_KEY.public_key()))
    _refused(_body(_rs256()), other, EC_KEY.public_key())


def test_no_other_algorithm() -> None:
    """Not none, no MAC made with a public key, no longer hash, no key of the other kind, and nothing that we must
    understand but do not.
    """
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("none", "None", "", "HS256", "RS384", "PS256", "ES384", None):
        message = _message({"alg": algorithm}, CLAIMS)
        mac = HMAC(public, SHA256())
        mac.update(message)
        longer = RSA_KEY.sign(message, padding.PKCS1v15(), SHA384())
        for signature in (b"", mac.finalize(), longer, RSA_KEY.sign(message, padding.PKCS1v15(), SHA256())):
            _refused(_body(message + b"." + _base64url(signature)))
    message = _message({"alg": "ES256"}, CLAIMS)
    _refused(_body(message + b"." + _base64url(EC_KEY.sign(message, ec.ECDSA(SHA256())))), EC_KEY.public_key())
    _refused(_body(_rs256(crit=["b64"], b64=False)))


@pytest.mark.parametrize(
    "wrong", [{"iss": "another"}, {"aud": "another"}, {"aud": ["brand", "more"]}, {"iss": None}, {"aud": []}]
)
def test_only_our_issuer_and_audience(wrong: dict[str, object]) -> None:
    """A good signature for somebody else proves nothing here."""
    _refused(_body(_rs256(CLAIMS | wrong)))
    DIALECT.verify(_call(_body(_rs256(CLAIMS | {"aud": ["brand"]}))))


def test_a_token_needs_no_id_of_its_own() -> None:
    """Some are made without a `jti`: what makes a repeat harmless is the id of the transaction."""
    DIALECT.verify(_call(_body(_rs256({name: said for name, said in CLAIMS.items() if name != "jti"}))))


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"exp": NOW_S - 29}, None),
        ({"exp": NOW_S - 31}, "SIGNATURE_EXPIRED"),
        ({"exp": None}, "SIGNATURE_INVALID"),
        ({"exp": "never"}, "SIGNATURE_INVALID"),
        ({"nbf": NOW_S + 29.5}, None),
        ({"nbf": NOW_S + 31}, "SIGNATURE_EXPIRED"),
        ({"iat": NOW_S + 31}, "SIGNATURE_EXPIRED"),
        ({"iat": None}, None),
    ],
)
def test_tokens_have_a_time(times: dict[str, object], code: str | None) -> None:
    """Thirty seconds of skew, both ways."""
    body = _body(_rs256(CLAIMS | times))
    if code:
        _refused(body, code=code)
    else:
        DIALECT.verify(_call(body))


def test_a_token_has_one_spelling() -> None:
    """Neither another base64 of the same bytes nor anything beside the token in the body."""
    token = _rs256()
    for body in (
        _body(token + b"="), _body(token + b"."), _body(token.replace(b".", b"..")), _body(b" " + token),
        b'{"payload": "' + token + b'", "x": 1}', b'{"payload": "' + token + b'"}{}', token, b"",
    ):  # fmt: skip
        _refused(body, code="SIGNATURE_(INVALID|MISSING)")


def test_the_token_says_whose_it_is_before_it_is_proven() -> None:
    """For the contract's own paths: issuer and audience select, the signature proves."""
    assert parties(_call(_body(_rs256()))) == {"iss": "op", "aud": "brand"}
    assert parties(_call(_body(_rs256({"iss": 1})))) == {}
    assert parties(_call(b"{}")) == {}


def test_the_contracts_own_paths_find_the_integration(tables: Tables) -> None:
    """By (iss, aud); the session is another brand's, so the bet is refused there and taken here."""
    play = tables.home.sit()
    for number, path in enumerate(("/api/v1/sport/betby/bet/make", "/api/v1/sport/betby/bet_make")):
        request = play.driver.signed(play.a_bet(), at=time.time() + number)  # another token of the same bet
        reply = tables.home.house.run(
            tables.home.house.call("POST", path, [("Content-Length", str(len(request.body)))], [request.body])
        )
        assert reply.status == 200, reply
    assert play.available == 98


def test_a_bet_lives_many_times(tables: Tables) -> None:
    """Won and undone again and again: the balance is always that of the last word."""
    play = tables.home.sit()
    play.bet()
    for number in range(5):
        assert play.win(f"win {number}").reading.balance == 103
        undo = play.a_cancel_of_win(f"undo {number}", f"win {number}")
        assert undo is not None
        assert play.send(undo).reading.balance == 98
    assert play.wallet.held == 2


def test_a_refund_that_is_undone_takes_the_stake_again(tables: Tables) -> None:
    """What is not there any more is owed; nothing goes below zero."""
    play = tables.home.sit("2")
    bet = play.bet()
    refund = play.send(_step("refund", play, bet.reading.ids[0], "refund"))
    assert refund.reading.balance == 2
    play.bet("spent", "1.50")
    undone = play.send(_step("rollback", play, bet.reading.ids[0], "undo", parent_transaction_id=refund.reading.ids[0]))
    assert undone.reading.balance == 0
    assert str(play.wallet.receivable) == "-1.50"


def test_a_bet_in_another_currency_is_refunded_as_it_was_asked_for(tables: Tables) -> None:
    """The wallet is in euros, the bet in dollars: the refund names the dollars, and the euros come back to the cent."""
    house = tables.home.house
    options = {"wallet_currency": "EUR", "policy.rate_max_age_s": "3600", "policy.session": "ignored"}
    table = house.mount(BetbyDriver("abroad"), "abroad", **options)
    with house.connect() as connection:
        rates.add(connection, [Rate("abroad", "USD", "EUR", 9, 10, 2, "test", int(time.time() * 1_000_000))], by=BY)
    play = table.sit()
    play = replace(play, seat=replace(play.seat, currency="USD", session_id="elsewhere"))
    bet = play.bet(amount="1.11")
    assert bet.reading.balance == 99
    wrong = play.send(_step("refund", play, bet.reading.ids[0], "refund", 100, "USD"))
    assert wrong.says == tables.traits.temporary
    refund = play.send(_step("refund", play, bet.reading.ids[0], "refund", 111, "USD"))
    assert refund.reading.balance == 100
    undone = _step(
        "rollback", play, bet.reading.ids[0], "undo", 111, "USD", parent_transaction_id=refund.reading.ids[0]
    )
    assert play.send(undone).reading.balance == 99


def test_a_commit_names_our_id_by_either_name(tables: Tables) -> None:
    """`bet_transaction_id`, or `transaction_id`; nothing moves."""
    play = tables.home.sit()
    bet = play.bet()
    with tables.home.house.no_event():
        for name in ("bet_transaction_id", "transaction_id"):
            assert play.send(Request("/bet/commit", json.dumps({name: bet.reading.ids[0]}).encode())).reading.ok
            unknown = Request("/bet/commit", json.dumps({name: "bet-404"}).encode())
            assert play.send(unknown).says == Says(400, "2003")


def test_anybody_may_ask_whether_anybody_is_there(tables: Tables) -> None:
    """At the contract's own path too, where a ping has no token."""
    answer = tables.home.ask("GET", "/api/v1/sport/betby/ping", b"")
    assert answer.status == 200
    assert list(json.loads(answer.body)) == ["timestamp"]


def test_discard_and_settlement_are_always_answered_yes(tables: Tables) -> None:
    """BetBy repeats them until they are: where there is nothing to do, nothing is done."""
    play = tables.home.sit()
    bet = play.bet()
    play.win()
    with tables.home.house.no_event():
        assert play.cancel().reading.ok
        assert play.send(Request("/bet/settlement", b'{"bet_transaction_id": "bet-404", "status": "won"}')).reading.ok
    settled = json.dumps({"bet_transaction_id": bet.reading.ids[0], "status": "won"}).encode()
    assert play.send(Request("/bet/settlement", settled)).reading.ok
    undo = play.a_cancel_of_win()
    assert undo is not None
    assert not play.send(undo).reading.ok


def _step(
    call: str, play: Play, bet: str, name: str, cents: int = 200, currency: str = "EUR", **fields: object
) -> Request:
    transaction = {"id": play.id(name), "ext_player_id": play.seat.player_id, "amount": cents, "currency": currency}
    return Request(
        f"/bet/{call}", json.dumps({"bet_transaction_id": bet, "transaction": transaction} | fields).encode()
    )


def test_a_bet_may_name_no_session(tables: Tables) -> None:
    """One that it names must be this player's; an unknown player is told so, whatever else is wrong."""
    play = tables.home.sit()
    without = json.loads(play.a_bet().body)
    del without["session_id"]
    assert play.send(Request("/bet/make", json.dumps(without).encode())).reading.ok
    assert play.available == 98
    assert play.in_session("nobodys").bet("another").says.code == "1007"
    nobody = replace(play, seat=replace(play.seat, player_id="nobody"))
    assert nobody.bet("theirs").says.code == "1006"
    assert nobody.in_session("nobodys").bet("theirs too").says.code == "1006"
