"""One gateway per test module, in this process, on a real database of its own."""

import uuid
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from ledger.admin.secrets import new_secrets_key
from runtime.settings import Settings
from tests.support.caller import Caller, RunningGateway, on_board


@pytest.fixture(scope="module")
def settings(ledger_database_of_module: str) -> Settings:
    return Settings(database_url=SecretStr(ledger_database_of_module), secrets_key=SecretStr(new_secrets_key()))


@pytest.fixture(scope="module")
def gateway(settings: Settings) -> Iterator[RunningGateway]:
    with RunningGateway(settings) as running:
        yield running


@pytest.fixture(scope="module")
def caller(gateway: RunningGateway) -> Caller:
    return on_board(gateway)


@pytest.fixture(scope="module")
def other_caller(gateway: RunningGateway) -> Caller:
    """Another provider of another brand."""
    return on_board(gateway, "brand-8", "EU", "other_studio")


@pytest.fixture
def player(gateway: RunningGateway, caller: Caller) -> str:
    """A fresh player of the caller's brand with 100.00 EUR."""
    player_id = f"p_{uuid.uuid4().hex[:12]}"
    gateway.open_wallet(caller.tenant_id, player_id)
    return player_id


@pytest.fixture
def session(caller: Caller, player: str) -> str:
    return caller.start_session(player)


@pytest.fixture
def bet_id() -> str:
    return f"b_{uuid.uuid4().hex[:12]}"
