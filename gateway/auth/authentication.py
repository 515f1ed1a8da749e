"""Who is calling? The key id alone selects the integration; the signature proves it; the headers may only agree."""

import time
from typing import NamedTuple

import structlog

from gateway.auth.keys import KeyRing
from gateway.auth.rate_limit import RateLimit
from gateway.dialect import signing
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import RequestHead
from gateway.dialect.integration import NOBODY, Integration
from gateway.metrics import SIGNATURE_REFUSALS
from ledger.journal.writer import Unavailable

log = structlog.get_logger("authentication")


class Signer(NamedTuple):
    """Who signed a request, and with which key."""

    integration: Integration
    kid: str | None


class Authenticator:
    """Lets a request through to its integration, or not. Everything here happens before a byte of the body is
    interpreted.
    """

    def __init__(self, keys: KeyRing, rate_limit: RateLimit, window_s: int) -> None:
        self._keys = keys
        self._rate_limit = rate_limit
        self._window_s = window_s

    async def signer_of(self, head: RequestHead, body: bytes) -> Signer:
        """Who signed the request. Raises Rejected, or Unavailable while no keys have been loaded."""
        signer = await self._signer(head, body)
        integration = signer.integration
        headers = head.headers
        if headers.get(b"x-brand-id") != integration.tenant_id.encode():
            raise Rejected("INTEGRATION_MISMATCH", header="X-Brand-Id")
        if headers.get(b"x-region") != integration.region.encode():
            raise Rejected("INTEGRATION_MISMATCH", header="X-Region")
        if headers.get(b"x-provider-id") != integration.provider_id.encode():
            raise Rejected("INTEGRATION_MISMATCH", header="X-Provider-Id")
        self.admit(integration)
        return signer

    def admit(self, integration: Integration) -> None:
        """Let a proven caller go on. Raises Rejected."""
        if not integration.enabled:
            raise Rejected("INTEGRATION_DISABLED")
        if not self._rate_limit.allows(integration.integration_id, time.monotonic()):
            raise Rejected("RATE_LIMITED", limit_per_s=self._rate_limit.per_s)

    async def _signer(self, head: RequestHead, body: bytes) -> Signer:
        header = head.headers.get(b"x-signature")
        if not header:
            raise unsigned("missing", "SIGNATURE_MISSING")
        signature = signing.parse(header)
        if signature is None:
            raise unsigned("malformed", "SIGNATURE_INVALID")
        if not self._keys.loaded:
            raise Unavailable
        now = time.time()
        # An unknown caller is checked against keys that nobody has: that costs and gives the same as a wrong signature.
        found = await self._keys.find_or_read(signature.kid, now)
        integration = found or NOBODY
        key = b"" if head.method in ("GET", "HEAD") else head.headers.get(b"x-idempotency-key", b"")
        signed = signing.Signed(signature.timestamp, head.method.encode(), head.target, key, body, integration.place)

        def proves(one: Integration) -> bool:
            return signing.verify(signature, signed, one.secrets(now), one.public_keys(now))

        if not proves(integration):
            raise unsigned("wrong" if found else "unknown_kid", "SIGNATURE_INVALID", kid=signature.kid)
        if abs(now - int(signature.timestamp)) > self._window_s:
            raise unsigned("expired", "SIGNATURE_EXPIRED", kid=signature.kid, window_s=self._window_s)
        kid = integration.signer(now, proves, signature.kid)
        proven_by = integration.key(kid)
        if signature.is_older and (proven_by is None or proven_by.shared):
            # The same bytes are as good at the other integration that has this key.
            raise unsigned("reused", "SIGNATURE_REUSED", kid=signature.kid)
        return Signer(integration, kid)


def unsigned(reason: str, code: str, kid: str | None = None, **details: object) -> Rejected:
    """The caller hears the code; only our log and metrics hear the reason."""
    count_unsigned(reason, kid=kid)
    return Rejected(code, **details)


def count_unsigned(reason: str, **who: object) -> None:
    """Count and log a call that was refused for its signature."""
    SIGNATURE_REFUSALS.labels(reason).inc()
    log.info("signature refused", reason=reason, **who)
