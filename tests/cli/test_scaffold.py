"""`wagerledger integration scaffold`: what it writes is a dialect that works, as it stands."""

import asyncio
import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import cast
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from cli import scaffold
from cli.scaffold import ScaffoldError
from gateway.dialect.dialect import Dialect
from gateway.dialect.errors import Rejected
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.host import dialects
from ledger.admin.secrets import new_secrets_key
from ledger.core.commands import Command
from ledger.outcome import Outcome
from runtime.settings import Settings
from sandbox.drivers.driver import Answer, Driver, Seat
from tests.gateway.providers.worked_example import signed_call
from tests.support.caller import RunningGateway

NAME = "lucky_star"
ROOT = Path(__file__).parents[2]
BEFORE = (
    "pyproject.toml", "ledger/__init__.py", "ledger/outcome.py", "ledger/core/__init__.py", "ledger/core/bets.py",
    "ledger/core/policy.py", "ledger/core/rollbacks.py", "ledger/core/wins.py",
    "gateway/__init__.py", "gateway/providers/__init__.py", "sandbox/__init__.py", "sandbox/drivers/__init__.py",
    "sandbox/drivers/driver.py", "tests/gateway/providers/worked_example.py",
)  # fmt: skip
"""What a checkout has and the new files import."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in BEFORE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text((ROOT / name).read_text())
    scaffold.write(NAME, root)
    return root


def loaded(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"scaffolded_{path.parent.name}", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dialect(checkout: Path) -> Dialect:
    return loaded(checkout / "gateway" / "providers" / NAME / "__init__.py").DIALECT


@pytest.fixture
def driver(checkout: Path) -> Driver:
    return loaded(checkout / "sandbox" / "drivers" / f"{NAME}.py").DRIVER("studio")


def test_it_touches_one_folder_with_its_driver_tests_and_page(checkout: Path) -> None:
    """Nothing that exists is changed."""
    found = {str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()}
    assert found == {path.format(name=NAME) for path in scaffold.FILES.values()} | set(BEFORE)
    assert all((checkout / name).read_text() == (ROOT / name).read_text() for name in BEFORE)


def test_its_code_is_tidy(checkout: Path) -> None:
    """As ruff has it, with the project's settings."""
    for arguments in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(checkout)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_it_is_a_dialect_of_the_host(dialect: Dialect) -> None:
    """With the name of its folder."""
    dialects.check(dialect)
    assert dialect.name == NAME


def test_a_transaction_is_only_of_the_player_that_it_names(dialect: Dialect, driver: Driver) -> None:
    """So that the ledger refuses another one's bet."""
    seat, heard = Seat("p_1", "session"), []

    class Listening:
        async def submit(self, *commands: Command) -> tuple[Outcome, ...]:
            heard.extend((command.kind, command.player_id) for command in commands)
            raise Rejected("UNAVAILABLE")

    calls = (driver.bet(seat, "t", "1.00", "r"), driver.win(seat, "u", "t", "1.00", "r"), driver.cancel(seat, "v", "t", "1.00", "r"))  # fmt: skip
    for request in calls:
        (endpoint,) = (endpoint for endpoint in dialect.endpoints if endpoint.path == request.path)
        with pytest.raises(Rejected, match="UNAVAILABLE"):
            asyncio.run(
                endpoint.handle(signed_call(dialect, "secret", {}, request.body), cast(TenantLedger, Listening()))
            )
    assert heard == [("AuthorizeBet", "p_1"), ("SettleBet", "p_1"), ("RollbackBet", "p_1")]


def test_its_wins_and_rollbacks_are_asked_for_again(dialect: Dialect, driver: Driver) -> None:
    """Where they cannot be read: every call of its driver that gives is one of an endpoint that credits."""
    seat = Seat("p_1", "session")
    gives = driver.win(seat, "u", "t", "1.00", "r"), driver.cancel(seat, "v", "t", "1.00", "r")
    assert {one.path for one in dialect.endpoints if one.credits} == {request.path for request in gives}


def test_its_recorded_exchanges_come_out_at_a_real_gateway(
    ledger_database_of_module: str, checkout: Path, dialect: Dialect, driver: Driver
) -> None:
    """A bet, its repeat, a win, a late rollback."""
    settings = Settings(database_url=SecretStr(ledger_database_of_module), secrets_key=SecretStr(new_secrets_key()))
    with RunningGateway(settings, {NAME: dialect, "canonical": dialects.CANONICAL_API}) as gateway:
        issued = gateway.add_integration("brand-7", "EU", NAME, dialect=NAME, secret=driver.setup().secret)
        gateway.open_wallet("brand-7", "p_1")
        driver.mounted(f"/integrations/{issued.integration_id}", issued.kid)
        seat = Seat("p_1", "no-session")
        readings = []
        for request in (driver.balance(seat), driver.bet(seat, "t-1", "2.00", "r-1"), driver.cancel(seat, "t-2", "t-1", "2.00", "r-1")):  # fmt: skip
            signed = driver.signed(request)
            reply = gateway.run(
                gateway.call(signed.method, signed.target(urlsplit(driver.base_path).path), signed.headers.items(), [signed.body])
            )  # fmt: skip
            readings.append(driver.read(Answer(reply.status, reply.headers, reply.body), seat))
    assert [str(one.balance) for one in readings if one.ok] == ["100.00", "100.00"]
    assert readings[1].says == driver.traits.expired_bet
    exchanges = json.loads((checkout / "tests/gateway/providers" / NAME / "exchanges.json").read_text())
    assert len(exchanges["exchanges"]) == 4


def test_it_says_why_it_writes_nothing(checkout: Path, tmp_path: Path) -> None:
    """A name that is no folder, a folder that is no checkout, a dialect that exists."""
    for name, root, said in (("Lucky Star", checkout, "a-z"), ("moon", tmp_path, "checkout"), (NAME, checkout, "exists already")):  # fmt: skip
        with pytest.raises(ScaffoldError, match=said):
            scaffold.write(name, root)
    assert not list(tmp_path.iterdir())
