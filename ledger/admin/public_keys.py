"""Public keys of providers: read from whatever form they come in, kept as bytes."""

import base64
import binascii
from contextlib import suppress
from hashlib import sha256
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

ED25519, ECDSA, RSA = "ed25519", "ecdsa", "rsa"
PUBLIC = ED25519, ECDSA, RSA
SMALLEST_RSA_BITS, SMALLEST_CURVE_BITS = 2048, 256

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class PublicKeyError(ValueError):
    """No public key, or one that is too weak; the message says which."""


def read(content: bytes) -> tuple[str, bytes]:
    """Kind and stored form of a key in PEM, DER, the base64 of either, or the 32 bytes of an Ed25519 key. Raises
    PublicKeyError.
    """
    key = _parsed(content)
    if isinstance(key, Ed25519PublicKey):
        return ED25519, key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= SMALLEST_CURVE_BITS:
        return ECDSA, _der(key)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA_BITS:
        return RSA, _der(key)
    size = f" of {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else ""
    raise PublicKeyError(
        f"a {type(key).__name__}{size} proves nobody here: take Ed25519, ECDSA from {SMALLEST_CURVE_BITS} bits or RSA "
        f"from {SMALLEST_RSA_BITS} bits"
    )


def identity(material: bytes) -> bytes:
    """Tells a key from others, in as many bytes as `Vault.identity` has."""
    return sha256(material).digest()


def load(kind: str, material: bytes) -> PublicKey:
    """The key that `read` gave."""
    if kind == ED25519:
        return Ed25519PublicKey.from_public_bytes(material)
    return cast(PublicKey, load_der_public_key(material))


def _parsed(content: bytes) -> PublicKeyTypes:
    if len(content) == 32:
        return Ed25519PublicKey.from_public_bytes(content)
    candidates = [content]
    with suppress(binascii.Error, ValueError):
        candidates.append(base64.b64decode(b"".join(content.split()), validate=True))
    for candidate in candidates:
        for parse in (load_pem_public_key, load_der_public_key):
            with suppress(ValueError, UnsupportedAlgorithm):
                return parse(candidate)
    raise PublicKeyError("it is no public key: give it as PEM, as DER, or as the base64 of either")


def _der(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
