"""What only Pragmatic Play says: the hash over whatever came, results with two references, corrections below zero."""

from urllib.parse import urlencode

import pytest

from gateway.errors import Rejected
from gateway.providers.pragmatic import DIALECT
from sandbox.dialects.driver import Request
from tests.dialects.checks import Tables, yes
from tests.dialects.house import Heard, Play
from tests.dialects.worked_example import signature_on_page, signed_call

KEY = "pragmatic-example-key"
FIELDS = {
    "providerId": "PragmaticPlay",
    "userId": "p_demo_1",
    "gameId": "vs50hercules",
    "roundId": "5103188801",
    "amount": "5.00",
    "reference": "585c1306f89c56f5ecfc2f5d",
}


def test_the_example_of_the_page_is_a_hash() -> None:
    """Shell and Python print the same; order and empty fields do not matter, every other field does."""
    signed = FIELDS | {"hash": signature_on_page("pragmatic")}
    for good in (signed, dict(reversed(signed.items())), signed | {"bonusCode": ""}):
        DIALECT.verify(signed_call(DIALECT, KEY, {}, urlencode(good).encode()))
    upper = {"hash": signed["hash"].upper()}
    for wrong in (signed | {"amount": "5.0"}, signed | {"newField": "1"}, signed | upper, signed | {"hash": "0"}):
        with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
            DIALECT.verify(signed_call(DIALECT, KEY, {}, urlencode(wrong).encode()))


def test_a_form_with_two_meanings_is_no_form() -> None:
    """A field that is there twice could be signed in one meaning and read in the other."""
    body = urlencode(FIELDS | {"hash": signature_on_page("pragmatic")}).encode()
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(signed_call(DIALECT, KEY, {}, b"amount=500.00&" + body))


def test_a_result_pays_both_references_or_none(tables: Tables) -> None:
    """Where the promotion's reference means something else already, the win is not paid either."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    with tables.home.house.nothing_changes():
        assert _result(play, "win", "5.00", play.id("bet"), "2.00").says.code == "120"
    assert play.available == 98
    for _ in range(2):
        yes(_result(play, "win", "5.00", "promo-of-" + play.id("win"), "2.00"), tables.traits)
    assert play.available == 105


def test_a_correction_below_zero_becomes_a_debt(tables: Tables) -> None:
    """It never fails for lack of money; the next win pays the debt first."""
    play = tables.home.sit("10")
    yes(play.bet(), tables.traits)
    for _ in range(2):
        yes(_post(play, "adjustment", "correction", "-30.00"), tables.traits)
        assert (play.wallet.cash, play.wallet.receivable) == (0, -22)
    yes(play.win(amount="25"), tables.traits)
    assert (play.wallet.cash, play.wallet.receivable) == (3, 0)


def test_a_bonus_win_moves_nothing(tables: Tables) -> None:
    """Its parts have come as results already."""
    play = tables.home.sit()
    with tables.home.house.nothing_changes():
        yes(_post(play, "bonusWin", "total", "12.00"), tables.traits)


def _result(play: Play, name: str, amount: str, promo_reference: str, promo_amount: str) -> Heard:
    request = play.a_win(name, amount=amount)
    promo = {"promoWinAmount": promo_amount, "promoWinReference": promo_reference, "promoCampaignID": "7"}
    return play.send(Request(request.path, request.body + b"&" + urlencode(promo).encode()))


def _post(play: Play, method: str, name: str, amount: str) -> Heard:
    return play.send(Request(f"/{method}.html", play.a_win(name, amount=amount).body))
