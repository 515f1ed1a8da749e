"""Brands and regions are registered once, and a slip of the pen opens nothing."""

import secrets

import psycopg
import pytest

from tests.cli.commands import COULD_NOT, FINDING, WALLET, Commands
from tests.support.commands import BY

ABROAD = "--brand", "brand-1", "--region", "US"
WHO = "--actor", BY.actor, "--reason", BY.reason


@pytest.fixture(scope="module")
def cli(ledger_database_of_module: str) -> Commands:
    return Commands.on(ledger_database_of_module)


def test_a_brand_is_registered_once(cli: Commands) -> None:
    """With an act that says who and why; a second time changes nothing."""
    name = f"b-{secrets.token_hex(3)}"
    told = [cli.json("brand", "add", name, "--region", "EU")["new"] for _ in range(2)]
    cli("brand", "add", name, "--region", "US")
    assert told == [True, False]
    mine = [row["region"] for row in cli.json("brand", "list") if row["brand_id"] == name]
    assert mine == ["EU", "US"]
    with psycopg.connect(cli.database_url) as connection:
        acts = connection.execute(
            "select action, region, actor from wagerledger.acts where subject = %s order by position", [name]
        ).fetchall()
    assert acts == [("brand.added", "EU", BY.actor), ("brand.added", "US", BY.actor)]
    assert "must be" in cli("brand", "add", "no spaces", "--region", "EU", code=FINDING)
    assert "must not begin with -" in cli("brand", "add", "--region", "EU", *WHO, "--", "-7", code=FINDING)


@pytest.mark.parametrize(
    ("brand", "region", "said"),
    [
        ("brand1", "EU", "brand brand1 is not registered, but brand-1 is: `wagerledger brand add brand1 --region EU"),
        ("brand-1", "eu", "brand brand-1 has no region eu, but EU"),
        ("zzz", "EU", "brand zzz is not registered: "),
    ],
)
@pytest.mark.parametrize("command", [("wallet", "open", "p_1", "EUR"), ("integration", "add", "--provider", "slots")])
def test_what_is_not_registered_opens_nothing(
    cli: Commands, command: tuple[str, ...], brand: str, region: str, said: str
) -> None:
    """The nearest name is told, and how to register another one."""
    who = WHO if command[0] == "integration" else ()
    told = cli(*command, "--brand", brand, "--region", region, *who, code=FINDING)
    assert said in told.replace("\n", " ")


def test_a_wallet_takes_nothing_from_another_region(cli: Commands) -> None:
    """Nor does a second one open there."""
    cli("brand", "add", "brand-1", "--region", "US")
    player = f"p_{secrets.token_hex(6)}"
    cli("wallet", "open", player, "EUR", *WALLET)
    for command in (("deposit", player, "EUR", "5"), ("withdraw", player, "EUR", "5"), ("open", player, "USD")):
        assert cli.json("wallet", *command, *ABROAD, code=FINDING)["refused"] == "REGION_MISMATCH"
    assert "REGION_MISMATCH" in cli("player", "lock", player, *ABROAD, *WHO, code=FINDING)
    assert cli.json("player", "show", player, "--brand", "brand-1")["region"] == "EU"


def test_nobody_is_locked_who_is_not_known(cli: Commands) -> None:
    """The nearest player is told, and no stream begins."""
    player = f"p_{secrets.token_hex(6)}"
    cli("wallet", "open", player, "EUR", *WALLET)
    slip = player[:-1] + "_"
    told = cli("player", "lock", slip, *WALLET, *WHO, code=FINDING)
    assert f"brand-1 has no player {slip}; the nearest is {player}" in told.replace("\n", " ")
    with psycopg.connect(cli.database_url) as connection:
        assert not connection.execute("select from wagerledger.streams where stream_id = %s", [slip]).fetchall()


@pytest.mark.parametrize(
    ("currency", "decimals"), [("ISK", 0), ("CLP", 0), ("KWD", 3), ("CLF", 4), ("SEK", 2), ("BTC", 8)]
)
def test_the_first_wallet_has_the_currency_s_own_decimals(cli: Commands, currency: str, decimals: int) -> None:
    """Those of ISO 4217, and of coins."""
    player = f"p_{secrets.token_hex(6)}"
    assert cli.json("wallet", "open", player, currency, *WALLET)["balances"]["exponent"] == decimals


@pytest.mark.parametrize("currency", ["ETH", "USDT", "PTS", "XAU"])
def test_decimals_that_nobody_knows_are_asked_for(cli: Commands, currency: str) -> None:
    """They are fixed for good, so none is guessed."""
    player = f"p_{secrets.token_hex(6)}"
    assert "--exponent" in cli("wallet", "open", player, currency, *WALLET, code=COULD_NOT)
    assert cli.json("wallet", "open", player, currency, *WALLET, "--exponent", "5")["balances"]["exponent"] == 5
