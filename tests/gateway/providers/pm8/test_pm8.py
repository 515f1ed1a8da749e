"""What only PM8 says: authentication is a setting."""

import base64
from dataclasses import replace

import pytest

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.providers.pm8 import DIALECT
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import Tables, yes
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import LONG_AGO_US

SECRET = "pm8-example-secret"
BODY = b'{"playerId":"p_demo_1","txId":"tx-1","amount":1050,"currency":"EUR","roundId":"round-1"}'
LISTED = {"auth": "basic", "ip_allow": "203.0.113.0/24"}


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted."""
    headers = {"X-Operator-Signature": signature_on_page("pm8")}
    DIALECT.verify(signed_call(DIALECT, SECRET, headers, BODY))
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(signed_call(DIALECT, SECRET, headers, BODY + b" "))


def basic(user: str, password: str, scheme: str = "Basic", **options: str) -> Call:
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return signed_call(DIALECT, SECRET, {"Authorization": f"{scheme} {credentials}"}, BODY, **options)


def test_basic_takes_user_and_secret() -> None:
    """Of the integration, from a listed place, and nothing else."""
    DIALECT.verify(basic("pm8", SECRET, **LISTED))
    DIALECT.verify(basic("eva", SECRET, "basic", **LISTED, username="eva"))
    for wrong in (
        basic("pm8", SECRET + "x", **LISTED),
        basic("pm8", "", **LISTED),
        basic("eva", SECRET, **LISTED),
        basic("pm8", SECRET, "Bearer", **LISTED),
        signed_call(DIALECT, SECRET, {"Authorization": f"Basic pm8:{SECRET}"}, BODY, **LISTED),
    ):
        with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
            DIALECT.verify(wrong)
    for none in ({}, {"Authorization": "Basic"}, {"X-Operator-Signature": signature_on_page("pm8")}):
        with pytest.raises(Rejected, match="SIGNATURE_MISSING"):
            DIALECT.verify(signed_call(DIALECT, SECRET, none, BODY, **LISTED))


def test_basic_without_a_list_of_addresses_serves_nobody() -> None:
    """It proves nothing of what a call says."""
    with pytest.raises(Rejected, match="CALLER_NOT_ALLOWED"):
        DIALECT.verify(basic("pm8", SECRET, auth="basic"))


def test_an_hmac_integration_takes_no_password() -> None:
    """The setting chooses one way, not either."""
    with pytest.raises(Rejected, match="SIGNATURE_MISSING"):
        DIALECT.verify(basic("pm8", SECRET, ip_allow=LISTED["ip_allow"]))


def test_a_get_signs_where_it_goes(tables: Tables) -> None:
    """The signature of one player's account opens no other's."""
    one, two = tables.home.sit(), tables.home.sit()
    signed = tables.home.driver.signed(tables.home.driver.balance(one.seat))
    assert tables.home.send_as_is(signed, one.seat).reading.ok
    stolen = replace(signed, path=f"/players/accounts/{two.seat.player_id}")
    assert tables.home.send_as_is(stolen, two.seat).says == tables.traits.bad_signature


def test_a_session_names_its_player(tables: Tables) -> None:
    """By its token, for as long as it lives."""
    play = tables.home.sit()
    for session_id, status in (
        (play.seat.session_id, 200),
        (tables.home.session(play.seat, expires_at=LONG_AGO_US), 400),
        ("sess_unknown", 404),
    ):
        heard = play.send(Request(f"/players/sessions/{session_id}", method="GET"))
        assert heard.says.status == status, heard


def test_a_bet_with_a_token_that_we_never_gave_is_refused(tables: Tables) -> None:
    """A bet may leave the token out."""
    play = tables.home.sit()
    assert play.in_session("sess_unknown").bet().says.status == 404
    assert play.available == 100


def test_a_refund_needs_the_bet_alone(tables: Tables) -> None:
    """What else it says is for information, and may be wrong."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.cancel(round_name="another round", amount="7"), tables.traits)
    assert play.available == 100
