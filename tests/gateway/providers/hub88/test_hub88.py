"""What only Hub88 says: its published signatures, and the tokens that wins and rollbacks never look at."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration, SigningKey
from gateway.providers.hub88 import DIALECT
from ledger.admin.public_keys import load, read
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import Tables, yes
from tests.gateway.providers.worked_example import signature_on_page
from tests.support.house import LONG_AGO_US, Heard, Play
from tests.support.pages import ROOT

HERE = Path(__file__).parent
PUBLIC_KEY = (HERE / "demo_public.pem").read_bytes()
SIGNATURES = [line.rsplit(";", 1) for line in (HERE / "signatures.csv").read_text().splitlines()[1:]]
"""(data, signature) as Hub88 publishes them."""


def call(body: bytes, signature: str) -> Call:
    integration = Integration(
        "brand/EU/hub88", "brand", "EU", "hub88", DIALECT.policy, enabled=True,
        keys=(SigningKey("kid", None, load(*read(PUBLIC_KEY)), 0, float("inf")),), dialect="hub88", key_kinds=DIALECT.keys,
    )  # fmt: skip
    headers = {b"x-hub88-signature": signature.encode("latin-1")} if signature else {}
    return Call("POST", "/user/balance", {}, b"/", b"", headers, body, "127.0.0.1", Trace("0" * 32, None), integration)


@pytest.mark.parametrize(("data", "signature"), SIGNATURES)
def test_published_signatures_are_accepted(data: str, signature: str) -> None:
    """Each of them, and none of them for another body."""
    DIALECT.verify(call(data.encode(), signature))
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(call(data.encode() + b" ", signature))


def test_a_signature_has_one_spelling() -> None:
    """Blanks, other padding bits and cut base64 are no signature."""
    data, signature = SIGNATURES[0]
    raw = base64.b64decode(signature)
    for wrong in (signature[:-2], f" {signature}", f"{signature}\n", signature[:-3] + "B==", raw.hex(), "é"):
        with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
            DIALECT.verify(call(data.encode(), wrong))
    with pytest.raises(Rejected, match="SIGNATURE_MISSING"):
        DIALECT.verify(call(data.encode(), ""))


def test_the_example_of_the_page_runs() -> None:
    """Shell and Python accept the same signature, which is one of the published."""
    assert signature_on_page("hub88") == "Verified OK"
    page = (ROOT / "docs" / "providers" / "hub88.md").read_text()
    signature = SIGNATURES[0][1]
    assert all(page.count(signature[start : start + 76]) == 2 for start in range(0, len(signature), 76))
    assert page.count(PUBLIC_KEY.decode().strip()) == 2


def test_a_bet_needs_its_player_s_own_token(tables: Tables) -> None:
    """Another player's token is no token; nothing is taken."""
    one, two = tables.home.sit(), tables.home.sit()
    heard = one.in_session(two.seat.session_id).bet()
    assert heard.says.code == "RS_ERROR_INVALID_TOKEN", heard
    assert one.available == 100


def test_several_wins_of_one_bet_are_paid(tables: Tables) -> None:
    """Cascading wins reference the same bet, also after the round was closed."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.win("first", amount="1"), tables.traits)
    closing = play.a_win("last", amount="2")
    body = closing.body.replace(b'"round_closed": false', b'"round_closed": true')
    assert body != closing.body
    yes(play.send(replace(closing, body=body)), tables.traits)
    yes(play.win("late", amount="4"), tables.traits)
    assert play.available == 105


@pytest.mark.parametrize(
    ("flag", "unknown", "expired"),
    [
        ("is_free", "RS_ERROR_INVALID_TOKEN", "RS_ERROR_TOKEN_EXPIRED"),
        ("is_supplier_promo", "RS_ERROR_INVALID_TOKEN", "RS_OK"),
    ],
)
def test_a_bet_that_takes_nothing_needs_a_token(tables: Tables, flag: str, unknown: str, expired: str) -> None:
    """One of the player's own; only a promotion of the supplier may come after it has expired."""
    play = tables.home.sit()
    stranger = tables.home.sit().seat.session_id
    for session_id, status in (
        ("no such token", unknown),
        (stranger, unknown),
        (tables.home.session(play.seat, expires_at=LONG_AGO_US), expired),
        (play.seat.session_id, "RS_OK"),
    ):
        there = play.in_session(session_id)
        name = f"{flag} {session_id}"
        assert _changed(there, there.a_bet(name), **{flag: True}).says.code == status
        assert _changed(there, there.a_bet(name), **{flag: True}).says.code == status
    assert play.available == 100


def test_a_promotion_of_the_supplier_needs_a_token(tables: Tables) -> None:
    """Expired or not, but the player's own: it is all that ties the money to a launch of ours. Without any it is asked
    for again.
    """
    play = tables.home.sit()
    gone = tables.home.session(play.seat, expires_at=LONG_AGO_US)
    promotion = {"is_supplier_promo": True, "reference_transaction_uuid": None}
    for session_id, status in (("no such token", "RS_ERROR_INVALID_TOKEN"), (gone, "RS_OK"), (gone, "RS_OK")):
        there = play.in_session(session_id)
        assert _changed(there, there.a_win("promotion"), **promotion).says.code == status
    assert _changed(play, play.a_win("none"), **promotion, token=None).says == tables.traits.temporary
    assert play.available == 105


@pytest.mark.parametrize(
    "change", [{"round": "another"}, {"amount": 1}, {"game_code": "another"}, {"user": "another"}, {"currency": "USD"}]
)
def test_a_win_that_comes_again_with_other_content_is_a_duplicate(tables: Tables, change: dict[str, object]) -> None:
    """Its round too, though a win names its bet."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.win(), tables.traits)
    with tables.home.house.no_event():
        assert _changed(play, play.a_win(), **change).says.code == "RS_ERROR_DUPLICATE_TRANSACTION"
    yes(play.win(), tables.traits)


def _changed(play: Play, request: Request, **fields: object) -> Heard:
    content = json.loads(request.body) | fields
    body = {name: value for name, value in content.items() if value is not None}
    return play.send(replace(request, body=json.dumps(body).encode()))
