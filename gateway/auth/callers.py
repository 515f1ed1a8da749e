"""Where a call comes from, and whether its integration takes calls from there."""

import re
from functools import lru_cache
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import structlog

from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import RequestHead
from gateway.dialect.integration import Integration
from gateway.dialect.option import Network, networks

log = structlog.get_logger("gateway")

Address = IPv4Address | IPv6Address

_SHOWN = 64
"""Characters of an address that is none, in the log."""

# A port belongs to the hop, not to the address. An IPv6 address has its port behind brackets, or none.
_with_port = re.compile(r"([0-9.]+|\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\])(?::[0-9]{1,5})?")


class Caller(NamedTuple):
    """Where a request comes from, seen past the trusted proxies."""

    address: str
    """The caller's IP address as the trusted proxies have it; where that is no address, their text."""
    by_proxy: bool
    """Whether the peer is a trusted proxy: then its header about the caller's certificate counts."""


class Callers:
    """`trusted_proxies`: comma-separated networks whose X-Forwarded-For is believed."""

    def __init__(self, trusted_proxies: str) -> None:
        self._proxies = networks(trusted_proxies)

    def of(self, head: RequestHead) -> Caller:
        """The caller of a request, by its peer and, behind a trusted proxy, X-Forwarded-For."""
        peer = head.peer
        if not self._proxies or not within(peer, self._proxies):
            return Caller(peer, by_proxy=False)
        # Each proxy appends its peer; what a stranger wrote before that is worth nothing.
        for hop in reversed(head.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            address = address_of(hop.strip())
            if not within(address, self._proxies):
                return Caller(address, by_proxy=True)
        return Caller(peer, by_proxy=True)

    def admit(self, head: RequestHead, integration: Integration, *, weak: bool = False) -> None:
        """Whether `integration` takes calls from there; a `weak` protocol's only does where its options name a place.
        Raises Rejected CALLER_NOT_ALLOWED.
        """
        allowed, certificate = integration.allowed_networks, integration.client_certificate
        if not allowed and not certificate:
            if weak:
                raise Rejected("CALLER_NOT_ALLOWED")
            return
        caller = self.of(head)
        if allowed and not within(caller.address, allowed):
            if caller.by_proxy and _parsed(caller.address) is None:
                log.warning(
                    "proxy named no address", x_forwarded_for=caller.address[:_SHOWN], proxy=head.peer,
                    integration=integration.integration_id,
                )  # fmt: skip
            raise Rejected("CALLER_NOT_ALLOWED")
        if certificate:
            shown = head.headers.get(b"x-client-certificate-sha256", b"").replace(b":", b"").lower()
            if not caller.by_proxy or not compare_digest(shown, certificate.encode()):
                raise Rejected("CALLER_NOT_ALLOWED")


def address_of(hop: str) -> str:
    """The address in one hop of X-Forwarded-For, which some proxies write with its port: 203.0.113.7:51234,
    [2001:db8::7]:51234. What is neither stays as it is, and is within no network.
    """
    found = _with_port.fullmatch(hop)
    return found[1].strip("[]") if found else hop


def within(address: str, allowed: tuple[Network, ...]) -> bool:
    """Whether `address` is one, and in one of the networks."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in allowed)


@lru_cache(4096)
def _parsed(address: str) -> Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
