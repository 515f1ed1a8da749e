"""The integrations' secrets at rest: AES-256-GCM, bound to their key id, so that a secret cannot be moved to another
key.
"""

import base64
import binascii
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.settings import Settings

NONCE_BYTES = 12


class SecretsKeyError(ValueError):
    """WAGERLEDGER_SECRETS_KEY is missing, malformed, or not the one that sealed this secret."""


def new_secrets_key() -> str:
    """A fresh value for WAGERLEDGER_SECRETS_KEY."""
    return base64.b64encode(AESGCM.generate_key(256)).decode()


class Vault:
    """Seals and opens secrets with one key."""

    def __init__(self, settings: Settings) -> None:
        if settings.secrets_key is None:
            raise SecretsKeyError("WAGERLEDGER_SECRETS_KEY is not set: give it 32 random bytes in base64")
        try:
            key = base64.b64decode(settings.secrets_key.get_secret_value(), validate=True)
        except binascii.Error as error:
            raise SecretsKeyError("WAGERLEDGER_SECRETS_KEY is not base64: give it 32 random bytes in base64") from error
        if len(key) != 32:
            raise SecretsKeyError(f"WAGERLEDGER_SECRETS_KEY holds {len(key)} bytes: it must be 32, in base64")
        self._cipher = AESGCM(key)
        self._identity_key = hmac.digest(key, b"wagerledger: which secret is it", "sha256")

    def seal(self, kid: str, secret: bytes) -> bytes:
        """Nonce and ciphertext of `secret`, readable only under this `kid`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, kid.encode())

    def identity(self, secret: bytes) -> bytes:
        """Tells a secret from others without saying it: who has no WAGERLEDGER_SECRETS_KEY cannot try secrets by it."""
        return hmac.digest(self._identity_key, secret, "sha256")

    def open(self, kid: str, sealed: bytes) -> bytes:
        """The secret. Raises SecretsKeyError when it was sealed with another key, for another kid, or was changed."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], kid.encode())
        except (InvalidTag, ValueError) as error:
            raise SecretsKeyError(
                f"the secret of key {kid} does not open: WAGERLEDGER_SECRETS_KEY is not the one that sealed it"
            ) from error
