"""Who may call: the integrations with their keys and games, kept in memory and read again every few seconds."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from types import TracebackType
from typing import Any, Self

import structlog

from gateway.auth.rate_limit import RateLimit
from gateway.dialect.dialect import Dialect
from gateway.dialect.integration import Integration, SigningKey, claimed
from gateway.dialect.option import OptionError
from gateway.metrics import KEYS_LOADED
from gateway.read_connection import ReadConnection
from ledger.admin import policies, public_keys
from ledger.admin.games import Game
from ledger.admin.integrations import CANONICAL, SECRETS
from ledger.admin.policies import PolicyError
from ledger.admin.secrets import SecretsKeyError, Vault
from ledger.journal.writer import Retryable
from ledger.store import games as games_store
from ledger.store import integration_keys as key_store
from ledger.store import integrations as store
from runtime.residency import ForeignRegionError, Residency

log = structlog.get_logger("keys")

REFRESH_S = 2.0
"""How long a change in the database may stay unseen."""
UNKNOWN_LOOKUPS_PER_S = 100
"""How often strangers can make us ask the database."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """All integrations as they were at one moment."""

    by_id: Mapping[str, Integration] = field(default_factory=dict)
    by_kid: Mapping[str, tuple[SigningKey, Integration]] = field(default_factory=dict)
    """Only of the canonical API, whose callers name their key."""
    by_dialect: Mapping[str, Sequence[Integration]] = field(default_factory=dict)

    @classmethod
    def of(cls, integrations: Iterable[Integration]) -> "_Known":
        """The same integrations, found in each way that callers name them."""
        by_id = {integration.integration_id: integration for integration in integrations}
        by_kid = {
            key.kid: (key, integration)
            for integration in by_id.values()
            if integration.dialect == CANONICAL
            for key in integration.keys
        }
        by_dialect: dict[str, list[Integration]] = {}
        for integration in by_id.values():
            by_dialect.setdefault(integration.dialect, []).append(integration)
        return cls(by_id, by_kid, by_dialect)


class KeyRing:
    """Finds the integration of a caller. Use as an async context manager; the last good set survives an outage of the
    database.
    """

    def __init__(
        self,
        read_connection: ReadConnection,
        vault: Vault,
        dialects: Mapping[str, Dialect],
        default_options: Mapping[str, str],
        residency: Residency,
    ) -> None:
        self._read_connection = read_connection
        self._vault = vault
        self._dialects = dialects
        self._options = dict(default_options)
        self._residency = residency
        self._known: _Known | None = None
        self._games: Mapping[str, dict[str, Game]] = {}
        self._games_stamp: object = None
        self._strangers = RateLimit(UNKNOWN_LOOKUPS_PER_S)
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
        """Whether the keys have been read at least once."""
        return self._known is not None

    # Finding ------------------------------------------------------------------------------------------------------

    def find(self, kid: str, now: float) -> Integration | None:
        """The integration of the canonical API whose key `kid` is, while that key is valid."""
        found = self._known.by_kid.get(kid) if self._known else None
        return found[1] if found and found[0].valid_at(now) else None

    async def find_or_read(self, kid: str, now: float) -> Integration | None:
        """The integration of a key id, as `find` gives it; an id that is not known may be new: then the keys are read
        again at once.
        """
        found = self.find(kid, now)
        known = self._known is not None and kid in self._known.by_kid
        if found is None and not known and await self._is_new(key_store.HAS, kid):
            await self._read_again()
            return self.find(kid, now)
        return found

    def find_by_id(self, integration_id: str) -> Integration | None:
        """The integration with this id, of any dialect, enabled or not."""
        return self._known.by_id.get(integration_id) if self._known else None

    async def find_by_id_or_read(self, integration_id: str) -> Integration | None:
        """The integration of this id, as `find_by_id` gives it; one that is not known may be new: then the keys are
        read again.
        """
        found = self.find_by_id(integration_id)
        if found is None and await self._is_new(store.HAS, integration_id):
            await self._read_again()
            return self.find_by_id(integration_id)
        return found

    def find_claimed(self, dialect: str, claims: Mapping[str, str]) -> Integration | None:
        """The one enabled integration of `dialect` whose options are the claims; without claims, the one with the
        option `as_written`. Claims only select: they prove nothing.
        """
        return claimed(self._known.by_dialect.get(dialect, ()), claims) if self._known else None

    def of_region(self, tenant_id: str, region: str) -> list[Integration]:
        """All integrations of a brand and region."""
        everyone = self._known.by_id.values() if self._known else ()
        return [one for one in everyone if one.tenant_id == tenant_id and one.region == region]

    async def _is_new(self, sql: str, name: str) -> bool:
        if not self._strangers.allows("anyone", time.monotonic()):
            return False
        try:
            return bool(await self._read_connection.fetch(sql, (name,)))
        except Retryable:
            return False

    # Reading ------------------------------------------------------------------------------------------------------

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
            rows = await self._read_connection.fetch(store.LOAD)
            key_rows = await self._read_connection.fetch(key_store.LOAD)
            await self._read_games()
        except Retryable as error:
            log.warning("keys not refreshed", reason=str(error) or type(error).__name__)
        else:
            keys = self._keys(key_rows)
            self._known = _Known.of(filter(None, [self._usable(row, tuple(keys.get(row[0], ()))) for row in rows]))
            KEYS_LOADED.set(sum(map(len, keys.values())))

    async def _read_games(self) -> None:
        """A catalogue may be long, so it is read only when it has changed."""
        stamp = await self._read_connection.fetch(games_store.STAMP)
        if stamp == self._games_stamp:
            return
        games: dict[str, dict[str, Game]] = {}
        for game in map(Game._make, await self._read_connection.fetch(games_store.LOAD)):
            games.setdefault(game.integration_id, {})[game.game_id] = game
        self._games, self._games_stamp = games, stamp

    def _usable(self, row: Row, keys: tuple[SigningKey, ...]) -> Integration | None:
        """None for what a newer version, or a wrong hand, has written: better no answer than one by other rules."""
        integration_id, tenant_id, region, provider_id, name, options, policy, enabled = row
        dialect = self._dialects.get(name)
        if dialect is None:
            self._complain(integration_id, f"this gateway has no dialect {name}")
            return None
        try:
            self._residency.check(region)
            integration = Integration(
                integration_id,
                tenant_id,
                region,
                provider_id,
                policy=policies.in_force(dialect.policy, policy),
                enabled=enabled,
                keys=keys,
                dialect=name,
                options=self._options | dialect.default_options | options,
                games=self._games.get(integration_id, {}),
                key_kinds=dialect.keys,
            )
            integration.validate_options()
        except (ForeignRegionError, PolicyError, OptionError) as error:
            self._complain(integration_id, str(error))
            return None
        return integration

    def _keys(self, rows: Sequence[Row]) -> dict[str, list[SigningKey]]:
        opened = [(row[1], key) for row in rows if (key := self._opened(row))]
        owners: dict[bytes, set[str]] = {}
        for integration_id, key in opened:
            owners.setdefault(key.identity, set()).add(integration_id)
        keys: dict[str, list[SigningKey]] = {}
        for integration_id, key in opened:
            shared = len(owners[key.identity]) > 1
            keys.setdefault(integration_id, []).append(replace(key, shared=True) if shared else key)
        return keys

    def _opened(self, row: Row) -> SigningKey | None:
        kid, _, algorithm, material, not_before, not_after = row
        times = not_before.timestamp(), not_after.timestamp() if not_after else inf
        if material is None:
            self._complain(kid, "its secret is not here: `wagerledger integration restore-secret` gives it")
            return None
        try:
            if algorithm in SECRETS:
                secret = self._vault.open(kid, material)
                return SigningKey(kid, secret, None, *times, identity=self._vault.identity(secret))
            public_key = public_keys.load(algorithm, material)
            return SigningKey(kid, None, public_key, *times, identity=public_keys.identity(material))
        except (SecretsKeyError, ValueError) as error:
            self._complain(kid, str(error))
            return None

    def _complain(self, name: str, reason: str) -> None:
        """Once for each, not at every refresh."""
        if name not in self._complained:
            log.error("key or integration unusable", name=name, reason=reason)
            self._complained.add(name)
