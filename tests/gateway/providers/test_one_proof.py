"""Signed bytes that move money as another call than theirs: found once in these protocols, each by name."""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from urllib.parse import parse_qsl, urlencode

import pytest

from ledger.admin import integrations
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import Tables
from tests.support.commands import BY
from tests.support.house import Heard, Play
from tests.support.waiting import until

only = pytest.mark.parametrize


def sent(play: Play, request: Request) -> tuple[Request, Heard]:
    signed = play.driver.signed(request)
    return signed, play.table.send_as_is(signed, play.seat)


def moves_nothing(play: Play, signed: Request, path: str) -> None:
    with play.table.house.no_event():
        heard = play.table.send_as_is(replace(signed, path=path), play.seat)
    assert not heard.reading.ok, heard


def with_action(request: Request, action: str) -> Request:
    return replace(request, path="", body=json.dumps({"action": action, **json.loads(request.body)}).encode())


@only("tables", ["pragmatic"], indirect=True)
def test_a_lost_bet_is_not_refunded_by_its_own_bytes(tables: Tables) -> None:
    """The round is over, and the bet's fields are those of a refund."""
    play = tables.home.sit("100")
    signed, heard = sent(play, play.a_bet(amount="50"))
    assert heard.reading.ok
    assert play.win(amount="0").reading.ok
    end = play.driver.finish(play.seat, play.id("round"))
    assert end is not None
    assert play.send(end).reading.ok
    moves_nothing(play, signed, "/refund.html")
    assert play.available == 50


@only("tables", ["pragmatic"], indirect=True)
def test_a_question_who_plays_ends_no_session(tables: Tables) -> None:
    """Both calls name a token, and nothing else that they must."""
    play = tables.home.sit()
    token = urlencode({"providerId": "PragmaticPlay", "token": str(play.seat.session_id)}).encode()
    signed, heard = sent(play, Request("/authenticate.html", token))
    assert heard.reading.ok, heard
    for path in ("/session/expired", "/sessionExpired.html"):
        moves_nothing(play, signed, path)
    assert play.bet().reading.ok


@only("tables", ["pragmatic"], indirect=True)
def test_a_refused_bet_is_no_adjustment(tables: Tables) -> None:
    """Its amount would be given."""
    play = tables.home.sit("10")
    signed, heard = sent(play, play.a_bet(amount="5000"))
    assert heard.says == tables.traits.insufficient
    moves_nothing(play, signed, "/adjustment.html")
    assert play.available == 10


@only("tables", ["pragmatic", "slotegrator"], indirect=True)
def test_a_field_that_swallows_the_next_one_is_no_other_call(tables: Tables) -> None:
    """Joined for the signature they could read the same, and an id that grows by its neighbour is a new one."""
    play = tables.home.sit()
    assert play.bet().reading.ok
    for request in (play.a_bet(), play.a_win()):
        signed, heard = sent(play, request)
        assert heard.reading.ok, heard
        names = sorted(dict(parse_qsl(signed.body.decode())))
        for name, swallowed in pairwise(names):
            fields = dict(parse_qsl(signed.body.decode()))
            fields[name] += f"&{swallowed}={fields.pop(swallowed)}"
            moves_nothing(play, replace(signed, body=urlencode(fields).encode()), signed.path)


@only("tables", ["rgs"], indirect=True)
def test_a_bet_at_the_one_url_is_no_win(tables: Tables) -> None:
    """Neither after it was accepted there, nor as the first that is heard of it: the path must be the body's word."""
    play = tables.home.sit()
    signed, heard = sent(play, with_action(play.a_bet(amount="20"), "bet"))
    assert heard.reading.ok
    moves_nothing(play, signed, "/win")
    new = play.driver.signed(with_action(play.a_win("other"), "bet"))
    moves_nothing(play, new, "/win")
    assert play.available == 80


