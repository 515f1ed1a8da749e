"""Administration of integrations: one provider for one tenant and region, with its dialect, options, policy and keys. A
gateway sees a change within seconds.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.types.json import Json

from ledger.admin import actions, policies, public_keys
from ledger.admin.actions import Actor
from ledger.admin.policies import PolicyError, Value
from ledger.admin.public_keys import PublicKeyError
from ledger.admin.secrets import SecretsKeyError, Vault
from ledger.core.policy import Policy
from ledger.store import integration_keys as key_store
from ledger.store import integrations as store
from runtime.identifiers import name_fault
from runtime.residency import ANYWHERE, ForeignRegionError, Residency

HMAC_SHA256, SECRET = "hmac-sha256", "secret"
SECRETS = HMAC_SHA256, SECRET
"""Both are a sealed secret; the older rows name its use."""
SHORTEST_SECRET, LONGEST_SECRET = 8, 4096
CANONICAL = "canonical"
POLICY_PREFIX = "policy."


class IntegrationError(ValueError):
    """A change of an integration cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    kid: str
    integration_id: str
    algorithm: str
    not_before: datetime
    not_after: datetime | None
    lacks_secret: bool = False
    """Whether the key came out of an archive without its secret: it proves nobody until `restore_secret`."""

    @property
    def kind(self) -> str:
        """secret, ed25519, ecdsa or rsa."""
        return SECRET if self.algorithm in SECRETS else self.algorithm


@dataclass(frozen=True, slots=True)
class IntegrationRow:
    """An integration as the tables have it: the row, its policy in force, and its keys."""

    integration_id: str
    tenant_id: str
    region: str
    provider_id: str
    dialect: str
    options: Mapping[str, str]
    """As stated; what is not here is the dialect's default."""
    stated_policy: Mapping[str, Value]
    """Where the integration differs from its dialect."""
    policy: Policy
    """The policy in force: the dialect's, with what is stated."""
    enabled: bool
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Issued:
    """New keys, shown once: a secret that we made is nowhere else readable. `secret` is None where the provider brought
    its own key.
    """

    integration_id: str
    kids: tuple[str, ...]
    secret: str | None = field(repr=False)

    @property
    def kid(self) -> str:
        return self.kids[0]


@dataclass(frozen=True, slots=True)
class NewKeys:
    """What proves the caller from now on. Where nothing is given, we make a secret."""

    secret: str | None = field(default=None, repr=False)
    public_keys: Sequence[bytes] = ()
    """Each as PEM, DER, or the base64 of either."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of the keys that are given. Raises IntegrationError for what is no key."""
        found = {kind for kind, _ in self.materials()}
        return frozenset(found | {SECRET} if self.secret is not None or not found else found)

    def materials(self) -> list[tuple[str, bytes]]:
        """Kind and stored form of each public key. Raises IntegrationError."""
        try:
            return [public_keys.read(content) for content in self.public_keys]
        except PublicKeyError as error:
            raise IntegrationError(f"public key: {error}") from error


def add(
    connection: psycopg.Connection,
    vault: Vault,
    *,
    by: Actor,
    tenant_id: str,
    region: str,
    provider_id: str,
    dialect: str = CANONICAL,
    options: Mapping[str, str] = {},
    secret: str | None = None,
    public_keys: Sequence[bytes] = (),
    shared_key: str | None = None,
    residency: Residency = ANYWHERE,
) -> Issued:
    """Open an integration with its first keys: the given ones, or a secret of ours. `options` named policy.<name> are
    where it differs from its dialect's policy. `shared_key`: why a key may be one that another integration has, or had.
    Raises IntegrationError, AdminActionError.
    """
    for name, value in (("brand", tenant_id), ("region", region), ("provider", provider_id)):
        if fault := name_fault(value):
            raise IntegrationError(f"{name} {value!r} {fault}")
    _check(residency, region)
    integration_id = f"{tenant_id}/{region}/{provider_id}"
    own, policy = split(options)
    row = (integration_id, tenant_id, region, provider_id, dialect, Json(own), Json(policy))
    with connection.transaction():
        if connection.execute(store.INSERT, row).rowcount == 0:
            raise IntegrationError(f"integration {integration_id} exists already: rotate its key instead")
        keys = NewKeys(secret, public_keys)
        by = _shared(connection, vault, integration_id, keys, by, shared_key)
        issued = _issue(connection, vault, integration_id, keys)
        actions.record_integration(connection, by, "integration.added", integration_id)
        return issued


