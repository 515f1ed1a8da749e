"""Restrictions and corrections by people: who, why, and with whose consent."""

import secrets

import psycopg
import pytest

from tests.cli.commands import COULD_NOT, FINDING, WALLET, Commands

WHO = "--reason", "asked by mail", "--actor", "clerk"


@pytest.fixture(scope="module")
def cli(ledger_database_of_module: str) -> Commands:
    return Commands.on(ledger_database_of_module)


@pytest.fixture
def player(cli: Commands) -> str:
    player_id = f"p_{secrets.token_hex(6)}"
    cli("wallet", "open", player_id, "EUR", *WALLET)
    cli("wallet", "deposit", player_id, "EUR", "10.00", *WALLET)
    return player_id


def restriction(cli: Commands, player: str) -> str | None:
    return cli.json("player", "show", player, "--brand", "brand-1")["restriction"]


def test_a_player_is_restricted_and_freed(cli: Commands, player: str) -> None:
    """Each time an event says who and why; what is true already changes nothing."""
    assert restriction(cli, player) is None
    assert cli.json("player", "exclude", player, *WALLET, *WHO)["status"] == "restricted"
    assert restriction(cli, player) == "self_excluded"
    assert cli.json("player", "lock", player, *WALLET, *WHO)["restriction"] == "locked"
    assert "locked" in cli("player", "show", player, "--brand", "brand-1")
    assert "is free" in cli("player", "free", player, *WALLET, *WHO)
    assert restriction(cli, player) is None
    cli("player", "free", player, *WALLET, *WHO)
    events = cli.json("wallet", "events", player, "--brand", "brand-1", "--limit", "3")
    assert [event["event_type"] for event in events] == ["player.freed", "player.restricted", "player.restricted"]
    assert (events[2]["payload"]["reason"], events[2]["payload"]["actor"]) == ("asked by mail", "clerk")


def test_a_repeat_under_its_key_is_one_event(cli: Commands, player: str) -> None:
    lock = "player", "lock", player, *WALLET, *WHO, "--key", f"lock:{player}"
    assert [cli.json(*lock)["replayed"] for _ in range(2)] == [False, True]


def test_a_player_is_shown_with_his_money(cli: Commands, player: str) -> None:
    (wallet,) = cli.json("player", "show", player, "--brand", "brand-1")["wallets"]
    assert (wallet["currency"], wallet["cash"], wallet["open_bets"]) == ("EUR", "10.00", [])
    assert "no player" in cli("player", "show", "p_nobody", "--brand", "brand-1", code=FINDING)
    assert "e-mail" in cli("player", "lock", "a@example.com", *WALLET, *WHO, code=COULD_NOT)


def test_a_correction_needs_two_people(cli: Commands, player: str) -> None:
    """Up and down; what a correction down does not find is owed, not taken below zero."""
    adjust = "wallet", "adjust", player, "EUR"
    who = *WALLET, "--reason", "goodwill", "--actor", "clerk", "--approver", "chief"
    assert cli.json(*adjust, "up", "5.50", *who)["balances"]["cash_minor"] == 1550
    told = cli.json(*adjust, "down", "20", *who, "--reference", "case-1")
    assert (told["balances"]["cash_minor"], told["balances"]["receivable_minor"]) == (0, -450)
    event = cli.json("wallet", "events", player, "--brand", "brand-1")[0]
    assert (event["event_type"], event["payload"]["approver"]) == ("wallet.debit.adjustment", "chief")
    alone = *WALLET, "--reason", "goodwill", "--actor", "clerk", "--approver", " Clerk "
    assert "second person" in cli(*adjust, "up", "1", *alone, code=FINDING)
    with psycopg.connect(cli.database_url) as connection:
        query = "select asked, kid from wagerledger.refusals where stream_id = %s and kind = 'Adjust'"
        ((asked, kid),) = connection.execute(query, [player]).fetchall()
    assert (asked["actor"], asked["approver"], asked["amount"], kid) == ("clerk", " Clerk ", "1", None)
    cli(*adjust, "sideways", "1", *who, code=COULD_NOT)
    assert cli.json("wallet", "show", player, "--brand", "brand-1")[0]["cash"] == "0.00"
