"""What only SoftSwiss v2 says."""

import json
import uuid
from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.dialect.errors import Rejected
from gateway.providers.softswiss import DIALECT
from ledger.outcome import Balances
from sandbox.drivers import driver_of
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import Play

BODY = b'{"account_id":"p_demo_1","currency":"EUR","game_id":"PlatinumLightning"}'


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted; in capital letters it is not."""
    signature = signature_on_page("softswiss")
    DIALECT.verify(signed_call(DIALECT, "softswiss-example-token", {"X-REQUEST-SIGN": signature}, BODY))
    with pytest.raises(Rejected, match="SIGNATURE_INVALID"):
        DIALECT.verify(signed_call(DIALECT, "softswiss-example-token", {"X-REQUEST-SIGN": signature.upper()}, BODY))


def test_a_lack_of_money_always_tells_the_balance() -> None:
    """Codes 100, 105 and 106 must carry it: the one before the request."""
    call = signed_call(DIALECT, "softswiss-example-token", {}, BODY)
    balances = Balances("EUR", 2, 300, 50, 0, 0)
    reply = DIALECT.refuse(call, Rejected("INSUFFICIENT_FUNDS", balances=balances))
    assert reply.status == 400
    assert json.loads(reply.body)["meta"] == {
        "api_code": "100",
        "api_message": "insufficient funds",
        "balance": "3.50",
    }


def test_a_batch_is_applied_in_order_or_not_at_all(tables: Tables) -> None:
    """A win pays for the bet after it; the bet before it must stand on its own."""
    play = tables.home.sit("1")
    win, bet = _move("win", play.id("win"), "5.00"), _move("bet", play.id("bet"), "5.50")
    refused = play.send(_bet_win(play, "round", [bet, win]))
    assert refused.says == Says(400, "100")
    assert refused.reading.balance == Decimal("1.00")
    done = play.send(_bet_win(play, "round", [win, bet]))
    assert done.reading.ok, done
    assert done.reading.balance == Decimal("0.50")
    assert play.available == Decimal("0.50")


def test_a_tombstone_refuses_the_whole_request(tables: Tables) -> None:
    """One transaction that was rolled back before it came, bet or win, keeps the others from being applied."""
    play = tables.home.sit()
    assert play.cancel("undo", "gone").reading.ok
    for kind in ("bet", "win"):
        heard = play.send(
            _bet_win(play, "round", [_move("bet", play.id("fresh"), "1.00"), _move(kind, play.id("gone"), "2.00")])
        )
        assert heard.says == Says(400, "409"), heard
    assert play.available == 100


def test_one_rollback_request_undoes_several(tables: Tables) -> None:
    """In their order, with one id each: a bet, its win, and one that never came."""
    play = tables.home.sit()
    assert play.send(
        play.driver.bet_and_win(play.seat, play.id("b"), "10", play.id("w"), "30", play.id("r"))
    ).reading.ok
    originals = {play.id("undo b"): play.id("b"), play.id("undo w"): play.id("w"), play.id("undo x"): play.id("x")}
    request = _post(
        play, "/rollback", game_id="g", round_id_provider=play.id("r"), finished=True,
        transactions=[
            {"id_provider": id_provider, "type": "rollback", "original_id_provider": original}
            for id_provider, original in originals.items()
        ],
    )  # fmt: skip
    first, again = play.send(request), play.send(request)
    assert first.reading.balance == again.reading.balance == 100
    ids = [one["id"] for one in json.loads(first.answer.body)["transactions"]]
    assert ids[0]
    assert ids[1]
    assert ids[2] == ""
    assert first.answer.body == again.answer.body


def test_a_rollback_of_an_unknown_player_is_remembered(tables: Tables) -> None:
    """There is no balance to tell (101), but the bet can never begin, also once the player has a wallet."""
    unknown = replace(tables.home.sit().seat, player_id=f"later_{uuid.uuid4().hex}", session_id="")
    bet_id, driver = uuid.uuid4().hex, tables.home.driver
    cancel = driver.cancel(unknown, uuid.uuid4().hex, bet_id, "2", "round")
    assert tables.home.send(cancel, unknown).says == Says(400, "101")
    play = tables.home.sit(player_id=unknown.player_id)
    assert play.send(driver.bet(play.seat, bet_id, "2", "round")).says == Says(400, "409")


def test_the_end_of_a_round_is_no_end_of_money(tables: Tables) -> None:
    """Late wins, late bets and rollbacks of a finished round are answered; /finish tells today's balance each time."""
    play = tables.home.sit()
    finish = play.driver.finish(play.seat, play.id("round"))
    assert play.bet().reading.ok
    assert play.send(finish).reading.balance == 98
    assert play.win().reading.balance == 103
    assert play.send(finish).reading.balance == 103
    assert play.bet("late").reading.balance == 101
    assert play.cancel().reading.balance == 103


