"""Who may call: the integrations and their keys, kept in memory and read again every few seconds."""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import TracebackType
from typing import Any, Self

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.lookups import Lookups
from gateway.metrics import KEYS_LOADED
from gateway.rate_limit import RateLimit
from ledger.core.commands import Policy
from ledger.integrations import HMAC_SHA256
from ledger.journal import Retryable
from ledger.secrets import SecretsKeyError, Vault
from ledger.store import integrations as store

log = structlog.get_logger("keys")

REFRESH_S = 2.0
"""How long a change in the database may stay unseen."""
UNKNOWN_KID_LOOKUPS_PER_S = 100
"""How often strangers can make us ask the database."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Exactly one of `secret` (v1) and `public_key` (v2) is there. Times are unix seconds."""

    kid: str
    secret: bytes | None
    public_key: Ed25519PublicKey | None
    not_before: float
    not_after: float

    def valid_at(self, now: float) -> bool:
        return self.not_before <= now < self.not_after


@dataclass(frozen=True, slots=True)
class Integration:
    """One provider for one tenant and region."""

    integration_id: str
    tenant_id: str
    region: str
    provider_id: str
    policy: Policy
    enabled: bool
    keys: tuple[SigningKey, ...]

    def secrets(self, now: float) -> list[bytes]:
        """For v1. A stand-in where there is none, so that every caller costs the same."""
        return [key.secret for key in self.keys if key.secret and key.valid_at(now)] or [_NOBODY_SECRET]

    def public_keys(self, now: float) -> list[Ed25519PublicKey]:
        """For v2, likewise."""
        return [key.public_key for key in self.keys if key.public_key and key.valid_at(now)] or [_NOBODY_PUBLIC_KEY]


_NOBODY_SECRET = os.urandom(32)
_NOBODY_PUBLIC_KEY = Ed25519PrivateKey.generate().public_key()
NOBODY = Integration("", "", "", "", Policy(), enabled=False, keys=())
"""Verified against in place of an unknown caller. Nobody knows its keys."""


class KeyRing:
    """Finds the integration of a key id. Use as an async context manager; the last good set survives an outage of the
    database.
    """

    def __init__(self, lookups: Lookups, vault: Vault) -> None:
        self._lookups = lookups
        self._vault = vault
        self._by_kid: Mapping[str, tuple[SigningKey, Integration]] | None = None
        self._unknown_kids = RateLimit(UNKNOWN_KID_LOOKUPS_PER_S)
        self._reading: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._complained: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._read_again()
        self._refresher = asyncio.create_task(self._refresh_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in (self._refresher, self._reading):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    @property
    def loaded(self) -> bool:
        return self._by_kid is not None

    def find(self, kid: str, now: float) -> Integration | None:
        """The integration whose key `kid` is, while that key is valid."""
        found = (self._by_kid or {}).get(kid)
        return found[1] if found and found[0].valid_at(now) else None

    async def find_or_read(self, kid: str, now: float) -> Integration | None:
        """As `find`, but a kid that is not known may be new: then the keys are read again at once."""
        found = self.find(kid, now)
        if found is None and self._unknown_kids.allows("anyone", time.monotonic()) and await self._is_new(kid):
            await self._read_again()
            return self.find(kid, now)
        return found

    async def _is_new(self, kid: str) -> bool:
        if kid in (self._by_kid or {}):
            return False
        try:
            return bool(await self._lookups.fetch(store.HAS_KEY, (kid,)))
        except Retryable:
            return False

    async def _refresh_forever(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self._read_again()
            except Exception:  # a refresher that died in silence would keep revoked keys alive
                log.exception("keys not refreshed")

    async def _read_again(self) -> None:
        """All who want it at the same moment share one read, which none of them can cancel."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        try:
            rows = await self._lookups.fetch(store.LOAD)
            keys = await self._lookups.fetch(store.LOAD_KEYS)
        except Retryable as error:
            log.warning("keys not refreshed", reason=type(error).__name__)
        else:
            self._by_kid = self._index(rows, keys)
            KEYS_LOADED.set(len(self._by_kid))

    def _index(
        self, rows: list[tuple[Any, ...]], key_rows: list[tuple[Any, ...]]
    ) -> dict[str, tuple[SigningKey, Integration]]:
        keys: dict[str, list[SigningKey]] = {}
        for row in key_rows:
            if key := self._opened(row):
                keys.setdefault(row[1], []).append(key)
        by_kid: dict[str, tuple[SigningKey, Integration]] = {}
        for integration_id, tenant_id, region, provider_id, _, policy, enabled in rows:
            own = tuple(keys.get(integration_id, ()))
            try:
                integration = Integration(
                    integration_id, tenant_id, region, provider_id, Policy(**policy), enabled, own
                )
            except TypeError as error:  # a policy of a newer version: better no answer than one by other rules
                self._complain(integration_id, error)
                continue
            by_kid |= {key.kid: (key, integration) for key in own}
        return by_kid

    def _opened(self, row: tuple[Any, ...]) -> SigningKey | None:
        kid, _, algorithm, material, not_before, not_after = row
        times = not_before.timestamp(), not_after.timestamp() if not_after else inf
        if algorithm != HMAC_SHA256:
            return SigningKey(kid, None, Ed25519PublicKey.from_public_bytes(material), *times)
        try:
            return SigningKey(kid, self._vault.open(kid, material), None, *times)
        except SecretsKeyError as error:
            self._complain(kid, error)
            return None

    def _complain(self, name: str, error: Exception) -> None:
        """Once for each, not at every refresh."""
        if name not in self._complained:
            log.error("key or integration unusable", name=name, reason=str(error))
            self._complained.add(name)
