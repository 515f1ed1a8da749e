"""Launch: the signed address that takes a player's browser into a provider's game.

    <launch_url>?<canonical query>&signature=<hex>

The canonical query has every parameter once, sorted by name, percent-encoded as RFC 3986 has it (unreserved characters
stay, all others become %XX of their UTF-8 bytes; a blank is %20). The signature is HMAC-SHA256 over exactly that text.

Its key is not the key of callbacks but derived from the same secret: HKDF-SHA256 (RFC 5869) without salt, info
"launch", 32 bytes. So nothing else has to be exchanged, keys rotate together, `kid` names which one it was,
and what leaks from a browser's history was made with a key that signs no money.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_TTL_S, MAX_TTL_S, DEFAULT_TTL_S = 300, 900, 600
SKEW_S = 30
"""How far the provider's clock may be from ours."""

PARAMETERS = frozenset(
    ("game", "player", "currency", "locale", "mode", "token", "jurisdiction", "return_url", "expires", "kid")
)
SIGNATURE = "signature"

_INFO = b"launch"
_MAX_PARAMETERS = 64


class LaunchError(ValueError):
    """An address that lets nobody in; the message says why."""


# The address ----------------------------------------------------------------------------------------------------------


def launch_key(secret: bytes) -> bytes:
    """The key of launch addresses that belongs to an integration's secret."""
    return HKDF(SHA256(), length=32, salt=None, info=_INFO).derive(secret)


def canonical_query(parameters: Mapping[str, str]) -> str:
    """The one spelling of a query that is signed: sorted by name, percent-encoded as RFC 3986 has it."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(parameters.items()))


def sign_launch(base_url: str, parameters: Mapping[str, str], secret: bytes) -> str:
    """The signed address of a launch. What `base_url` has for a query is signed with the rest."""
    parts = urlsplit(base_url)
    query = canonical_query({**dict(parse_qsl(parts.query, keep_blank_values=True)), **parameters})
    signature = hmac.digest(launch_key(secret), query.encode(), "sha256").hex()
    return parts._replace(query=f"{query}&{SIGNATURE}={signature}").geturl()


def verify_launch(url: str, secret: bytes, now: float, *, skew_s: int = SKEW_S) -> dict[str, str]:
    """The provider's side: the parameters of an address that was signed with the key of `secret` and is valid `now`
    (unix seconds). The order of the query does not matter. Raises LaunchError.
    """
    parameters = read_launch(url)
    signature = parameters.pop(SIGNATURE, "")
    expected = hmac.digest(launch_key(secret), canonical_query(parameters).encode(), "sha256").hex()
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise LaunchError("the signature is not by this key over these parameters")
    expires = parameters.get("expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        raise LaunchError("expires must be unix seconds")
    if now > int(expires) + skew_s:
        raise LaunchError(f"the address expired {now - int(expires):.0f} s ago: launch again, synchronize the clock")
    if int(expires) > now + MAX_TTL_S + skew_s:
        raise LaunchError(f"the address is valid for more than {MAX_TTL_S} s: synchronize the clock")
    return parameters


def read_launch(url: str) -> dict[str, str]:
    """The parameters, nothing verified: `kid` says with which key to verify. Raises LaunchError."""
    try:
        pairs = parse_qsl(
            urlsplit(url).query, keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )  # fmt: skip
    except ValueError as error:
        raise LaunchError(f"the query cannot be read: {error}") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise LaunchError("a parameter is given twice")
    return parameters


def base_url_fault(url: str) -> str | None:
    """Why `url` cannot be an integration's `launch_url`, or None when it can."""
    try:
        parts = urlsplit(url)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))]
    except ValueError as error:
        return f"is no URL: {error}"
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None or parts.fragment:
        return "must be https://host/path, without user and fragment"
    if len(set(names)) != len(names):
        return "has a parameter twice"
    own = sorted({*names} & {*PARAMETERS, SIGNATURE})
    return f"must not have parameters that we add: {', '.join(own)}" if own else None


def ttl_fault(text: str) -> str | None:
    """Why `text` cannot be an integration's `launch_ttl_s`, or None when it can."""
    if text.isascii() and text.isdigit() and MIN_TTL_S <= int(text[:9]) <= MAX_TTL_S:
        return None
    return f"must be {MIN_TTL_S} to {MAX_TTL_S} seconds"
