"""The whole of Wagerledger in one folder: servers, schemas, topics, an integration with players, gateway, relay,
projector and sealer.
"""

import asyncio
import json
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from confluent_kafka import KafkaException
from psycopg import sql
from pydantic import SecretStr

from evidence.keys import new_key, signing_key, to_text
from ledger.admin import brands, integrations
from ledger.admin.actions import Actor
from ledger.admin.cashier import Cashier
from ledger.admin.secrets import Vault, new_secrets_key
from ledger.core.money import parse_amount
from ledger.journal.writer import Retryable
from ledger.store.migrate import upgrade
from runtime.settings import PREFIX, Settings
from sandbox.servers.process import Process, StartError, StateReport, silent
from sandbox.servers.service import GatewayService, ProjectorService, Service
from sandbox.servers.stack import Stack
from schemas import registry, topics
from schemas.topics import Topics

BRAND, REGION, PROVIDER = "brand-7", "EU", "studio"

_RESTART_PAUSE_S = 1.0
TROUBLE = (psycopg.Error, KafkaException, Retryable)
"""What servers that just started may meet us with."""
OPENED = Actor("sandbox", "the sandbox's own provider")

MADE_BY: Mapping[str, Callable[[], str]] = {
    "secrets-key": new_secrets_key,
    "anchor-key": lambda: to_text(new_key()),
}
"""How secrets are made that are more than random text."""


@dataclass(frozen=True)
class Player:
    player_id: str
    currency: str
    deposit: str


PLAYERS = (
    Player("p_demo_1", "EUR", "1000.00"),
    Player("p_demo_2", "USD", "1000.00"),
    Player("p_low_balance", "EUR", "1.00"),
)
"""The sandbox players, as far as their rules exist."""


