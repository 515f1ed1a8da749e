"""How many decimals currencies have, and which codes are currencies at all."""

import pytest

from ledger.core.currencies import COINS, ISO_4217, VARYING, decimals, is_real
from runtime.identifiers import is_currency


@pytest.mark.parametrize(
    ("currency", "places"),
    [
        ("EUR", 2),
        ("ISK", 0),
        ("CLP", 0),
        ("UGX", 0),
        ("JPY", 0),
        ("XOF", 0),
        ("KWD", 3),
        ("IQD", 3),
        ("CLF", 4),
        ("BTC", 8),
    ],
)
def test_decimals_are_those_of_the_currency(currency, places):
    assert decimals(currency) == places


@pytest.mark.parametrize("currency", ["XAU", "XDR", "ETH", "USDT", "PTS", "EUX"])
def test_what_is_not_known_is_not_guessed(currency):
    """Neither metals, nor tokens whose decimals differ from chain to chain, nor what nobody knows."""
    assert decimals(currency) is None


def test_every_code_is_listed_once():
    codes = " ".join([*ISO_4217.values(), *COINS.values(), VARYING]).split()
    assert len(codes) == len(set(codes))
    assert all(is_currency(code) and is_real(code) for code in codes)
    assert [len(ISO_4217[places].split()) for places in (0, 2, 3, 4)] == [17, 139, 7, 2]
