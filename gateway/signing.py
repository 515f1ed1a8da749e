"""Signatures of callbacks, for those who check them and for those who make them.

`X-Signature: t=<unix seconds>,kid=<key id>,v1=<hex>`. Signed are the bytes `t.METHOD.target.idempotency-key.raw-body`,
joined by dots; the target is the path with its query as sent. v1 is HMAC-SHA256, v2 is Ed25519. While keys change, one
header may carry several of each.
"""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

HEADER = "X-Signature"
_PART = rb"(?:t=[0-9]{1,12}|kid=[A-Za-z0-9_:.\-]{1,128}|v1=[0-9A-Fa-f]{64}|v2=[0-9A-Fa-f]{128})"
# Four signatures at most: that bounds what an unknown caller can make us compute.
_HEADER = re.compile(_PART + rb"(?:," + _PART + rb"){2,5}")


class Signature(NamedTuple):
    """A header that has the right form; nothing is verified yet."""

    timestamp: bytes
    """Unix seconds, as sent."""
    kid: str
    v1: tuple[bytes, ...]
    v2: tuple[bytes, ...]


def parse(header: bytes) -> Signature | None:
    """Read X-Signature. None for anything but one time, one kid and one to four whole signatures: no blanks, repeats or
    unknown parts.
    """
    if _HEADER.fullmatch(header) is None:
        return None
    times, kids, v1, v2 = [], [], [], []
    for part in header.split(b","):
        name, _, value = part.partition(b"=")
        if name == b"v1":
            v1.append(bytes.fromhex(value.decode()))
        elif name == b"t":
            times.append(value)
        elif name == b"kid":
            kids.append(value.decode())
        else:
            v2.append(bytes.fromhex(value.decode()))
    if len(times) != 1 or len(kids) != 1:
        return None
    return Signature(times[0], kids[0], tuple(v1), tuple(v2))


def signed_bytes(timestamp: bytes, method: bytes, target: bytes, idempotency_key: bytes, body: bytes) -> bytes:
    return b".".join((timestamp, method, target, idempotency_key, body))


def verify(
    signature: Signature, message: bytes, secrets: Iterable[bytes], public_keys: Iterable[Ed25519PublicKey]
) -> bool:
    """Whether any of the signatures is by any of the keys. All pairs are always tried, so that time tells nothing."""
    found = False
    if signature.v1:
        for secret in secrets:
            for tag in signature.v1:
                found |= verify_hmac(secret, message, tag)
    if signature.v2:
        for public_key in public_keys:
            for tag in signature.v2:
                found |= verify_ed25519(public_key, message, tag)
    return found


def verify_hmac(secret: bytes, message: bytes, tag: bytes) -> bool:
    """Constant in time; a truncated tag is no tag."""
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
) -> str:
    """The X-Signature of a request: v1 by a secret, v2 by a private key. A GET signs an empty key and an empty body."""
    timestamp = b"%d" % (int(time.time()) if timestamp_s is None else timestamp_s)
    message = signed_bytes(timestamp, method.encode(), target.encode(), idempotency_key.encode(), body)
    if isinstance(key, str):
        return f"t={timestamp.decode()},kid={kid},v1={hmac.digest(key.encode(), message, 'sha256').hex()}"
    return f"t={timestamp.decode()},kid={kid},v2={key.sign(message).hex()}"


WINDOW_S = 300
"""How far the time of a dialect's X-Signature may be from ours."""


def fault(
    headers: Mapping[bytes, bytes],
    method: str,
    target: bytes,
    body: bytes,
    kids: Collection[str],
    secrets: Iterable[bytes],
    public_keys: Iterable[object],
    now_s: float,
) -> str | None:
    """Why a request does not carry X-Signature by one of these keys and names, as a code of the catalogue; None where
    it does. `headers` are by lower-case name.
    """
    header = headers.get(HEADER.lower().encode())
    if not header:
        return "SIGNATURE_MISSING"
    signature = parse(header)
    if signature is None:
        return "SIGNATURE_INVALID"
    key = b"" if method == "GET" else headers.get(b"x-idempotency-key", b"")
    message = signed_bytes(signature.timestamp, method.encode(), target, key, body)
    ed25519 = [public for public in public_keys if isinstance(public, Ed25519PublicKey)]
    if not verify(signature, message, secrets, ed25519) or signature.kid not in kids:
        return "SIGNATURE_INVALID"
    return "SIGNATURE_EXPIRED" if abs(now_s - int(signature.timestamp)) > WINDOW_S else None
