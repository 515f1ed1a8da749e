"""Where a call comes from, and whether its integration takes calls from there."""

from collections.abc import Mapping
from functools import lru_cache
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from gateway.errors import Rejected
from gateway.incoming import Scope
from gateway.integration import Integration, Network, networks

Address = IPv4Address | IPv6Address


class Caller(NamedTuple):
    address: str
    """As far as the trusted proxies tell it."""
    by_proxy: bool
    """The peer is a trusted proxy: what it says about the caller's certificate counts."""


class Callers:
    """`trusted_proxies`: comma-separated networks whose X-Forwarded-For is believed."""

    def __init__(self, trusted_proxies: str) -> None:
        self._proxies = networks(trusted_proxies)

    def of(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._proxies or not within(peer, self._proxies):
            return Caller(peer, by_proxy=False)
        # Each proxy appends whom it heard; what a stranger wrote before that is worth nothing.
        for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            if not within(hop.strip(), self._proxies):
                return Caller(hop.strip(), by_proxy=True)
        return Caller(peer, by_proxy=True)

    def admit(
        self, scope: Scope, headers: Mapping[bytes, bytes], integration: Integration, *, weak: bool = False
    ) -> None:
        """Whether `integration` takes calls from there; a `weak` protocol's only does where it says from where. Raises
        Rejected CALLER_NOT_ALLOWED.
        """
        allowed, certificate = integration.allowed_networks, integration.client_certificate
        if not allowed and not certificate:
            if weak:
                raise Rejected("CALLER_NOT_ALLOWED")
            return
        caller = self.of(scope, headers)
        if allowed and not within(caller.address, allowed):
            raise Rejected("CALLER_NOT_ALLOWED")
        if certificate:
            shown = headers.get(b"x-client-certificate-sha256", b"").replace(b":", b"").lower()
            if not caller.by_proxy or not compare_digest(shown, certificate.encode()):
                raise Rejected("CALLER_NOT_ALLOWED")


def within(address: str, allowed: tuple[Network, ...]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in allowed)


@lru_cache(4096)
def _parsed(address: str) -> Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
