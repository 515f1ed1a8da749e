"""What only Slotegrator's GIS says: its signature in the manner of PHP, and its own validation run."""

import json
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from gateway.dialect.errors import Rejected
from gateway.providers.slotegrator import DIALECT
from gateway.providers.slotegrator.signature import signed_text
from sandbox.drivers.driver import Request, Says
from sandbox.drivers.slotegrator import SlotegratorDriver
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import Play

BODY = b"action=balance&player_id=p_demo_1&currency=EUR"
HEADERS = {
    "X-Merchant-Id": "ff955c04",
    "X-Timestamp": "1796000000",
    "X-Nonce": "e115cdf6c9c7fd6bb2c8a0f4b4c7d0ab",
}
SIGNED_AT_S = 1_796_000_000


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same; it is accepted inside its window and refused outside of it."""
    headers = HEADERS | {"X-Sign": signature_on_page("slotegrator")}
    for at_s in (SIGNED_AT_S, SIGNED_AT_S + 300, SIGNED_AT_S - 300):
        DIALECT.verify(signed_call(DIALECT, "slotegrator-example-key", headers, BODY, at_s=at_s))
    with pytest.raises(Rejected, match="SIGNATURE_EXPIRED"):
        DIALECT.verify(signed_call(DIALECT, "slotegrator-example-key", headers, BODY, at_s=SIGNED_AT_S + 301))


def test_only_the_merchant_of_the_integration_is_let_in() -> None:
    """Where the integration names its merchant id, another one is refused although it is signed."""
    headers = HEADERS | {"X-Sign": signature_on_page("slotegrator")}
    call = signed_call(
        DIALECT, "slotegrator-example-key", headers, BODY, at_s=SIGNED_AT_S, merchant_id="another"
    )  # fmt: skip
    with pytest.raises(Rejected, match="CALLER_NOT_ALLOWED"):
        DIALECT.verify(call)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"b": "1", "a": "2", "X-Nonce": "3"}, "X-Nonce=3&a=2&b=1"),
        ({"a": "x y", "b": "~*'(ü)"}, "a=x+y&b=%7E%2A%27%28%C3%BC%29"),
        ({"amount": "9.6790", "empty": ""}, "amount=9.6790&empty="),
        (
            {"z": "1", "list[1][b]": "2", "list[1][a]": "3", "list[0][b]": "4", "lis": "5"},
            "lis=5&list%5B1%5D%5Bb%5D=2&list%5B1%5D%5Ba%5D=3&list%5B0%5D%5Bb%5D=4&z=1",
        ),
    ],
)
def test_the_signed_text_is_as_php_writes_it(fields: dict[str, str], text: str) -> None:
    """Names sorted bytewise, members of arrays in their order of arrival, PHP's own percent-encoding."""
    assert signed_text(fields.items()) == text


def test_the_validation_run_of_the_provider_passes(tables: Tables) -> None:
    """Every step that Slotegrator's own validation sends, in its order, in an EUR wallet of four decimals."""
    play = tables.fine.sit("100")
    validation = Validation(play)
    validation.step(play.driver.balance(play.seat), "100")
    validation.fails(play.driver.balance(replace(play.seat, player_id="nobody")))
    validation.step(validation.bet("zero bet", "0"), "100")
    validation.step(validation.win("win", "1.50"), "101.50")
    validation.step(validation.win("win", "1.50"), "101.50")
    validation.step(validation.refund("refund of a win", "win", "1.50"), "101.50")
    validation.step(validation.win("zero win", "0"), "101.50")
    validation.step(validation.bet("another zero bet", "0"), "101.50")
    validation.step(validation.refund("zero refund", "another zero bet", "0"), "101.50")
    validation.step(validation.bet("fine bet", "9.6790"), "91.8210")
    validation.step(validation.bet("fine bet", "9.6790"), "91.8210")
    validation.step(validation.refund("refund", "fine bet", "9.6790"), "101.50")
    validation.step(validation.refund("refund again", "fine bet", "9.6790"), "101.50")
    validation.step(validation.bet("bet without a round", "2", round_id=""), "99.50")
    validation.step(validation.refund("refund without a round", "bet without a round", "2", round_id=""), "101.50")
    validation.step(validation.bet("one bet", "1"), "100.50")
    for win, amount, balance in (
        ("1", "2", "102.50"),
        ("2", "0", "102.50"),
        ("3", "3.25", "105.75"),
        ("3", "3.25", "105.75"),
    ):
        validation.step(validation.win(f"win {win} of one bet", amount), balance)
    validation.step(validation.bet("other game", "1", game="another game"), "104.75")
    validation.step(validation.win("win in it", "1", game="yet another game"), "105.75")
    validation.step(validation.refund("early refund", "late bet", "5"), "105.75")
    validation.step(validation.bet("late bet", "0"), "105.75")
    heard = play.send(validation.bet("above the balance", "105.76"))
    assert heard.says == Says(200, "INSUFFICIENT_FUNDS")
    validation.step(validation.refund("refund of the refused", "above the balance", "105.76"), "105.75")
    validation.step(validation.bet("the whole balance", "105.75"), "0")
    validation.step(validation.win("35.00", "35.00"), "35.00")
    validation.step(validation.bet("34.99", "34.99"), "0.01")
    both = [("bet", "34.99", play.id("34.99")), ("win", "35.00", play.id("35.00"))]
    undo = validation.driver.rollback(play.seat, play.id("rollback"), both, play.id("round"))
    for _ in range(2):
        validation.step(undo, "0")
    for number, (bets, wins) in enumerate((("1", "2"), ("11", "22"))):
        for index, amount in enumerate(wins):
            validation.step(validation.win(f"round {number} win {index}", amount, finished="0"), None)
        for index, amount in enumerate(bets):
            last = "1" if index == len(bets) - 1 else "0"
            validation.step(validation.bet(f"round {number} bet {index}", amount, finished=last), None)
    forged = replace(play.driver.signed(play.a_bet()), headers=play.driver.signed(play.a_win()).headers)
    assert not tables.fine.send_as_is(forged, play.seat).reading.ok


