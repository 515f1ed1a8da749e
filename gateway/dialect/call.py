"""A provider's request: what was sent, by whom, and the commands that are made of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import structlog
import uuid_utils

from gateway import metrics
from gateway.dialect.fields import YEAR_2000_US, YEAR_2200_US
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration
from ledger.admin.public_keys import PublicKey
from ledger.core.commands import Command, Origin

log = structlog.get_logger("gateway")

C = TypeVar("C", bound=Command)


@dataclass(frozen=True)
class Call:
    """A provider's request as it came, and the integration that it claims to come from. Nothing in it is proven until
    the dialect's `verify` has passed.
    """

    method: str
    path: str
    """The endpoint's own path, such as /debit."""
    params: Mapping[str, str]
    """The parts of the path that the endpoint names as {part}, decoded, by name."""
    target: bytes
    """Path and query as they were sent, for signatures over them."""
    query: bytes
    """The query as it was sent, without the question mark."""
    headers: Mapping[bytes, bytes]
    """Values by lower-case name. Repeats are joined by commas."""
    body: bytes
    """The raw body, at most `Dialect.body_limit_bytes` long."""
    client: str
    """The caller's IP address, as far as the trusted proxies say it."""
    trace: Trace
    """Ids for logs and events; the caller's own where it sent some."""
    integration: Integration
    """Whom the call claims to come from: its keys, options, policy and games."""
    received_at: int = field(default_factory=lambda: time.time_ns() // 1000)
    """When the call came, microseconds since the epoch."""
    kid: str | None = None
    """The key that proved the caller, once `verify` has."""

    @cached_property
    def secrets(self) -> list[bytes]:
        """The integration's secrets that are valid now, several while keys rotate: `verify` tries all of them. Never
        empty: where there is none, a stand-in that nobody knows, so that every caller takes the same time.
        """
        return self.integration.secrets(self.received_at / 1_000_000)

    @cached_property
    def public_keys(self) -> list[PublicKey]:
        """The integration's public keys that are valid now, as with `secrets`; of the kinds that its dialect has."""
        return self.integration.public_keys(self.received_at / 1_000_000)

    def note(self, event: str, **facts: str) -> None:
        """Write a line into the gateway's log, about what moves no money and should stand somewhere."""
        log.info(event, integration_id=self.integration.integration_id, trace_id=self.trace.trace_id, **facts)

    def header(self, name: bytes) -> str:
        """Value of the header with this lower-case name; an empty text where it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    def option(self, name: str) -> str:
        """Value of an option of the integration, else the dialect's default; an empty text where neither has one."""
        return self.integration.option(name)

    def command(
        self, kind: type[C], operation: str, transaction_id: str, *, occurred_at: int | None = None, **fields: Any
    ) -> C:
        """A command of class `kind` with these `fields`, in the name of the integration.

        Its idempotency key is (integration, `operation`, `transaction_id`), where `transaction_id` is the provider's
        own id: one key, one effect, for ever. `operation` parts ids that the provider counts apart. `occurred_at` is
        the provider's own time, microseconds since the epoch; one outside the years 2000 to 2199 is left out and
        counted.
        """
        integration = self.integration
        if occurred_at is not None and not YEAR_2000_US <= occurred_at < YEAR_2200_US:
            metrics.LEFT_OUT.labels(integration.dialect, "occurred_at").inc()
            occurred_at = None
        origin = Origin(
            tenant_id=integration.tenant_id, region=integration.region, integration_id=integration.integration_id,
            provider_id=integration.provider_id, operation=operation, idempotency_key=transaction_id,
            trace_id=self.trace.trace_id, traceparent=self.trace.traceparent, provider_occurred_at=occurred_at,
            provider_transaction_id=transaction_id, kid=self.kid,
        )  # fmt: skip
        return kind(origin=origin, command_id=str(uuid_utils.uuid7()), received_at=self.received_at, **fields)

    def currency(self, code: str) -> str:
        """Our code of the currency that the provider calls `code` (option `currencies`). Raises Rejected
        CURRENCY_NOT_SUPPORTED where the integration lists its currencies and this is none of them.
        """
        return self.integration.currency(code)

    def provider_currency(self, currency: str) -> str:
        """The provider's code of our `currency` (option `currencies`); the same code where it has no other."""
        return self.integration.provider_currency(currency)

    def game(self, code: str) -> str:
        """Our id of the game that the provider calls `code`; the code itself where the catalogue has no entry."""
        return self.integration.game(code)
