"""The `wagerledger` command in this process: cheap enough for many tests. Real servers all the same."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.main import app
from ledger.admin import brands, integrations
from ledger.admin.secrets import Vault, new_secrets_key
from runtime.settings import Settings
from tests.support.commands import BY

OK, FINDING, COULD_NOT = 0, 1, 2
WALLET = "--brand", "brand-1", "--region", "EU"
STUDIO = "brand-1/EU/studio"
ACTS = {
    *(("integration", act) for act in ("add", "rotate-key", "configure", "disable", "enable", "restore-secret")),
    ("brand", "add"),
    ("games", "import"),
    ("rates", "set"),
    ("rates", "import"),
    ("relay", "recover"),
}


def with_act(arguments: Sequence[str]) -> list[str]:
    """The command line of what changes a setting says who does it, and why."""
    changes = tuple(arguments[:2]) in ACTS and "--actor" not in arguments
    return [*arguments, *(("--actor", BY.actor, "--reason", BY.reason) if changes else ())]


def register_brand(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        brands.add(connection, "brand-1", "EU", by=BY)


@dataclass(frozen=True)
class Commands:
    database_url: str
    secrets_key: str

    @classmethod
    def on(cls, database_url: str) -> "Commands":
        register_brand(database_url)
        return cls(database_url, new_secrets_key())

    @property
    def settings(self) -> Settings:
        return Settings(database_url=SecretStr(self.database_url), secrets_key=SecretStr(self.secrets_key))

    def __call__(self, *arguments: str, code: int = OK) -> str:
        """What it says, on whichever output."""
        environment = {
            "WAGERLEDGER_DATABASE_URL": self.database_url,
            "WAGERLEDGER_SECRETS_KEY": self.secrets_key,
            "COLUMNS": "200",
        }
        done = CliRunner().invoke(app, with_act(arguments), env=environment)
        assert done.exit_code == code, f"{' '.join(arguments)}: {done.exit_code}\n{done.output}\n{done.exception!r}"
        return done.output

    def json(self, *arguments: str, code: int = OK) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def add_integration(self, name: str, **options: str) -> str:
        with psycopg.connect(self.database_url) as connection:
            issued = integrations.add(
                connection, Vault(self.settings), by=BY, tenant_id="brand-1", region="EU", provider_id=name,
                options=options,
            )  # fmt: skip
        return issued.integration_id
