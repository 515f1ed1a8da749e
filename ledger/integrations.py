"""Administration of integrations: one provider for one tenant and region, with its policy and keys. A gateway sees a
change within seconds.
"""

import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime

import psycopg
from psycopg.types.json import Json

from ledger.core.commands import Policy
from ledger.identifiers import FORM, is_id
from ledger.secrets import Vault
from ledger.store import integrations as store

HMAC_SHA256, ED25519 = "hmac-sha256", "ed25519"
CANONICAL = "canonical"


class IntegrationError(ValueError):
    """What was asked cannot be done; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    kid: str
    integration_id: str
    algorithm: str
    not_before: datetime
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class Integration:
    integration_id: str
    tenant_id: str
    region: str
    provider_id: str
    dialect: str
    policy: Policy
    enabled: bool
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key, told once: the secret is nowhere else readable. It is None for an Ed25519 key, whose private half we
    never see.
    """

    integration_id: str
    kid: str
    secret: str | None = field(repr=False)


def add(
    connection: psycopg.Connection,
    vault: Vault,
    *,
    tenant_id: str,
    region: str,
    provider_id: str,
    policy: Policy = Policy(),
    public_key: bytes | None = None,
) -> Issued:
    """Open an integration with its first key: a secret of ours, or the provider's raw Ed25519 `public_key`. Raises
    IntegrationError.
    """
    for name, value in (("brand", tenant_id), ("region", region), ("provider", provider_id)):
        if not is_id(value):
            raise IntegrationError(f"{name} {value!r} {FORM}")
    integration_id = f"{tenant_id}/{region}/{provider_id}"
    with connection.transaction():
        row = (integration_id, tenant_id, region, provider_id, CANONICAL, Json(asdict(policy)))
        if connection.execute(store.INSERT, row).rowcount == 0:
            raise IntegrationError(f"integration {integration_id} exists already: rotate its key instead")
        return _issue(connection, vault, integration_id, public_key)


def rotate(
    connection: psycopg.Connection,
    vault: Vault,
    integration_id: str,
    *,
    overlap_s: float,
    public_key: bytes | None = None,
) -> Issued:
    """Add a key; all older ones end `overlap_s` seconds from now. Raises IntegrationError."""
    with connection.transaction():
        try:
            issued = _issue(connection, vault, integration_id, public_key)
        except psycopg.errors.ForeignKeyViolation as error:
            raise _unknown(integration_id) from error
        connection.execute(store.EXPIRE_OLDER_KEYS, (overlap_s, integration_id, issued.kid, overlap_s))
        return issued


def set_enabled(connection: psycopg.Connection, integration_id: str, *, enabled: bool) -> None:
    """Switch an integration on or off. Raises IntegrationError."""
    with connection.transaction():
        if connection.execute(store.SET_ENABLED, (enabled, integration_id)).rowcount == 0:
            raise _unknown(integration_id)


def load(connection: psycopg.Connection) -> list[Integration]:
    """All integrations with their keys that are valid or will be."""
    keys: dict[str, list[Key]] = {}
    for kid, integration_id, algorithm, _, not_before, not_after in connection.execute(store.LOAD_KEYS):
        keys.setdefault(integration_id, []).append(Key(kid, integration_id, algorithm, not_before, not_after))
    return [
        Integration(
            integration_id,
            tenant_id,
            region,
            provider_id,
            dialect,
            Policy(**policy),
            enabled,
            tuple(keys.get(integration_id, ())),
        )
        for integration_id, tenant_id, region, provider_id, dialect, policy, enabled in connection.execute(store.LOAD)
    ]


def _issue(connection: psycopg.Connection, vault: Vault, integration_id: str, public_key: bytes | None) -> Issued:
    kid = f"k_{secrets.token_hex(8)}"
    if public_key is not None:
        if len(public_key) != 32:
            raise IntegrationError(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
        connection.execute(store.INSERT_KEY, (kid, integration_id, ED25519, public_key))
        return Issued(integration_id, kid, None)
    secret = secrets.token_urlsafe(32)
    connection.execute(store.INSERT_KEY, (kid, integration_id, HMAC_SHA256, vault.seal(kid, secret.encode())))
    return Issued(integration_id, kid, secret)


def _unknown(integration_id: str) -> IntegrationError:
    return IntegrationError(f"integration {integration_id} is not known: `wagerledger integration list` names all")
