"""`wagerledger integration`: who may call the gateway, and with which keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from cli.output import FINDING, Json, fail, show, table
from cli.settings import settings_or_fail
from ledger import integrations
from ledger.core.commands import AT_AUTHORIZATION, AT_SETTLEMENT, REFUSE, REVERSE, Policy
from ledger.secrets import SecretsKeyError, Vault

app = typer.Typer(
    help="Integrations: one provider for one brand and region, each with keys of its own.", no_args_is_help=True
)

PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--public-key", exists=True, help="PEM file of the provider's Ed25519 key; without one we make an HMAC secret."
    ),
]

IntegrationId = Annotated[str, typer.Argument(help="brand/region/provider, as `integration list` prints it.")]


@app.command()
def add(
    brand: Annotated[str, typer.Option(help="Tenant.")],
    region: Annotated[str, typer.Option(help="Region.")],
    provider: Annotated[str, typer.Option(help="Game provider.")],
    public_key: PublicKey = None,
    capture: Annotated[
        str, typer.Option(help=f"When the house has a stake: at the {AT_SETTLEMENT} or at the {AT_AUTHORIZATION}.")
    ] = AT_SETTLEMENT,
    rollback_of_settled: Annotated[
        str, typer.Option(help=f"A rollback of a settled bet: {REFUSE} or {REVERSE}.")
    ] = REFUSE,
    *,
    as_json: Json = False,
) -> None:
    """Open an integration and print its key id and, this once, its secret."""
    if capture not in (AT_SETTLEMENT, AT_AUTHORIZATION) or rollback_of_settled not in (REFUSE, REVERSE):
        fail(f"--capture is {AT_SETTLEMENT} or {AT_AUTHORIZATION}; --rollback-of-settled is {REFUSE} or {REVERSE}")
    policy = Policy(capture=capture, rollback_of_settled=rollback_of_settled)
    with _connection() as (connection, vault):
        issued = integrations.add(
            connection,
            vault,
            tenant_id=brand,
            region=region,
            provider_id=provider,
            policy=policy,
            public_key=_raw_key(public_key),
        )
    _show_issued(issued, as_json=as_json)


@app.command("rotate-key")
def rotate_key(
    integration_id: IntegrationId,
    overlap_s: Annotated[float, typer.Option(min=0, help="How long the older keys stay valid.")] = 86_400,
    public_key: PublicKey = None,
    *,
    as_json: Json = False,
) -> None:
    """Add a key and let the older ones end."""
    with _connection() as (connection, vault):
        issued = integrations.rotate(
            connection, vault, integration_id, overlap_s=overlap_s, public_key=_raw_key(public_key)
        )
    _show_issued(issued, as_json=as_json)


@app.command()
def disable(integration_id: IntegrationId, *, as_json: Json = False) -> None:
    """Refuse the integration's callbacks from now on; gateways see it within seconds."""
    _switch(integration_id, enabled=False, as_json=as_json)


@app.command()
def enable(integration_id: IntegrationId, *, as_json: Json = False) -> None:
    """Take the integration's callbacks again."""
    _switch(integration_id, enabled=True, as_json=as_json)


@app.command("list")
def list_integrations(*, as_json: Json = False) -> None:
    """Print all integrations with their keys; never a secret."""
    settings = settings_or_fail()
    try:
        with psycopg.connect(settings.database_url.get_secret_value(), connect_timeout=10) as connection:
            found = integrations.load(connection)
    except psycopg.Error as error:
        fail(f"WAGERLEDGER_DATABASE_URL: {error}")
    content = [
        {
            "integration_id": one.integration_id,
            "brand_id": one.tenant_id,
            "region": one.region,
            "provider_id": one.provider_id,
            "dialect": one.dialect,
            "enabled": one.enabled,
            "kids": [key.kid for key in one.keys],
        }
        for one in found
    ]
    rows = (
        (*list(row.values())[:-1], ", ".join(key.kid for key in one.keys))
        for row, one in zip(content, found, strict=True)
    )
    show(
        content,
        as_json=as_json,
        text=table(("integration", "brand", "region", "provider", "dialect", "enabled", "keys"), rows),
    )


def _switch(integration_id: str, *, enabled: bool, as_json: bool) -> None:
    with _connection() as (connection, _):
        integrations.set_enabled(connection, integration_id, enabled=enabled)
    show(
        {"integration_id": integration_id, "enabled": enabled},
        as_json=as_json,
        text=f"{integration_id} is {'on' if enabled else 'off'}",
    )


def _show_issued(issued: integrations.Issued, *, as_json: bool) -> None:
    content = {"integration_id": issued.integration_id, "kid": issued.kid, "secret": issued.secret}
    rows = [(name, value) for name, value in content.items() if value is not None]
    show(
        content,
        as_json=as_json,
        text=table(("name", "value"), rows, title="Keep the secret now: it is not shown again."),
    )


def _raw_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError as error:
        fail(f"{path} is no PEM public key: {error}")
    if not isinstance(key, Ed25519PublicKey):
        fail(f"{path} holds a {type(key).__name__}, not an Ed25519 public key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


@contextmanager
def _connection() -> Iterator[tuple[psycopg.Connection, Vault]]:
    settings = settings_or_fail()
    try:
        vault = Vault(settings)
        with psycopg.connect(settings.database_url.get_secret_value(), connect_timeout=10) as connection:
            yield connection, vault
    except SecretsKeyError as error:
        fail(str(error))
    except integrations.IntegrationError as error:
        fail(str(error), FINDING)
    except psycopg.Error as error:
        fail(f"WAGERLEDGER_DATABASE_URL: {error}")
