"""Open holds and the job that closes abandoned ones, as a person and a scheduler use them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ledger.journal.writer import Journal
from tests.cli.commands import COULD_NOT, Commands
from tests.support.commands import Asks
from tests.support.journals import accepted

ask = Asks("brand-1", "brand-1/EU/studio")


def later() -> str:
    """When today's bets will be abandoned."""
    return (datetime.now(UTC) + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def cli(ledger_database_of_module: str) -> Commands:
    commands = Commands.on(ledger_database_of_module)
    commands.add_integration("studio", **{"policy.abandoned_after_s": "7200"})
    commands.add_integration("patient")
    commands.add_integration("hasty", **{"policy.abandoned_after_s": "1", "policy.abandoned_action": "lose"})
    return commands


def bet(cli: Commands, player: str, bet_id: str, integration: str = "studio") -> None:
    """2.00 of 10.00 EUR."""
    asks = replace(ask, integration_id=f"brand-1/EU/{integration}")

    async def play() -> None:
        async with Journal(cli.settings) as journal:
            await accepted(journal, asks.open_wallet(player))
            await accepted(journal, asks.deposit("10", player))
            session = (await accepted(journal, asks.start_session(player))).result["session_id"]
            await accepted(journal, asks.bet("2", bet_id, session_id=session))

    asyncio.run(play())


def open_ids(cli: Commands, *filters: str) -> list[str]:
    return [hold["bet_id"] for hold in cli.json("bets", "open", *filters)]


def test_open_holds_are_listed_and_closed(cli: Commands) -> None:
    """Listed by age; tried first, then closed for real, and only those of the integration that says so."""
    bet(cli, "ann", "b-1")
    bet(cli, "bob", "b-2", "patient")
    assert open_ids(cli) == ["b-1", "b-2"]
    assert open_ids(cli, "--integration", "brand-1/EU/patient") == ["b-2"]
    assert open_ids(cli, "--older-than", "3600") == []
    assert "b-1" in cli("bets", "open")
    assert cli.json("bets", "close-abandoned") == []
    (hold,) = cli.json("bets", "close-abandoned", "--now", later(), "--dry-run")
    assert (hold["bet_id"], hold["held"], hold["status"], hold["closed"]) == ("b-1", "2.00", "to refund", False)
    assert open_ids(cli) == ["b-1", "b-2"]
    (hold,) = cli.json("bets", "close-abandoned", "--now", later())
    assert (hold["bet_id"], hold["status"], hold["closed"]) == ("b-1", "refunded", True)
    assert hold["age_s"] > 7200
    assert open_ids(cli) == ["b-2"]
    assert cli.json("wallet", "show", "ann", "--brand", "brand-1")[0]["cash"] == "10.00"
    assert cli.json("bets", "close-abandoned", "--now", later()) == []


def test_the_loop_takes_no_moment(cli: Commands) -> None:
    assert "--every" in cli("bets", "close-abandoned", "--every", "5", "--now", later(), code=COULD_NOT)


def test_the_loop_closes_and_stops_in_order(cli: Commands) -> None:
    """It logs what it does, one line of JSON each, and a SIGTERM ends it with 0."""
    bet(cli, "eve", "b-3", "hasty")
    environment = os.environ | {
        "WAGERLEDGER_DATABASE_URL": cli.database_url, "WAGERLEDGER_SECRETS_KEY": cli.secrets_key,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "bets", "close-abandoned", "--every", "1"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert (line["bet_id"], line["status"], line["closed"]) == ("b-3", "lost", True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate(timeout=30)
