"""What only the aggregator says: the one URL, the settlement, and play money."""

import itertools
import json
from typing import Any

from gateway.providers.rgs import DIALECT
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import Play
from tests.support.seeds import seeded_random

BODY = b'{"player_id":"p_1","currency":"EUR"}'


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted."""
    headers = {"X-Signature": signature_on_page("rgs")}
    DIALECT.verify(signed_call(DIALECT, "rgs-example-secret", headers, BODY))


def test_a_settlement_does_what_was_missed_in_whatever_order(tables: Tables) -> None:
    """Every order of its transactions, in one piece or in two, ends with the same money; a second time changes nothing."""
    orders = list(itertools.permutations(range(4)))
    for order in seeded_random().sample(orders, 6):
        play = tables.home.sit()
        items = [
            _item(play, "bet", "b1", amount="2.00"),
            _item(play, "win", "w1", amount="5.00", bet_transaction_id=play.id("b1")),
            _item(play, "bet", "b2", amount="3.00"),
            _item(play, "refund", "f2", bet_transaction_id=play.id("b2")),
        ]
        listed = [items[index] for index in order]
        assert _settle(play, listed)["complete"] is True
        assert play.available == 103
        with tables.home.house.no_event():
            assert {one["status"] for one in _settle(play, listed)["transactions"]} == {"known"}


def test_a_settlement_in_part_waits_for_the_rest(tables: Tables) -> None:
    """A win whose bet is not known is pending, and paid when the settlement comes again with it."""
    play = tables.home.sit()
    win = _item(play, "win", "w", amount="5.00", bet_transaction_id=play.id("b"))
    told = _settle(play, [win])
    assert (told["complete"], told["transactions"][0]["status"]) == (False, "pending")
    assert _settle(play, [win, _item(play, "bet", "b", amount="2.00")])["complete"] is True
    assert play.available == 103


def test_a_settlement_repeats_what_the_calls_did(tables: Tables) -> None:
    """The same ids with another amount are refused, one by one; what is good beside them is done."""
    play = tables.home.sit()
    play.bet()
    told = _settle(
        play,
        [
            _item(play, "bet", "bet", amount="9.00", round_id=play.id("round"), game_id=play.seat.game_id),
            _item(play, "bet", "more", amount="1.00"),
        ],
    )
    assert [one["status"] for one in told["transactions"]] == ["refused", "applied"]
    assert play.available == 97


def test_a_settlement_tells_a_bet_from_a_win_of_the_same_id(tables: Tables) -> None:
    """An id is one per kind of call: what is told of the one is not told of the other."""
    play = tables.home.sit()
    bet, win = (
        _item(play, "bet", "same", amount="2.00"),
        _item(play, "win", "same", amount="5.00", bet_transaction_id="?"),
    )
    told = _settle(play, [win, bet])
    assert (told["complete"], [one["status"] for one in told["transactions"]]) == (False, ["pending", "applied"])


def test_play_money_moves_nothing(tables: Tables) -> None:
    """Whatever is asked in demo mode."""
    play = tables.home.sit()
    body = {"player_id": play.seat.player_id, "currency": "EUR", "mode": "demo", "transaction_id": "d", "amount": "5"}
    with tables.home.house.nothing_changes():
        for call in ("balance", "bet", "win"):
            assert json.loads(play.send(_post(f"/{call}", body)).answer.body)["mode"] == "demo"
        settlement = body | {"settlement_id": "s", "transactions": [_item(play, "bet", "b", amount="1")]}
        assert play.send(_post("/settlement", settlement)).reading.ok


def test_a_balance_is_told_in_its_own_currency(tables: Tables) -> None:
    """Whatever currency the refund of a refunded bet names."""
    play = tables.home.sit()
    play.bet()
    play.cancel()
    tables.home.sit(currency="JPY", player_id=play.seat.player_id)
    again = {"player_id": play.seat.player_id, "currency": "JPY", "bet_transaction_id": play.id("bet")}
    told = json.loads(play.send(_post("/refund", again | {"transaction_id": play.id("again")})).answer.body)
    assert (told["balance"], told["currency"]) == ("100.00", "EUR")


def test_one_url_takes_every_call(tables: Tables) -> None:
    """The action says which; an unknown one is refused."""
    play = tables.home.sit()
    bet = json.loads(play.a_bet().body)
    assert play.send(_post("", bet | {"action": "bet"})).reading.balance == 98
    assert play.send(_post("", bet | {"action": "steal"})).answer.status == 422
    assert play.send(_post("", bet)).answer.status == 422


def _item(play: Play, kind: str, name: str, **fields: str) -> dict[str, str]:
    return {"transaction_id": play.id(name), "type": kind} | fields


def _settle(play: Play, items: list[dict[str, str]]) -> Any:
    body = {
        "settlement_id": play.id("settlement"), "session_id": play.seat.session_id, "player_id": play.seat.player_id,
        "currency": "EUR", "transactions": items,
    }  # fmt: skip
    return json.loads(play.send(_post("/settlement", body)).answer.body)


def _post(path: str, body: dict[str, Any]) -> Request:
    return Request(path, json.dumps(body).encode())


def test_a_win_of_a_settlement_that_cannot_be_read_waits(tables: Tables) -> None:
    """The settlement is not complete, so that it is sent again; a bet that cannot be read is refused."""
    play = tables.home.sit()
    items = [("bet", "b", "1"), ("win", "w", "much"), ("bet", "c", "much")]
    told = _settle(play, [_item(play, kind, name, amount=amount) for kind, name, amount in items])
    assert [one["status"] for one in told["transactions"]] == ["applied", "pending", "refused"]
    assert not told["complete"]
    assert play.available == 99
