"""What only SoftSwiss GCP v1 says."""

import json
from decimal import Decimal

import pytest

from gateway.host.dialects import check_options
from gateway.providers.bgaming import DIALECT
from gateway.providers.bgaming.answers import subunits
from ledger.admin.integrations import IntegrationError
from ledger.outcome import Balances
from sandbox.drivers.driver import Request, Says
from tests.gateway.providers.checks import Tables
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.house import Play

BODY = b'{"user_id":"p_demo_1","currency":"EUR","game":"bgaming:Aztec"}'


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted."""
    headers = {"X-REQUEST-SIGN": signature_on_page("bgaming")}
    DIALECT.verify(signed_call(DIALECT, "bgaming-example-token", headers, BODY))


def test_all_kinds_of_actions_come_in_one_call(tables: Tables) -> None:
    """Bets, wins and rollbacks are applied in their order; a repeat with one more applies only that one."""
    play = tables.home.sit()
    actions: list[dict[str, object]] = [
        {"action": "bet", "action_id": play.id("bet"), "amount": 100},
        {"action": "win", "action_id": play.id("win"), "amount": 250},
        {"action": "rollback", "action_id": play.id("undo"), "original_action_id": play.id("bet")},
    ]
    first = play.send(_actions(play, actions))
    assert first.reading.balance == Decimal("102.50")
    assert len(set(first.reading.ids)) == 3
    more = play.send(_actions(play, [*actions, {"action": "bet", "action_id": play.id("more"), "amount": 50}]))
    assert more.reading.balance == Decimal("102.00")
    assert more.reading.ids[:3] == first.reading.ids


def test_free_spins_name_their_player_one_way_or_the_other(tables: Tables) -> None:
    """The call's own fields, or else the issue's id, which is no award's id then; without either it is asked for again."""
    play = tables.home.sit()
    body = {"issue_id": play.id("issue"), "status": "finished", "total_amount": 500}
    assert play.send(_post("/freespins", body)).says == tables.traits.temporary
    named = body | {"user_id": play.seat.player_id, "currency": "EUR"}
    for _ in range(2):
        assert play.send(_post("/freespins", named)).reading.balance == 105
    by_issue = body | {"issue_id": f"{play.seat.player_id}/EUR/summer"}
    assert play.send(_post("/freespins", by_issue)).reading.balance == 110
    awards = tables.home.house.rows(
        "select win_id from wagerledger.settlements where player_id = %s and kind = 'free_spins'", [play.seat.player_id]
    )
    assert len(awards) == 2
    assert not any(play.seat.player_id in award_id for (award_id,) in awards)
    other_amount = play.send(_post("/freespins", by_issue | {"total_amount": 600}))
    assert other_amount.says == Says(400, "400")
    assert play.available == 110


def test_a_balance_is_asked_with_every_field_empty(tables: Tables) -> None:
    """So the provider asks it: an empty round, an empty session, no actions."""
    play = tables.home.sit()
    who = {"user_id": play.seat.player_id, "currency": "EUR", "game": "bgaming:Aztec"}
    asked = _post("/play", who | {"game_id": "", "session_id": "", "finished": True, "actions": []})
    assert play.send(asked).answer.body == b'{"balance":10000}'


def test_a_rollback_of_another_players_action_is_final(tables: Tables) -> None:
    """It is a bad request, and not one that the provider should send again."""
    play, other = tables.home.sit(), tables.home.sit()
    assert play.bet().reading.ok
    cancel = play.driver.cancel(other.seat, play.id("foreign"), play.id("bet"), "2", play.id("round"))
    assert other.send(cancel).says == Says(400, "400")
    assert (play.available, other.available) == (98, 100)


def test_every_action_has_a_tx_id_of_its_own(tables: Tables) -> None:
    """Also a second rollback of the same bet, which changes nothing; repeats keep theirs."""
    play = tables.home.sit()
    heard = [play.bet(), play.cancel("first"), play.cancel("second")]
    assert len({one.reading.ids for one in heard}) == 3
    assert [one.reading.balance for one in heard] == [98, 100, 100]
    assert play.cancel("first").reading.ids == heard[1].reading.ids
    assert play.cancel("second").reading.ids == heard[2].reading.ids


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("EUR", 2), ("JPY", 0), ("KWD", 3), ("BTC", 8), ("LTC", 8), ("BCH", 8), ("DOG", 8), ("USDT", 8), ("XRP", 6), ("ETH", 9)],
)  # fmt: skip
def test_subunits_are_the_providers(currency: str, decimals: int) -> None:
    """Of coins too, which the wallet may count in otherwise."""
    call = signed_call(DIALECT, "bgaming-example-token", {}, BODY)
    assert subunits(call, Balances(currency, 0, 7, 0, 0, 0)) == 7 * 10**decimals


def test_an_operator_may_say_what_a_subunit_is() -> None:
    """For our currency codes; the others stay as usual."""
    call = signed_call(DIALECT, "bgaming-example-token", {}, BODY, subunits="USDT:8,ETH:18")
    balances = Balances("USDT", 6, 1_234_567, 0, 0, 0)
    assert subunits(call, balances) == 123_456_700
    assert subunits(call, balances._replace(currency="EUR", exponent=4)) == 12_345


@pytest.mark.parametrize("listed", ["ETH", "ETH:x", "ETH:9,", "ETH:19", "eth:9"])
def test_a_list_of_subunits_that_means_nothing_is_refused(listed: str) -> None:
    """When the integration is added, not at each of its calls."""
    check_options(DIALECT, {"subunits": "ETH:18,USDT:8"})
    with pytest.raises(IntegrationError, match="subunits"):
        check_options(DIALECT, {"subunits": listed})


def _actions(play: Play, actions: list[dict[str, object]]) -> Request:
    who = {"user_id": play.seat.player_id, "currency": "EUR", "game": "bgaming:Aztec", "game_id": play.id("round")}
    return _post("/play", who | {"actions": actions})


def _post(path: str, content: dict[str, object]) -> Request:
    return Request(path, json.dumps(content).encode())
