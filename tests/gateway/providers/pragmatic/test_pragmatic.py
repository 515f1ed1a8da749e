"""What only Pragmatic Play says: the hash over whatever came, results with two references, corrections below zero."""

from urllib.parse import urlencode
from uuid import uuid4

import pytest

from gateway.dialect.errors import Rejected
from gateway.providers.pragmatic import DIALECT
from sandbox.drivers import driver_of
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import Tables, yes
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import Heard, Play, Table

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


def test_a_correction_takes_what_is_there_or_nothing(tables: Tables) -> None:
    """Below zero it is told "insufficient balance", and may come again when there is money."""
    play = tables.home.sit("10")
    yes(play.bet(), tables.traits)
    with tables.home.house.no_event():
        assert _post(play, "adjustment", "correction", "-30.00").says == tables.traits.insufficient
    yes(play.win(amount="25"), tables.traits)
    for _ in range(2):
        yes(_post(play, "adjustment", "correction", "-30.00"), tables.traits)
        assert (play.wallet.cash, play.wallet.receivable) == (3, 0)


def test_a_bet_with_a_token_that_we_never_gave_is_refused(tables: Tables) -> None:
    """A bet may leave the token out; a wrong one is error 4."""
    play = tables.home.sit()
    assert play.in_session("no-such-token").bet().says.code == "4"
    yes(play.in_session("").bet(), tables.traits)
    assert play.available == 98


def test_a_bet_that_was_refunded_is_no_success_again(tables: Tables) -> None:
    """A late copy of the bet would let the player play with the stake that they have back."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.cancel(), tables.traits)
    assert play.bet().says == tables.traits.late_bet
    assert play.available == 100


def test_a_refund_needs_the_reference_alone(tables: Tables) -> None:
    """What else it says of its bet is for information, and may be wrong."""
    play = tables.home.sit()
    yes(play.bet(), tables.traits)
    yes(play.cancel(round_name="another round", amount="7"), tables.traits)
    assert play.available == 100


def test_our_ids_fit_into_32_characters(tables: Tables) -> None:
    """That is how long the provider keeps a transactionId."""
    play = tables.home.sit()
    for heard in (play.bet(), play.win(), _post(play, "adjustment", "correction", "1"), play.cancel()):
        yes(heard, tables.traits)
        assert len(heard.reading.ids[0]) == 32
    assert play.cancel(bet="never seen").reading.ids


def test_a_jackpot_names_its_pool(tables: Tables) -> None:
    """A bet's form, sent to /jackpotWin.html with its own hash, pays nothing."""
    play = tables.home.sit("1")
    form = play.a_bet(amount="500")
    assert play.send(form).says == tables.traits.insufficient
    assert play.send(Request("/jackpotWin.html", form.body)).says == tables.traits.temporary
    yes(play.send(Request("/jackpotWin.html", form.body + b"&jackpotId=7")), tables.traits)
    assert play.available == 501


@pytest.mark.parametrize("path", ["/session/expired", "/sessionExpired.html"])
def test_an_expired_session_takes_no_bets(tables: Tables, path: str) -> None:
    """At the path of the document, and at the one that others use."""
    play = tables.home.sit()
    fields = {"providerId": "PragmaticPlay", "sessionId": "1", "playerId": "x", "token": play.seat.session_id}
    for _ in range(2):
        yes(play.send(Request(path, urlencode(fields).encode())), tables.traits)
    assert play.bet().says.code == "4"


def test_a_bonus_win_moves_nothing(tables: Tables) -> None:
    """Its parts have come as results already."""
    play = _informed(tables).sit()
    with tables.home.house.nothing_changes():
        yes(_post(play, "bonusWin", "total", "12.00"), tables.traits)


def _informed(tables: Tables) -> Table:
    """Where a bonusWin is information, as it is by default."""
    return tables.home.house.mount(driver_of("pragmatic", "informed"), f"informed-{uuid4()}", bonus_win="information")


def _result(play: Play, name: str, amount: str, promo_reference: str, promo_amount: str) -> Heard:
    request = play.a_win(name, amount=amount)
    promo = {"promoWinAmount": promo_amount, "promoWinReference": promo_reference, "promoCampaignID": "7"}
    return play.send(Request(request.path, request.body + b"&" + urlencode(promo).encode()))


def _post(play: Play, method: str, name: str, amount: str) -> Heard:
    return play.send(Request(f"/{method}.html", play.a_win(name, amount=amount).body))


def test_bonus_win_pays_where_the_option_says_so(tables: Tables) -> None:
    """Once, as an award; else it is information, and stands in the log."""
    play = _informed(tables).sit()
    form = (
        f"providerId=PragmaticPlay&userId={play.seat.player_id}&gameId=g&roundId=7&amount=12.00&bonusCode=7&timestamp=1"
    )
    told = Request("/bonusWin.html", f"{form}&reference={play.id('total')}".encode())
    yes(play.send(told), tables.traits)
    assert play.available == 100
    assert '"event":"bonus win told"' in tables.home.house.log.getvalue()
    paying = tables.home.house.mount(driver_of("pragmatic", "paying"), "paying", bonus_win="payment").sit()
    form = form.replace(play.seat.player_id, paying.seat.player_id)
    paid = Request("/bonusWin.html", f"{form}&reference={paying.id('total')}".encode())
    for _ in range(2):
        yes(paying.send(paid), tables.traits)
        assert paying.available == 112


def test_a_result_ends_the_bets_of_its_round(tables: Tables) -> None:
    """So that none lies open where no endRound comes; more results, bets and refunds come all the same."""
    play = tables.home.sit()
    open_bets = "select count(*) from wagerledger.bets where status = 'open' and player_id = %s"
    yes(play.bet("one"), tables.traits)
    yes(play.win("first", amount="0"), tables.traits)
    assert tables.home.house.row(open_bets, [play.seat.player_id]) == (0,)
    yes(play.bet("two"), tables.traits)
    yes(play.win("second"), tables.traits)
    yes(play.win("third"), tables.traits)
    assert tables.home.house.row(open_bets, [play.seat.player_id]) == (0,)
    yes(play.cancel("refund", "two"), tables.traits)
    assert play.available == 100 - 2 + 5 + 5
    only = tables.home.house.mount(driver_of("pragmatic", "ending"), "ending", result_ends_bets="false").sit()
    yes(only.bet(), tables.traits)
    yes(only.win(), tables.traits)
    assert tables.home.house.row(open_bets, [only.seat.player_id]) == (1,)
