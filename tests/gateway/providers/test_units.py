"""Providers that count in another unit than the ledger: thousands, thousandths, and coins of 18 decimals."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from sandbox.drivers import driver_of
from tests.gateway.providers.checks import Tables
from tests.support.house import Heard, Play, Table

THOUSANDS = {
    "st8": "KVND",
    "slotegrator": "VND(K)",
    "evolution": "kVND",
    "hub88": "KVND",
    "pm8": "KVND",
    "softswiss": "VND_K",
}
"""By dialect: what its provider might call a thousand VND."""


def mounted(tables: Mapping[str, Tables], name: str, tenant_id: str, **options: str) -> Table:
    return tables[name].home.house.mount(driver_of(name, tenant_id), tenant_id, name=f"{name}-{tenant_id}", **options)


def telling(play: Play, currency: str, exponent: int) -> Play:
    """The same player, in the provider's words."""
    return replace(play, seat=replace(play.seat, currency=currency, exponent=exponent))


def yes(heard: Heard) -> Heard:
    assert heard.reading.ok, heard
    return heard


@pytest.mark.parametrize("name", THOUSANDS)
def test_thousands_are_booked_in_full_and_told_in_thousands(all_tables: Mapping[str, Tables], name: str) -> None:
    """A stake of 10 takes 10000 VND, a win of 3 pays 3000, a repeat and a refusal tell thousands too."""
    code = THOUSANDS[name]
    table = mounted(all_tables, name, "thousands", currencies=f"{code}:VND*1000")
    play = table.sit("100000", "VND", 0)
    theirs = telling(play, code, 0 if name == "pm8" else 3)
    for _ in range(2):
        heard = yes(theirs.bet(amount="10"))
        assert play.available == 90_000
        assert heard.reading.balance in (None, Decimal(90))
    yes(theirs.win(amount="3"))
    assert play.available == 93_000
    assert yes(theirs.balance()).reading.balance == Decimal(93)
    assert not theirs.bet("more", amount="94", round_name="more").reading.ok
    assert play.available == 93_000


def test_thousandths_are_booked_exactly(all_tables: Mapping[str, Tables]) -> None:
    """Half a mBTC is 50000 satoshi; and a balance is told in mBTC."""
    table = mounted(all_tables, "st8", "thousandths", currencies="mBTC:BTC/1000")
    play = table.sit("0.01", "BTC")
    theirs = telling(play, "mBTC", 5)
    assert yes(theirs.bet(amount="0.5")).reading.balance == Decimal("9.5")
    assert play.available == Decimal("0.0095")


def test_a_whole_coin_of_18_decimals_can_be_staked(all_tables: Mapping[str, Tables]) -> None:
    """Its 19 digits are taken, and a win of more pays in full."""
    table = mounted(all_tables, "pm8", "ether", subunits="ETH:18")
    play = table.sit("50", "ETH", 9)
    theirs = telling(play, "ETH", 18)
    assert b"1000000000000000000" in theirs.a_bet(amount="1").body
    assert yes(theirs.bet(amount="1")).reading.balance == Decimal(49)
    yes(theirs.win(amount="1.5"))
    assert play.available == Decimal("50.5")


def test_decimals_that_nobody_said_are_asked_for(all_tables: Mapping[str, Tables]) -> None:
    """ETH is refused until option subunits says what the provider counts in."""
    play = all_tables["pm8"].home.sit("50", "ETH", 9)
    heard = play.bet(amount="1")
    assert not heard.reading.ok
    assert play.available == 50
