"""The regions that a deployment may hold."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from evidence.archive.restore import restore
from evidence.archive.segment import ArchiveError
from ledger.admin import integrations
from ledger.admin.cashier import Cashier
from ledger.admin.integrations import IntegrationError
from ledger.admin.secrets import Vault, new_secrets_key
from runtime.residency import ForeignRegionError, Residency
from runtime.settings import Settings
from tests.support.commands import BY
from tests.support.seals import archive, opened, seal
from tests.support.servers import Servers, fresh_database


@pytest.fixture
def settings(ledger_database: str) -> Settings:
    return Settings(database_url=ledger_database, secrets_key=new_secrets_key(), regions="eu, br")


def test_no_region_named_is_every_region() -> None:
    """A deployment holds what it lists, or everything; a list that names nothing is refused instead of read as everything."""
    assert Residency.parse("").holds("anywhere")
    assert Residency.parse(" eu,br ") == Residency(frozenset({"eu", "br"}))
    assert not Residency.parse("eu").holds("EU")
    for text in (",", "eu/br"):
        with pytest.raises(ValidationError):
            Settings(regions=text)


def test_an_integration_of_another_region_is_neither_added_nor_enabled(settings: Settings) -> None:
    """What may not be held is refused before anything is written; to switch it off is always possible."""
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        vault = Vault(settings)
        added = {"by": BY, "tenant_id": "brand-1", "provider_id": "acme"}
        with pytest.raises(IntegrationError, match=r"'us'.*WAGERLEDGER_REGIONS: br, eu"):
            integrations.add(connection, vault, **added, region="us", residency=settings.residency)
        assert integrations.load(connection) == []
        issued = integrations.add(connection, vault, **added, region="us")
        with pytest.raises(IntegrationError, match="'us'"):
            integrations.set_enabled(
                connection, issued.integration_id, enabled=True, by=BY, residency=settings.residency
            )
        integrations.set_enabled(connection, issued.integration_id, enabled=False, by=BY, residency=settings.residency)


def test_a_command_of_another_region_is_not_written(settings: Settings) -> None:
    """The journal, through which every command goes, takes none whose data may not be held here."""

    async def open_wallet(region: str) -> None:
        async with Cashier(settings, tenant_id="brand-1", region=region, actor="test") as cashier:
            await cashier.open_wallet("anna", "EUR", 2)

    asyncio.run(open_wallet("br"))
    with pytest.raises(ForeignRegionError, match="'us'"):
        asyncio.run(open_wallet("us"))
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        assert connection.execute("select count(*) from wagerledger.event_log").fetchone() == (1,)


def test_an_archive_of_another_region_is_not_restored(
    settings: Settings, servers: Servers, ledger_template: str, tmp_path: Path
) -> None:
    """A restore stops at the first entry that may not be held here, and commits nothing of its transaction."""

    async def open_wallet() -> None:
        async with Cashier(settings, tenant_id="brand-1", region="br", actor="test") as cashier:
            await cashier.open_wallet("anna", "EUR", 2)

    asyncio.run(open_wallet())
    url = settings.database_url.get_secret_value()
    seal(url)
    archive(url, tmp_path)
    with fresh_database(servers.database_url, template=ledger_template) as empty:
        with pytest.raises(ArchiveError, match="region 'br'"):
            restore(empty, opened(tmp_path), BY, residency=Residency.parse("eu"))
        with psycopg.connect(empty) as connection:
            assert connection.execute("select count(*) from wagerledger.event_log").fetchone() == (0,)