@only("tables", ["rgs"], indirect=True)
def test_a_refused_bet_of_a_round_is_no_win(tables: Tables) -> None:
    """The round has a bet, so a win that names none would be paid."""
    play = tables.home.sit()
    assert play.bet().reading.ok
    signed, heard = sent(play, play.a_bet("another", "999999999"))
    assert heard.says == tables.traits.insufficient
    moves_nothing(play, signed, "/win")
    assert play.available == 98


@only("tables", ["casino"], indirect=True)
def test_a_refused_debit_is_no_credit(tables: Tables) -> None:
    """Not even where wins need no bet, nor by the other name of its path."""
    play = tables.home.sit()
    signed, heard = sent(play, play.a_bet(amount="900000"))
    assert heard.says == tables.traits.insufficient
    for path in ("/credit", "/casino/credit"):
        moves_nothing(play, signed, path)
    assert play.available == 100


@only("tables", ["casino"], indirect=True)
def test_what_was_sent_while_the_integration_was_off_is_no_other_call_once_it_is_on(tables: Tables) -> None:
    """Its no is a refusal like every other one."""
    play = tables.home.sit()
    assert play.bet().reading.ok

    def switch(*, enabled: bool) -> None:
        with tables.home.house.connect() as connection:
            integrations.set_enabled(connection, tables.home.integration_id, enabled=enabled, by=BY)
        until(lambda: tables.home.house.integration(tables.home).enabled == enabled, "the gateway to see the switch")

    switch(enabled=False)
    try:
        signed, heard = sent(play, play.a_bet("another", "50"))
        assert not heard.reading.ok
    finally:
        switch(enabled=True)
    moves_nothing(play, signed, "/credit")
    assert play.table.send_as_is(signed, play.seat).reading.ok
    assert play.available == 48


@only("tables", ["casino"], indirect=True)
def test_one_proof_at_two_endpoints_at_the_same_moment(tables: Tables) -> None:
    """One of the two acts; which one, nobody can tell."""
    play = tables.home.sit()
    house, calls = tables.home.house, 10

    async def both(number: int) -> list[bool]:
        signed = play.driver.signed(play.a_bet(f"b{number}", "1", f"r{number}"))
        answers = await asyncio.gather(
            *(tables.home.sending_raw(replace(signed, path=path)) for path in ("/debit", "/credit"))
        )
        return [play.driver.read(answer, play.seat).ok for answer in answers]

    for number in range(calls):
        assert sorted(house.run(both(number))) == [False, True]


@only("tables", ["hub88"], indirect=True)
def test_a_brand_s_promotion_is_not_paid_by_another_brand(tables: Tables) -> None:
    """Both were given the provider's one key, and a promotion needs no bet."""
    play = tables.twin.sit()
    there = tables.twin_brand.sit(player_id=play.seat.player_id)
    win = play.a_win()
    promotion = json.loads(win.body) | {"reward_uuid": play.id("reward")}
    del promotion["reference_transaction_uuid"]
    signed, heard = sent(play, replace(win, body=json.dumps(promotion).encode()))
    assert heard.reading.ok, heard
    moves_nothing(there, signed, signed.path)
    assert (play.available, there.available) == (105, 100)


@only("tables", ["softswiss"], indirect=True)
def test_a_call_that_came_to_no_decision_is_remembered_too(tables: Tables) -> None:
    """Refused for what it says, before the ledger was asked: it cannot be decided as another call later."""
    play = tables.home.sit()
    broken = json.loads(play.a_bet().body) | {"transactions": []}
    count = "select count(*) from wagerledger.proofs where scope = %s and operation = 'POST /betwin'"
    before = tables.home.house.row(count, [tables.home.integration_id])
    signed, heard = sent(play, replace(play.a_bet(), body=json.dumps(broken).encode()))
    assert not heard.reading.ok, heard
    after = tables.home.house.row(count, [tables.home.integration_id])
    assert before is not None
    assert after == (before[0] + 1,)
    moves_nothing(play, signed, "/finish")