@dataclass(frozen=True)
class Validation:
    play: Play

    @property
    def driver(self) -> SlotegratorDriver:
        assert isinstance(self.play.driver, SlotegratorDriver)
        return self.play.driver

    def step(self, request: Request, balance: str | None) -> None:
        heard = self.play.send(request)
        assert heard.reading.ok, heard
        assert heard.answer.status == 200, heard
        assert heard.reading.ids or b"action=balance" in request.body, heard
        if balance is not None:
            assert heard.reading.balance == Decimal(balance), f"{heard}, expected {balance}"

    def fails(self, request: Request) -> None:
        assert self.play.send(request).says == Says(200, "INTERNAL_ERROR")

    def bet(self, name: str, amount: str, **fields: str) -> Request:
        return self.transaction("bet", name, amount=amount, type="bet", **fields)

    def win(self, name: str, amount: str, **fields: str) -> Request:
        return self.transaction("win", name, amount=amount, type="win", **fields)

    def refund(self, name: str, bet: str, amount: str, **fields: str) -> Request:
        return self.transaction("refund", name, amount=amount, bet_transaction_id=self.play.id(bet), **fields)

    def transaction(self, action: str, name: str, *, game: str = "game", **fields: str) -> Request:
        fields = {"round_id": self.play.id("round"), "game_uuid": self.play.id(game)} | fields
        return self.driver.transaction(action, self.play.seat, transaction_id=self.play.id(name), **fields)


def test_a_refund_in_a_rollback_goes_with_its_bet(tables: Tables) -> None:
    """A list of bet and refund comes to nothing, once; a refund alone names nothing that is known, and is asked for again."""
    play = tables.home.sit()
    validation = Validation(play)
    validation.step(validation.bet("bet", "5"), "95")
    validation.step(validation.refund("refund", "bet", "5"), "100")
    listed = [("bet", "5", play.id("bet")), ("refund", "5", play.id("refund"))]
    validation.step(validation.driver.rollback(play.seat, play.id("rollback"), listed, play.id("round")), "100")
    alone = validation.driver.rollback(play.seat, play.id("another"), listed[1:], play.id("round"))
    assert play.send(alone).says == tables.traits.temporary


def test_a_rollback_lists_as_json_or_as_fields(tables: Tables) -> None:
    """A long round too; what is neither is asked for again."""
    play = tables.home.sit("1000")
    validation = Validation(play)
    bets = [f"bet {number}" for number in range(101)]
    for number, name in enumerate(bets):
        validation.step(validation.bet(name, "1"), str(999 - number))
    listed = [("bet", "1", play.id(name)) for name in bets]
    validation.step(validation.driver.rollback(play.seat, play.id("fields"), listed[1:], play.id("round")), "999")
    as_json = json.dumps([{"action": "bet", "amount": "1", "transaction_id": play.id("bet 0"), "type": "bet"}])
    request = validation.transaction("rollback", "json", rollback_transactions=as_json)
    validation.step(request, "1000")
    for broken in ("[", "{}", "7", '[],"x":1', "[[]]"):
        asked = validation.transaction("rollback", "broken", rollback_transactions=broken)
        assert play.send(asked).says == tables.traits.temporary, broken


def test_a_refund_that_names_anothers_win_is_refused(tables: Tables) -> None:
    """It tells nothing of the win; the win's own player hears the plain yes without an effect."""
    play, other = tables.home.sit(), tables.home.sit()
    validation = Validation(play)
    validation.step(validation.win("win", "5"), "105")
    Validation(other).fails(
        validation.driver.transaction(
            "refund", other.seat, transaction_id=other.id("refund"), amount="5", bet_transaction_id=play.id("win"),
        )
    )  # fmt: skip
    validation.step(validation.refund("refund", "win", "5"), "105")


def test_a_settled_bet_is_final(tables: Tables) -> None:
    """Sports: after `settle` the bet can be refunded no more, and a repeat of it is answered."""
    play = tables.home.sit()
    validation = Validation(play)
    validation.step(validation.bet("bet", "5"), "95")
    validation.step(validation.win("win", "8"), "103")
    settle = validation.transaction("settle", "settle", bet_transaction_id=play.id("bet"))
    validation.step(settle, "103")
    validation.step(settle, "103")
    validation.fails(validation.refund("refund", "bet", "5"))