def rotate(
    connection: psycopg.Connection,
    vault: Vault,
    integration_id: str,
    *,
    by: Actor,
    overlap_s: float,
    secret: str | None = None,
    public_keys: Sequence[bytes] = (),
    shared_key: str | None = None,
) -> Issued:
    """Add keys; all older ones, of whatever kind, end `overlap_s` seconds from now. `shared_key` as in `add`. Raises
    IntegrationError, AdminActionError.
    """
    with connection.transaction():
        keys = NewKeys(secret, public_keys)
        by = _shared(connection, vault, integration_id, keys, by, shared_key)
        try:
            issued = _issue(connection, vault, integration_id, keys)
        except psycopg.errors.ForeignKeyViolation as error:
            raise _unknown(integration_id) from error
        connection.execute(key_store.EXPIRE_OLDER, (overlap_s, integration_id, list(issued.kids), overlap_s))
        actions.record_integration(connection, by, "integration.keys_rotated", integration_id)
        return issued


def restore_secret(
    connection: psycopg.Connection, vault: Vault, kid: str, secret: str, *, by: Actor, shared_key: str | None = None
) -> str:
    """Give a key that came out of an archive, and so without its secret, that secret again. Gives its integration's id.
    `shared_key` as in `add`. Raises IntegrationError, AdminActionError.
    """
    with connection.transaction():
        owner = connection.execute(key_store.INTEGRATION, (kid,)).fetchone()
        by = _shared(connection, vault, owner[0] if owner else "", NewKeys(secret), by, shared_key)
        row = connection.execute(key_store.FILL, (vault.seal(kid, _checked(secret).encode()), kid)).fetchone()
        if row is None:
            raise IntegrationError(
                f"key {kid} is not known, or lacks no secret: `integration rotate-key` makes a new one"
            )
        actions.record_integration(connection, by, "integration.secret_restored", row[0])
        return str(row[0])


def set_options(connection: psycopg.Connection, integration_id: str, options: Mapping[str, str], *, by: Actor) -> None:
    """Replace what the integration says about itself. Raises IntegrationError, AdminActionError."""
    own, policy = split(options)
    with connection.transaction():
        if connection.execute(store.SET_OPTIONS, (Json(own), Json(policy), integration_id)).rowcount == 0:
            raise _unknown(integration_id)
        actions.record_integration(connection, by, "integration.configured", integration_id)


def set_enabled(
    connection: psycopg.Connection, integration_id: str, *, enabled: bool, by: Actor, residency: Residency = ANYWHERE
) -> None:
    """Switch an integration on or off; off in every region. Raises IntegrationError, AdminActionError."""
    with connection.transaction():
        if enabled:
            _check(residency, find(connection, integration_id).region)
        if connection.execute(store.SET_ENABLED, (enabled, integration_id)).rowcount == 0:
            raise _unknown(integration_id)
        action = "integration.enabled" if enabled else "integration.disabled"
        actions.record_integration(connection, by, action, integration_id)


def load(connection: psycopg.Connection, defaults: Mapping[str, Policy] = {}) -> list[IntegrationRow]:
    """All integrations with their keys that are valid or will be. `defaults` are the dialects' policies by name. Raises
    PolicyError.
    """
    keys: dict[str, list[Key]] = {}
    for kid, integration_id, algorithm, material, not_before, not_after in connection.execute(key_store.LOAD):
        key = Key(kid, integration_id, algorithm, not_before, not_after, material is None)
        keys.setdefault(integration_id, []).append(key)
    rows = connection.execute(store.LOAD)
    return [
        IntegrationRow(
            integration_id=integration_id,
            tenant_id=tenant_id,
            region=region,
            provider_id=provider_id,
            dialect=dialect,
            options=options,
            stated_policy=policy,
            policy=policies.in_force(defaults.get(dialect, Policy()), policy),
            enabled=enabled,
            keys=tuple(keys.get(integration_id, ())),
        )
        for integration_id, tenant_id, region, provider_id, dialect, options, policy, enabled in rows
    ]


