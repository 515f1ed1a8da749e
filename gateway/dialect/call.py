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
    """A request as it came, and the integration that it claims to come from; `verify` may still be to come."""

    method: str
    path: str
    """The endpoint's own path, such as /debit."""
    params: Mapping[str, str]
    """Parts of the path that the endpoint names."""
    target: bytes
    """Path and query as sent."""
    query: bytes
    """Without the question mark, as sent."""
    headers: Mapping[bytes, bytes]
    """By lower-case name."""
    body: bytes
    client: str
    """Address of the caller, as far as the trusted proxies tell it."""
    trace: Trace
    integration: Integration
    received_at: int = field(default_factory=lambda: time.time_ns() // 1000)
    """Microseconds since the epoch."""
    kid: str | None = None
    """The key that proved the caller, once `verify` has."""

    @cached_property
    def secrets(self) -> list[bytes]:
        """Those that are valid now; while keys rotate, several. Never empty: where there is none, a stand-in that
        nobody knows.
        """
        return self.integration.secrets(self.received_at / 1_000_000)

    @cached_property
    def public_keys(self) -> list[PublicKey]:
        """Likewise."""
        return self.integration.public_keys(self.received_at / 1_000_000)

    def note(self, event: str, **facts: str) -> None:
        """A line in the log about what moves nothing and should stand somewhere."""
        log.info(event, integration_id=self.integration.integration_id, trace_id=self.trace.trace_id, **facts)

    def header(self, name: bytes) -> str:
        """Value of a header by its lower-case name, or an empty text."""
        return self.headers.get(name, b"").decode("latin-1")

    def option(self, name: str) -> str:
        """Value of an option of the integration, or the dialect's default. Empty where neither says anything."""
        return self.integration.option(name)

    def command(
        self, kind: type[C], operation: str, transaction_id: str, *, occurred_at: int | None = None, **fields: Any
    ) -> C:
        """A command under the key (integration, `operation`, `transaction_id`). `occurred_at` is the provider's own
        time in microseconds since the epoch; one that not every reader of events could show is left out and counted.
        """
        integration = self.integration
        if occurred_at is not None and not YEAR_2000_US <= occurred_at < YEAR_2200_US:
            metrics.LEFT_OUT.labels(integration.dialect, "occurred_at").inc()
            occurred_at = None
        origin = Origin(
            integration.tenant_id, integration.region, integration.integration_id, integration.provider_id, operation,
            transaction_id, self.trace.trace_id, self.trace.traceparent, occurred_at, transaction_id, self.kid,
        )  # fmt: skip
        return kind(origin=origin, command_id=str(uuid_utils.uuid7()), received_at=self.received_at, **fields)

    def currency(self, code: str) -> str:
        """Our code of the provider's currency (option `currencies`). Raises Rejected CURRENCY_NOT_SUPPORTED where the
        integration lists its currencies and this is none of them.
        """
        return self.integration.currency(code)

    def provider_currency(self, currency: str) -> str:
        """The provider's code of our currency."""
        return self.integration.provider_currency(currency)

    def game(self, code: str) -> str:
        """Our game of the provider's code (the catalogue); the code itself where the catalogue has no entry."""
        return self.integration.game(code)
