"""What only ST8 says: ECDSA on any curve, every kind of transaction, cancels of each."""

import base64
import json
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration, SigningKey
from gateway.providers.st8 import DIALECT
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables, expect, yes
from tests.gateway.providers.worked_example import signature_on_page
from tests.support.house import Heard, Play

BODY = b'{"player":"p_1","site":"site_1","currency":"EUR"}'


def call(key: ec.EllipticCurvePublicKey, signature: bytes, *, method: str = "POST", query: bytes = b"") -> Call:
    integration = Integration(
        "brand/EU/st8", "brand", "EU", "st8", DIALECT.policy, enabled=True,
        keys=(SigningKey("kid", None, key, 0, float("inf")),), dialect="st8", key_kinds=DIALECT.keys,
    )  # fmt: skip
    headers = {b"x-st8-sign": base64.b64encode(signature)}
    return Call(method, "/balance", {}, b"/", query, headers, BODY, "127.0.0.1", Trace("0" * 32, None), integration)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
def test_the_curve_is_the_key_s(curve: ec.EllipticCurve) -> None:
    """DER over the raw body, or over the query of a GET; never the one for the other, never another key."""
    key, query = ec.generate_private_key(curve), b"start_time=1&end_time=2&currency=EUR&site=site_1"
    of_body, of_query = key.sign(BODY, ec.ECDSA(SHA256())), key.sign(query, ec.ECDSA(SHA256()))
    DIALECT.verify(call(key.public_key(), of_body))
    DIALECT.verify(call(key.public_key(), of_query, method="GET", query=query))
    stranger = ec.generate_private_key(curve).public_key()
    for wrong in (
        call(key.public_key(), of_query, query=query),
        call(key.public_key(), of_body, method="GET", query=query),
        call(key.public_key(), of_body + b"\0"),
        call(key.public_key(), b"\x30\x06\x02\x01\x00\x02\x01\x00"),
        call(stranger, of_body),
    ):
        with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
            DIALECT.verify(wrong)


def test_the_example_of_the_page_runs() -> None:
    """Shell and Python accept the same signature."""
    assert signature_on_page("st8") == "Verified OK"


@pytest.mark.parametrize(
    ("path", "kind", "moves"),
    [
        ("/debit", "debit", "-1"),
        ("/debit", "free_debit", "0"),
        ("/debit", "bonus_buy_debit", "-1"),
        ("/debit", "correction_debit", "-1"),
        ("/buyin", "debit", "-1"),
        ("/buyin", "correction_debit", "-1"),
        ("/credit", "credit", "1"),
        ("/credit", "free_credit", "1"),
        ("/credit", "bonus_buy_credit", "1"),
        ("/credit", "correction_credit", "1"),
        ("/credit", "jackpot_credit", "1"),
        ("/credit", "promo_credit", "1"),
        ("/payout", "credit", "1"),
        ("/payout", "free_credit", "1"),
        ("/payout", "jackpot_credit", "1"),
        ("/payout", "promo_credit", "1"),
        ("/payout", "correction_credit", "1"),
        ("/payout", "bonus_buy_credit", "1"),
    ],
)
def test_every_kind_moves_once_and_is_cancelled_once(tables: Tables, path: str, kind: str, moves: str) -> None:
    """A cancel names any transaction and takes exactly that one back."""
    play = tables.home.sit()
    for _ in range(2):
        yes(_send(play, path, kind), tables.traits)
        assert play.available == 100 + Decimal(moves)
    for cancel in ("one", "one", "another"):
        yes(_cancel(play, path, cancel, kind), tables.traits)
        assert play.available == 100


@pytest.mark.parametrize("path", ["/debit", "/credit", "/buyin", "/payout"])
def test_what_was_cancelled_before_it_came_never_comes(tables: Tables, path: str) -> None:
    """Debits, credits, buy-ins and payouts alike."""
    play = tables.home.sit()
    kind = "debit" if path in ("/debit", "/buyin") else "credit"
    expect(play.cancel(bet=kind, amount="1"), tables.traits.cancel_unknown)
    expect(_send(play, path, kind), tables.traits.late_bet)
    assert play.available == 100


def test_a_debit_needs_a_token_that_we_gave(tables: Tables) -> None:
    """Only corrections may come without: they may be late."""
    play = tables.home.sit().in_session("no-such-token")
    for kind in ("debit", "free_debit", "bonus_buy_debit"):
        expect(_send(play, "/debit", kind), Says(200, "session_expired"))
    assert play.available == 100
    yes(_send(play, "/debit", "correction_debit"), tables.traits)


def test_a_cancel_needs_the_transaction_alone(tables: Tables) -> None:
    """What else it says is for information, and may be wrong."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.cancel(round_name="another round", amount="7"), tables.traits)
    assert play.available == 100


def _cancel(play: Play, path: str, name: str, kind: str) -> Heard:
    content = json.loads(play.a_cancel(name, kind, "1").body)
    if path in ("/buyin", "/payout"):
        del content["token"], content["round"], content["game_code"]
    return play.send(Request("/cancel", json.dumps(content).encode()))


def _send(play: Play, path: str, kind: str) -> Heard:
    content = json.loads(play.driver.bet(play.seat, play.id(kind), "1.00", play.id("round")).body)
    content["provider_kind"] = kind
    if path in ("/buyin", "/payout"):
        del content["token"], content["round"], content["round_closed"]
        content["game_code"] = None
    return play.send(Request(path, json.dumps(content).encode()))