class System:
    """Use it in a `with` block. `root` keeps all data; a second run on it goes on where the first one ended, whatever
    ended it.
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int | None = None,
        report: StateReport = silent,
        players: tuple[Player, ...] = PLAYERS,
        sealed: bool = True,
    ) -> None:
        self.stack = Stack(root, report=report)
        self.root = self.stack.root
        self.report = report
        self.players = players
        self._described_ports: list[int] = []
        self.gateway = GatewayService(self.root, self._gateway_environment, port=port)
        self.relay = Service("relay", self.root, ["relay"], self._environment)
        self.projector = ProjectorService("projector", self.root, ["project"], self._environment)
        self.sealer = Service("sealer", self.root, ["seal"], self._sealer_environment) if sealed else None

    def start(self) -> None:
        """Start and prepare everything, then write `sandbox.env` and `sandbox.json`. Raises StartError, with nothing
        left running.
        """
        services = [self.gateway, self.relay, self.projector, *([self.sealer] if self.sealer else [])]
        self.stack.start(later=services)
        try:
            try:
                self._prepare()
            except (*TROUBLE, *registry.ERRORS, topics.TopicMismatchError) as error:
                raise StartError(
                    f"the servers run, but could not be prepared: {error}; see {self.root / 'log'}"
                ) from error
            self.stack.add(*services)
            self._describe()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for name in ("sandbox.json", "sandbox.env"):
            (self.root / name).unlink(missing_ok=True)
        self.stack.stop()

    def supervise(self) -> None:
        """Start again what has died, and what uses a server that had to come back on another port. Call it now and
        then.
        """
        for process in list(self.stack.processes):
            if not process.running:
                self._start_again(process, "died, starting again")
        if self._ports() == self._described_ports:
            return
        for process in list(self.stack.processes):
            if process.outdated:
                self._start_again(process, "starting again, because a server has moved")
        self._describe()

    def _start_again(self, process: Process, reason: str) -> None:
        self.report(process.name, reason)
        process.stop()
        time.sleep(_RESTART_PAUSE_S)
        try:
            process.start()
        except StartError as error:
            self.report(process.name, f"failed: {str(error).splitlines()[0]}")
        else:
            self.report(process.name, "ready")

    def _ports(self) -> list[int]:
        return [port for process in self.stack.processes for port in process.ports]

    def _describe(self) -> None:
        _write_secret(self.root / "sandbox.env", self._shell_environment())
        _write_secret(self.root / "sandbox.json", json.dumps(self.description(), indent=2) + "\n")
        self._described_ports = self._ports()

    def settings(self) -> Settings:
        """The settings of our processes, for use in this one."""
        names = {name.removeprefix(PREFIX).lower(): value for name, value in self._gateway_environment().items()}
        return Settings(**names)  # type: ignore[arg-type]  # pydantic reads the text

    def description(self) -> Mapping[str, Any]:
        """What `sandbox.json` says: all that a client, a BI tool or a test needs to join in."""
        return {
            "gateway_url": self.gateway.url,
            "page_url": self.projector.page_url,
            "integration": self._credentials(),
            "database_url": self._login_url("app"),
            "admin_database_url": self.stack.ledger_database.url,
            "bi_database_url": self.stack.bi_database.url,
            "kafka_bootstrap_servers": self.stack.kafka.bootstrap_servers,
            "schema_registry_url": self.stack.registry.url,
            "secrets_key": self._secret("secrets-key"),
            "players": [
                {"player_id": p.player_id, "currency": p.currency, "wallet_id": f"{BRAND}/{p.player_id}/{p.currency}"}
                for p in self.players
            ],
        }

    def _prepare(self) -> None:
        """Every step is safe to repeat, and is repeated while a server that just started is not all there yet."""
        self.report("schemas", "preparing")
        settings = self.settings()
        names = Topics(settings.topic_prefix)
        patiently = settings.patience.call
        patiently(lambda: upgrade(self.stack.ledger_database.url), "the ledger's database")
        patiently(self._make_logins, "the ledger's database")
        topics.apply(
            settings.kafka_bootstrap_servers,
            names,
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
            patience=settings.patience,
        )
        with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
            registry.register(client, names, settings.patience)
        patiently(self._register_brand, "the brand")
        patiently(self._open_integration, "the integration")
        patiently(lambda: asyncio.run(_open_players(settings, self.players)), "the players")
        self.report("schemas", "ready")

    def _make_logins(self) -> None:
        with psycopg.connect(self.stack.ledger_database.url, autocommit=True) as connection:
            for login in ("app", "reader", "sealer"):
                role, password = (
                    sql.Identifier(f"wagerledger_{login}_login"),
                    sql.Literal(self._secret(f"{login}-password")),
                )
                known = connection.execute(
                    "select 1 from pg_roles where rolname = %s", [f"wagerledger_{login}_login"]
                ).fetchone()
                verb = sql.SQL("alter" if known else "create")
                connection.execute(sql.SQL("{} role {} login password {}").format(verb, role, password))
                connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(f"wagerledger_{login}"), role))

    def _login_url(self, login: str) -> str:
        database, password = self.stack.ledger_database, self._secret(f"{login}-password")
        return f"postgresql://wagerledger_{login}_login:{password}@127.0.0.1:{database.port}/{database.database}"

    def _environment(self) -> dict[str, str]:
        """What the relay and the projector get: no way to write to the ledger, no key to its secrets."""
        return {
            f"{PREFIX}DATABASE_URL": self._login_url("reader"),
            f"{PREFIX}BI_DATABASE_URL": self.stack.bi_database.url,
            f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS": self.stack.kafka.bootstrap_servers,
            f"{PREFIX}SCHEMA_REGISTRY_URL": self.stack.registry.url,
            f"{PREFIX}ANCHOR_PUBLIC_KEYS": self._anchor_public_key(),
        }

    def _anchor_public_key(self) -> str:
        private = Settings(anchor_key=SecretStr(self._secret("anchor-key")))
        return to_text(signing_key(private).public_key())

    def _sealer_environment(self) -> dict[str, str]:
        return {
            **self._environment(),
            f"{PREFIX}DATABASE_URL": self._login_url("sealer"),
            f"{PREFIX}ANCHOR_KEY": self._secret("anchor-key"),
            f"{PREFIX}ANCHOR_INTERVAL_S": "2",
            f"{PREFIX}ANCHOR_PATH": str(self.root / "heads.jsonl"),
        }

    def _gateway_environment(self) -> dict[str, str]:
        return {
            **self._environment(),
            f"{PREFIX}DATABASE_URL": self._login_url("app"),
            f"{PREFIX}SECRETS_KEY": self._secret("secrets-key"),
        }

    def _shell_environment(self) -> str:
        """For a shell: with it, `wagerledger` commands work on this system."""
        variables = {
            **self._gateway_environment(),
            f"{PREFIX}ANCHOR_KEY": self._secret("anchor-key"),
            f"{PREFIX}GATEWAY_PUBLIC_URL": self.gateway.url,
        }
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))

    def _secret(self, name: str) -> str:
        """A secret of this folder, made at its first use."""
        path = self.root / "secrets" / name
        if not path.exists():
            make = MADE_BY.get(name, lambda: secrets.token_urlsafe(24))
            _write_secret(path, make())
        return path.read_text("utf-8")

    def _credentials(self) -> Mapping[str, str]:
        return dict(json.loads((self.root / "secrets" / "integration.json").read_text("utf-8")))

    def _register_brand(self) -> None:
        with psycopg.connect(self._login_url("app")) as connection:
            brands.add(connection, BRAND, REGION, by=OPENED)

    def _open_integration(self) -> None:
        """The integration's secret is shown once, so it is written down."""
        path = self.root / "secrets" / "integration.json"
        if path.exists():
            return
        vault = Vault(self.settings())
        with psycopg.connect(self._login_url("app")) as connection:
            try:
                issued = integrations.add(
                    connection, vault, by=OPENED, tenant_id=BRAND, region=REGION, provider_id=PROVIDER,
                    options={"may_launch": "true"},
                )  # fmt: skip
            except integrations.IntegrationError:
                # A run died between opening it and writing its secret down: that secret is lost, so there is a new one.
                integration_id = f"{BRAND}/{REGION}/{PROVIDER}"
                issued = integrations.rotate(connection, vault, integration_id, by=OPENED, overlap_s=0)
        content = {
            "provider_id": PROVIDER,
            "brand_id": BRAND,
            "region": REGION,
            "kid": issued.kid,
            "secret": issued.secret,
        }
        _write_secret(path, json.dumps(content))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


async def _open_players(settings: Settings, players: tuple[Player, ...]) -> None:
    """Every step has its own key, so that a second run on the same folder repeats them without effect."""
    async with Cashier(settings, tenant_id=BRAND, region=REGION, actor="sandbox") as cashier:
        for player in players:
            key, amount = f"sandbox:{player.player_id}", parse_amount(player.deposit)
            assert amount, f"{player.deposit} is no amount"
            opened = await cashier.open_wallet(player.player_id, player.currency, 2, key=f"{key}:open")
            paid_in = await cashier.deposit(player.player_id, player.currency, amount, "sandbox", key=f"{key}:deposit")
            assert opened.refusal_code is None, f"{player.player_id}: {opened}"
            assert paid_in.refusal_code is None, f"{player.player_id}: {paid_in}"


def _write_secret(path: Path, content: str) -> None:
    """For its owner only, and whole or not at all."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(content, "utf-8")
    unfinished.rename(path)