def find(connection: psycopg.Connection, integration_id: str, defaults: Mapping[str, Policy] = {}) -> IntegrationRow:
    """The integration of this id. Raises IntegrationError where there is none."""
    for integration in load(connection, defaults):
        if integration.integration_id == integration_id:
            return integration
    raise _unknown(integration_id)


def split(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Value]]:
    """Options of the integration, and the values of its policy. Raises IntegrationError."""
    own = {name: value for name, value in options.items() if not name.startswith(POLICY_PREFIX)}
    try:
        policy = {
            name.removeprefix(POLICY_PREFIX): policies.parse(name.removeprefix(POLICY_PREFIX), value)
            for name, value in options.items()
            if name.startswith(POLICY_PREFIX)
        }
    except PolicyError as error:
        raise IntegrationError(str(error)) from error
    return own, policy


def _check(residency: Residency, region: str) -> None:
    try:
        residency.check(region)
    except ForeignRegionError as error:
        raise IntegrationError(str(error)) from error


def _shared(
    connection: psycopg.Connection, vault: Vault, integration_id: str, keys: NewKeys, by: Actor, why: str | None
) -> Actor:
    """Who adds `keys`, with their word for it where another integration has one of them. Raises IntegrationError: what
    one of the two signs would often be as good at the other.
    """
    connection.execute(key_store.ONE_AT_A_TIME)
    others = _owners(connection, vault, integration_id, keys)
    if not others:
        return by
    names = ", ".join(sorted(others))
    if not why or not why.strip():
        raise IntegrationError(
            f"{names} has this key, and calls that it signs could pass at both: take another key, or say why it is "
            "shared (--shared-key)"
        )
    return by._replace(reason=f"{by.reason} [key shared with {names}: {why.strip()}]")


def _owners(connection: psycopg.Connection, vault: Vault, integration_id: str, keys: NewKeys) -> set[str]:
    """The other integrations that have one of `keys`, or had it. Secrets are compared by what tells nothing of them."""
    materials = keys.materials()
    wanted = vault.identity(_checked(keys.secret).encode()) if keys.secret is not None else None
    found = set()
    for owner, kid, algorithm, material in connection.execute(key_store.OF_OTHERS, (integration_id,)):
        if algorithm not in SECRETS:
            same = (algorithm, material) in materials
        else:
            same = wanted is not None and _is(vault, kid, material, wanted)
        if same:
            found.add(owner)
    return found


def _is(vault: Vault, kid: str, sealed: bytes, identity: bytes) -> bool:
    try:
        return hmac.compare_digest(vault.identity(vault.open(kid, sealed)), identity)
    except SecretsKeyError:  # sealed with a key that is gone: it proves nobody
        return False


def _issue(connection: psycopg.Connection, vault: Vault, integration_id: str, keys: NewKeys) -> Issued:
    secret = _checked(keys.secret) if keys.secret is not None else None
    made = secrets.token_urlsafe(32) if secret is None and not keys.public_keys else None
    kids = []
    for kind, material in keys.materials():
        kids.append(kid := _new_kid())
        connection.execute(key_store.INSERT, (kid, integration_id, kind, material))
    if (sealed := made or secret) is not None:
        kids.insert(0, kid := _new_kid())
        connection.execute(key_store.INSERT, (kid, integration_id, HMAC_SHA256, vault.seal(kid, sealed.encode())))
    return Issued(integration_id, tuple(kids), made)


def _checked(secret: str) -> str:
    if not SHORTEST_SECRET <= len(secret.encode()) <= LONGEST_SECRET:
        raise IntegrationError(f"a secret has {SHORTEST_SECRET} to {LONGEST_SECRET} bytes, not {len(secret.encode())}")
    return secret


def _new_kid() -> str:
    return f"k_{secrets.token_hex(8)}"


def _unknown(integration_id: str) -> IntegrationError:
    return IntegrationError(f"integration {integration_id} is not known: `wagerledger integration list` names all")
