"""The ledger that is measured: a fresh PostgreSQL, a gateway on it, an integration, and players with money and a
session each.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from pydantic import SecretStr
from uuid_utils import uuid7

from bench.cpu import process_cpu_s
from ledger.admin import integrations
from ledger.admin.actions import Actor
from ledger.admin.secrets import Vault, new_secrets_key
from ledger.core.commands import Origin
from ledger.core.money import Amount
from ledger.core.players import StartSession
from ledger.core.wallets import Deposit, OpenWallet
from ledger.journal.writer import Journal
from ledger.outcome import Callback
from ledger.store import migrate
from runtime.settings import PREFIX, Settings
from sandbox.drivers.driver import Driver, Seat
from sandbox.servers.ports import keep_ports
from sandbox.servers.postgres import Postgres
from sandbox.servers.service import GatewayService

TENANT, REGION, PROVIDER, CURRENCY = "brand", "EU", "studio", "EUR"
EXPONENT, GAME = 2, "game_1"
OPENED = Actor("bench", "the benchmark's own provider")
DEPOSIT = Amount(10**9, 0)
NEVER_US = 9 * 10**15
"""When the sessions expire: microseconds since the epoch."""
_AT_ONCE = 2000

EVENT_SIZE = "select avg(length(body))::int from wagerledger.event_log where event_type = 'bet.authorized'"
COMMAND_SIZES = """
select avg(length(answer))::int, avg(length(outcome::text))::int from wagerledger.commands where kind = 'AuthorizeBet'
"""


class ServedLedger:
    """Use it in a `with` block. Settings of the journal and the log in our environment reach the gateway, so that they
    can be compared.
    """

    def __init__(self, root: Path, wallets: int, *, processes: int = 1, profile: Path | None = None) -> None:
        self._wallets = wallets
        self._secrets_key = new_secrets_key()
        self.postgres = Postgres("postgres", root, database="wagerledger")
        (self._kept_port,) = keep_ports(1)
        self.port = self._kept_port.number
        self.gateways: list[GatewayService] = [
            GatewayService(root, self._environment, port=self.port, name=f"gateway-{n}") for n in range(processes)
        ]
        if profile is not None:
            self.gateways = [_ProfiledGateway(root, self._environment, profile, self.port)]

    def __enter__(self) -> Self:
        self.postgres.start()
        try:
            self._prepare()
            for gateway in self.gateways:
                gateway.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for gateway in self.gateways:
            gateway.stop()
        self.postgres.stop()

    def _environment(self) -> dict[str, str]:
        given = {
            name: value for name, value in os.environ.items() if name.startswith((f"{PREFIX}JOURNAL_", f"{PREFIX}LOG_"))
        }
        return {
            **given,
            f"{PREFIX}DATABASE_URL": self.postgres.url,
            f"{PREFIX}SECRETS_KEY": self._secrets_key,
            f"{PREFIX}GATEWAY_REUSE_PORT": "true",
        }

    def _prepare(self) -> None:
        migrate.upgrade(self.postgres.url)
        settings = self._settings()
        with psycopg.connect(self.postgres.url) as connection:
            self.issued = integrations.add(
                connection, Vault(settings), by=OPENED, tenant_id=TENANT, region=REGION, provider_id=PROVIDER
            )
        players = [f"p_{n}" for n in range(self._wallets)]
        self.sessions = asyncio.run(_open_players(settings, TENANT, self.issued.integration_id, players))

    def mount(self, driver: Driver, wallets: int) -> list[Seat]:
        """An integration in the driver's dialect, for a tenant of its own with as many players."""
        setup = driver.setup()
        settings = self._settings()
        with psycopg.connect(self.postgres.url) as connection:
            issued = integrations.add(
                connection, Vault(settings), by=OPENED, tenant_id=driver.name, region=REGION, provider_id=PROVIDER,
                dialect=driver.name, options=setup.options, secret=setup.secret, public_keys=setup.public_keys,
            )  # fmt: skip
        driver.mounted(f"/integrations/{issued.integration_id}", issued.kid)
        players = [driver.player_id(n) for n in range(1, wallets + 1)]
        sessions = asyncio.run(_open_players(settings, driver.name, issued.integration_id, players))
        return [Seat(*one, CURRENCY, EXPONENT, GAME) for one in zip(players, sessions, strict=True)]

    def _settings(self) -> Settings:
        return Settings(
            database_url=SecretStr(self.postgres.url), secrets_key=SecretStr(self._secrets_key), journal_batch=500
        )

    def gateway_cpu_s(self) -> float:
        return sum(process_cpu_s(gateway.pid) for gateway in self.gateways)

    def count_bets(self) -> int:
        with psycopg.connect(self.postgres.url) as connection:
            return int(connection.execute("select count(*) from wagerledger.bets").fetchall()[0][0])

    def row_sizes(self) -> dict[str, int]:
        """What is written per bet where the size is not the column's: average bytes."""
        with psycopg.connect(self.postgres.url) as connection:
            ((body,),) = connection.execute(EVENT_SIZE).fetchall()
            ((answer, outcome),) = connection.execute(COMMAND_SIZES).fetchall()
        return {"body_bytes": body, "answer_bytes": answer, "outcome_bytes": outcome}

    def database_settings(self, names: Sequence[str]) -> dict[str, str]:
        with psycopg.connect(self.postgres.url) as connection:
            return {
                name: connection.execute(sql.SQL("show {}").format(sql.Identifier(name))).fetchall()[0][0]
                for name in names
            }


class _ProfiledGateway(GatewayService):
    """Writes a profile of itself when it stops."""

    def __init__(self, root: Path, settings: Callable[[], Mapping[str, str]], profile: Path, port: int) -> None:
        super().__init__(root, settings, port=port)
        self._profile = profile

    def command(self) -> Sequence[str | Path]:
        python, *arguments = super().command()
        return [python, "-m", "cProfile", "-o", self._profile, *arguments]


async def _open_players(settings: Settings, tenant_id: str, integration_id: str, players: Sequence[str]) -> list[str]:
    """Give each player a wallet with money and a session; tells the sessions' ids."""
    sessions: list[str] = []
    async with Journal(settings) as journal:
        for first in range(0, len(players), _AT_ONCE):
            callbacks = [_opened(tenant_id, integration_id, one) for one in players[first : first + _AT_ONCE]]
            for outcomes in await asyncio.gather(*map(journal.submit, callbacks)):
                assert not outcomes[-1].refusal_code, outcomes
                sessions.append(outcomes[-1].result["session_id"])
    return sessions


def _opened(tenant_id: str, integration_id: str, player: str) -> Callback:
    operator = Origin(tenant_id, REGION, None, None, "bench", f"open:{player}", "bench")
    paid_in = replace(operator, idempotency_key=f"pay:{player}")
    provider = Origin(tenant_id, REGION, integration_id, PROVIDER, "bench", f"start:{player}", "bench")
    return Callback(
        (
            OpenWallet(operator, str(uuid7()), 0, player, CURRENCY, EXPONENT),
            Deposit(paid_in, str(uuid7()), 0, player, CURRENCY, amount=DEPOSIT, reference="bench", actor="bench"),
            StartSession(
                provider, str(uuid7()), 0, player, CURRENCY,
                game_id=GAME, locale=None, mode="real", expires_at=NEVER_US,
            ),
        )
    )  # fmt: skip
