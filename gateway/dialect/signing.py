"""Signatures of callbacks, for those who check them and for those who make them.

`X-Signature: t=<unix seconds>,kid=<key id>,v3=<hex>`. Signed are nine parts, each but the last on a line of its own:
the word `wagerledger`, the time, METHOD, the target (the path with its query as sent), brand, region, provider, the
idempotency key, and the raw body. v3 is HMAC-SHA256, v4 is Ed25519. While keys change, one header may carry several.

Weaker, and still taken: v1 (HMAC-SHA256) and v2 (Ed25519) over `t.METHOD.target.idempotency-key.raw-body`, joined by
dots, which do not say whose integration is called.
"""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

HEADER = "X-Signature"
_PART = rb"(?:t=[0-9]{1,12}|kid=[A-Za-z0-9_:.\-]{1,128}|v[13]=[0-9A-Fa-f]{64}|v[24]=[0-9A-Fa-f]{128})"
# Four signatures at most: that bounds what an unknown caller can make us compute.
_HEADER = re.compile(_PART + rb"(?:," + _PART + rb"){2,5}")


class Place(NamedTuple):
    """Whose integration is called: brand (`tenant_id`), `region`, provider (`provider_id`), as signatures say it."""

    tenant_id: str
    region: str
    provider_id: str


class Signed(NamedTuple):
    """The parts of a request that a signature is over."""

    timestamp: bytes
    """Unix seconds, as sent."""
    method: bytes
    target: bytes
    """Path and query as sent."""
    idempotency_key: bytes
    """The X-Idempotency-Key; of a GET, nothing."""
    body: bytes
    place: Place
    """Whose integration is called."""

    @property
    def message(self) -> bytes:
        """The bytes under v3 and v4. No part but the last can hold a line end, so that none can pass for a piece of
        another.
        """
        place = "\n".join(self.place).encode()
        return b"\n".join(
            (b"wagerledger", self.timestamp, self.method, self.target, place, self.idempotency_key, self.body)
        )

    @property
    def joined(self) -> bytes:
        """The bytes under v1 and v2. A dot in one part may pass for the end of it, so writes take no query and keys no
        other signs.
        """
        return b".".join((self.timestamp, self.method, self.target, self.idempotency_key, self.body))


class Signature(NamedTuple):
    """A well-formed X-Signature; nothing is verified yet. `v1` to `v4` are the signatures in it, by the way they were
    made: v1 and v3 by a secret, v2 and v4 by a private key.
    """

    timestamp: bytes
    """Unix seconds, as sent."""
    kid: str
    """The id of the key that signed."""
    v1: tuple[bytes, ...] = ()
    v2: tuple[bytes, ...] = ()
    v3: tuple[bytes, ...] = ()
    v4: tuple[bytes, ...] = ()

    @property
    def is_older(self) -> bool:
        """Whether one of its signatures is over bytes that do not say whose integration is called."""
        return bool(self.v1 or self.v2)


def parse(header: bytes) -> Signature | None:
    """Read X-Signature. None for anything but one time, one kid and one to four whole signatures: no blanks, repeats or
    unknown parts.
    """
    if _HEADER.fullmatch(header) is None:
        return None
    times: list[bytes] = []
    kids: list[str] = []
    tags: dict[bytes, list[bytes]] = {b"v1": [], b"v2": [], b"v3": [], b"v4": []}
    for part in header.split(b","):
        name, _, value = part.partition(b"=")
        if name in tags:
            tags[name].append(bytes.fromhex(value.decode()))
        elif name == b"t":
            times.append(value)
        else:
            kids.append(value.decode())
    if len(times) != 1 or len(kids) != 1:
        return None
    return Signature(times[0], kids[0], *map(tuple, tags.values()))


def verify(signature: Signature, signed: Signed, secrets: Iterable[bytes], public_keys: Iterable[object]) -> bool:
    """Whether any of the signatures is by any of the keys. All pairs are always tried, so that the time taken says
    nothing.
    """
    found = False
    secrets, public_keys = list(secrets), list(public_keys)
    if signature.v3 or signature.v4:
        found |= _is_by_any(signed.message, signature.v3, secrets, signature.v4, public_keys)
    if signature.is_older:
        found |= _is_by_any(signed.joined, signature.v1, secrets, signature.v2, public_keys)
    return found


def _is_by_any(
    message: bytes,
    hmacs: Iterable[bytes],
    secrets: Sequence[bytes],
    signatures: Iterable[bytes],
    public_keys: Sequence[object],
) -> bool:
    found = False
    for tag in hmacs:
        for secret in secrets:
            found |= verify_hmac(secret, message, tag)
    for tag in signatures:
        for public_key in public_keys:
            found |= isinstance(public_key, Ed25519PublicKey) and verify_ed25519(public_key, message, tag)
    return found


def verify_hmac(secret: bytes, message: bytes, tag: bytes) -> bool:
    """Whether `tag` is the HMAC-SHA256 of `message` by `secret`. Constant in time; a truncated tag is no tag."""
    return hmac.compare_digest(hmac.digest(secret, message, "sha256"), tag)


def verify_hmac_hex(secrets: Iterable[bytes], message: bytes, sent: bytes, algorithm: str = "sha256") -> bool:
    """Whether `sent` is the lower-case hex HMAC of `message` by any of the secrets. All are tried; constant in time."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(hmac.digest(secret, message, algorithm).hex().encode(), sent)
    return found


def decode_base64(sent: bytes) -> bytes | None:
    """What `sent` is the base64 of; None for anything but the one canonical spelling, so that no byte of it is free."""
    try:
        decoded = base64.b64decode(sent, validate=True)
    except binascii.Error:
        return None
    return decoded if base64.b64encode(decoded) == sent else None


def verify_ed25519(public_key: Ed25519PublicKey, message: bytes, tag: bytes) -> bool:
    """Whether `tag` is the Ed25519 signature of `message` by the holder of `public_key`."""
    try:
        public_key.verify(tag, message)
    except InvalidSignature:
        return False
    return True


def sign(
    kid: str,
    key: str | Ed25519PrivateKey,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    idempotency_key: str = "",
    timestamp_s: int | None = None,
    place: Place | None = None,
) -> str:
    """The X-Signature of a request: v3 by a secret, v4 by a private key; without `place` the weaker v1 and v2. A GET
    signs an empty key and an empty body.
    """
    timestamp = b"%d" % (int(time.time()) if timestamp_s is None else timestamp_s)
    signed = Signed(
        timestamp, method.encode(), target.encode(), idempotency_key.encode(), body, place or Place("", "", "")
    )
    message = signed.message if place else signed.joined
    head = f"t={timestamp.decode()},kid={kid}"
    if isinstance(key, str):
        return f"{head},{'v3' if place else 'v1'}={hmac.digest(key.encode(), message, 'sha256').hex()}"
    return f"{head},{'v4' if place else 'v2'}={key.sign(message).hex()}"


WINDOW_S = 300
"""How far the time of a dialect's X-Signature may be from ours."""
