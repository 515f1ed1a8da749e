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
"""Public keys by their id."""


class AnchorKeyError(ValueError):
    """A key is missing or malformed; the message says what to do."""


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def key_id(key: Ed25519PublicKey) -> str:
    """Names a key: the beginning of its SHA-256, in hex."""
    return sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_CHARACTERS]


def to_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """As the settings have it."""
    raw = key.private_bytes_raw() if isinstance(key, Ed25519PrivateKey) else key.public_bytes_raw()
    return base64.b64encode(raw).decode()


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """Raises AnchorKeyError."""
    if settings.anchor_key is None:
        raise AnchorKeyError("WAGERLEDGER_ANCHOR_KEY is not set: `wagerledger anchor-key` makes one")
    return Ed25519PrivateKey.from_private_bytes(
        _raw("WAGERLEDGER_ANCHOR_KEY", settings.anchor_key.get_secret_value(), shown=False)
    )


def trusted_keys(settings: Settings) -> Keys:
    """The public keys by their id: those of the settings, else that of the signing key. Raises AnchorKeyError."""
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