def test_a_rollback_of_another_players_transaction_is_final(tables: Tables) -> None:
    """It is a bad request, and not one that the provider should send again."""
    play, other = tables.home.sit(), tables.home.sit()
    assert play.bet().reading.ok
    cancel = play.driver.cancel(other.seat, play.id("foreign"), play.id("bet"), "2", play.id("round"))
    assert other.send(cancel).says == Says(400, "400")
    assert (play.available, other.available) == (98, 100)


def test_the_end_of_a_round_belongs_to_its_player_and_currency(tables: Tables) -> None:
    """Ids may hold the same characters at other places: none is taken for another's repeat."""
    player_id = f"p{uuid.uuid4().hex[:8]}"
    longer = tables.home.sit(player_id=f"{player_id}:1")
    play = tables.home.sit(player_id=player_id)
    for one, round_id in ((play, "1:r"), (longer, "r")):
        assert one.send(one.driver.finish(one.seat, round_id)).reading.balance == 100
    in_yen = replace(play.seat, currency="JPY")
    assert play.send(play.driver.finish(in_yen, "1:r")).says == Says(400, "154")


def test_player_ids_of_several_parts_are_taken(tables: Tables) -> None:
    """Operators of SoftSwiss have ids such as 8|USDT|USD; what would end the part of a path stays refused."""
    play = tables.home.sit(player_id=f"8|{uuid.uuid4().hex[:8]}|EUR")
    assert play.bet().reading.balance == 98
    for player_id in ("8/USDT/USD", "8 USDT", "8@USDT"):
        balance = play.driver.balance(replace(play.seat, player_id=player_id))
        assert play.send(balance).says == Says(400, "400")


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("002.50", Says(200)),
        ("0.0000000000000000", Says(400, "400")),
        ("2.50000000000000000", Says(200)),
        ("0" * 41 + "2.5E+0", Says(200)),
        ("0" * 41, Says(400, "400")),
        ("٢.٥", Says(400, "400")),
    ],
)
def test_amounts_are_of_the_published_form(tables: Tables, amount: str, says: Says) -> None:
    """They count by value, whatever zeros they are written with; zero is none."""
    play = tables.home.sit()
    assert play.send(_bet_win(play, "round", [_move("bet", play.id("bet"), amount)])).says == says
    assert play.available == (Decimal("97.50") if says.status == 200 else 100)


def test_an_acknowledged_transaction_has_an_id(tables: Tables) -> None:
    """Where the policy says yes without an effect, the answer still has the form of the contract."""
    driver = driver_of("softswiss", "acknowledging")
    policy = {"policy.late_bet": "acknowledge", "policy.rollback_of_win": "acknowledge"}
    play = tables.home.house.mount(driver, f"acknowledging-{uuid.uuid4().hex[:8]}", **policy).sit()
    assert play.cancel("undo", "gone").reading.ok
    late = play.bet("gone")
    assert late.reading.balance == 100
    assert late.reading.ids == (f"noop_{play.id('gone')}",)
    assert play.win().reading.balance == 105
    undone = play.send(driver.cancel(play.seat, play.id("undo win"), play.id("win"), "5", play.id("round")))
    assert undone.reading.balance == 105
    assert undone.reading.ids == ()


def test_softswiss_own_paths_lead_to_the_same(tables: Tables) -> None:
    """A transaction that came by one path is a repeat by the other; but not the very bytes, which prove the first."""
    play = tables.home.sit()
    bet = play.a_bet()
    other = replace(play.driver.with_extra_field(bet) or bet, path="/v2/provider_a8r.Round/BetWin")
    first, again = play.send(bet), play.send(other)
    assert first.answer.body == again.answer.body
    assert play.send(replace(bet, path=other.path)).says == tables.traits.bad_signature
    assert play.available == 98


def _move(kind: str, id_provider: str, amount: str) -> dict[str, object]:
    return {"id_provider": id_provider, "type": kind, "amount": amount}


def _bet_win(play: Play, round_name: str, transactions: list[dict[str, object]]) -> Request:
    return _post(play, "/betwin", game_id="g", round_id=play.id(round_name), transactions=transactions)


def _post(play: Play, path: str, **content: object) -> Request:
    who = {"account_id": play.seat.player_id, "currency": play.seat.currency}
    return Request(path, json.dumps(who | content).encode())
