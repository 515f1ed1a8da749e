"""The Ed25519 key that signs what goes outside, and the public keys that it is checked with."""

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runtime.settings import Settings

KEY_BYTES = 32
KEY_ID_CHARACTERS = 16

Keys = Mapping[str, Ed25519PublicKey]
"""Public Ed25519 keys by their id (`key_id`)."""


class AnchorKeyError(ValueError):
    """A key is missing or malformed; the message says what to do."""


def new_key() -> Ed25519PrivateKey:
    """A fresh random Ed25519 key for the sealer."""
    return Ed25519PrivateKey.generate()


def key_id(key: Ed25519PublicKey) -> str:
    """The id under which heads and manifests name a public key: the first hex digits of its SHA-256."""
    return sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_CHARACTERS]


def to_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """A private or public key as the settings have it: its 32 bytes in base64."""
    raw = key.private_bytes_raw() if isinstance(key, Ed25519PrivateKey) else key.public_bytes_raw()
    return base64.b64encode(raw).decode()


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The sealer's private key, from WAGERLEDGER_ANCHOR_KEY. Raises AnchorKeyError where it is missing or malformed."""
    if settings.anchor_key is None:
        raise AnchorKeyError("WAGERLEDGER_ANCHOR_KEY is not set: `wagerledger anchor-key` makes one")
    return Ed25519PrivateKey.from_private_bytes(
        _raw("WAGERLEDGER_ANCHOR_KEY", settings.anchor_key.get_secret_value(), shown=False)
    )


def trusted_keys(settings: Settings) -> Keys:
    """The public keys that heads and archives are checked with, by id: WAGERLEDGER_ANCHOR_PUBLIC_KEYS, else that of the
    signing key. Raises AnchorKeyError where neither is set or one is malformed.
    """
    texts = [text.strip() for text in settings.anchor_public_keys.split(",") if text.strip()]
    if texts:
        raw = [_raw("WAGERLEDGER_ANCHOR_PUBLIC_KEYS", text, shown=True) for text in texts]
        keys = [Ed25519PublicKey.from_public_bytes(one) for one in raw]
    elif settings.anchor_key is not None:
        keys = [signing_key(settings).public_key()]
    else:
        raise AnchorKeyError(
            "WAGERLEDGER_ANCHOR_PUBLIC_KEYS is not set: give the public key of the sealer, from a place that whoever "
            "could change the log cannot write to"
        )
    return {key_id(key): key for key in keys}


def _raw(variable: str, text: str, *, shown: bool) -> bytes:
    what = f"{variable}: {text!r}" if shown else variable
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AnchorKeyError(f"{what} is not base64; `wagerledger anchor-key` makes a key") from error
    if len(raw) != KEY_BYTES:
        raise AnchorKeyError(f"{what} holds {len(raw)} bytes: an Ed25519 key has {KEY_BYTES}, in base64")
    return raw
