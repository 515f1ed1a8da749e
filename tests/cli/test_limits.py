"""Limits of players by hand: set, raised, confirmed, removed and looked at."""

import psycopg
import pytest

from tests.cli.commands import COULD_NOT, FINDING, WALLET, Commands
from tests.support import history

WHO = "--reason", "asked by mail", "--actor", "clerk"
PLAYER = "p-limited"


@pytest.fixture
def cli(ledger_database: str) -> Commands:
    cli = Commands.on(ledger_database)
    cli("wallet", "open", PLAYER, "EUR", *WALLET)
    return cli


def change(cli: Commands, *what: str, **more: int) -> str:
    return cli("limits", *what, *WALLET, *WHO, **more)


def listed(cli: Commands) -> list[dict[str, str]]:
    return cli.json("limits", "list", PLAYER, "--brand", "brand-1")["limits"]


def test_limits_by_hand(cli: Commands, ledger_database: str) -> None:
    """Lower is at once, more waits, and a deposit beyond is refused; the table is what its events lead to."""
    of_a_day = PLAYER, "deposit", "day"
    assert "is set" in change(cli, "set", *of_a_day, "20.00", "EUR", "--calendar", "Europe/Malta@1")
    assert "is pending from" in change(cli, "set", *of_a_day, "30.00", "EUR")
    (limit,) = listed(cli)
    assert (limit["limit_id"], limit["amount"], limit["pending"]) == ("deposit/day/player", "20.00 EUR", "30.00 EUR")
    refused = cli("wallet", "deposit", PLAYER, "EUR", "20.01", *WALLET, code=FINDING)
    assert "LIMIT_REACHED" in refused
    cli("wallet", "deposit", PLAYER, "EUR", "20.00", *WALLET)
    assert listed(cli)[0]["used"] == "20.00 EUR"
    at_once = "--raise-after-s", "0"
    assert "is set" in change(cli, "set", *of_a_day, "30.00", "EUR", *at_once, "--set-by", "player")
    assert "LIMIT_NOT_FOUND" in change(cli, "confirm", PLAYER, "deposit/day/player", "EUR", code=FINDING)
    change(cli, "set", PLAYER, "single_stake", "round", "2.00", "EUR", "--set-by", "regulator")
    assert [one["limit_id"] for one in listed(cli)] == ["deposit/day/player", "single_stake/round/regulator"]
    assert "is removed" in change(cli, "remove", PLAYER, "single_stake", "round", "EUR", "--set-by", "regulator")
    assert "by Europe/Malta@1" in cli("limits", "list", PLAYER, "--brand", "brand-1")
    history.check(ledger_database)


def test_what_is_no_limit_is_said_before_anything_happens(cli: Commands, ledger_database: str) -> None:
    """A single stake has no day, and who has no wallet has no limits."""
    assert "round" in change(cli, "set", PLAYER, "single_stake", "day", "2.00", "EUR", code=COULD_NOT)
    cli("limits", "list", "nobody", "--brand", "brand-1", code=FINDING)
    with psycopg.connect(ledger_database) as connection:
        found = connection.execute("select limits from wagerledger.players").fetchall()
    assert found == [(None,)]
