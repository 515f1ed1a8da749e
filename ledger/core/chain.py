"""The hash chain of a stream: each event carries the SHA-256 of the bytes of the one before it."""

from hashlib import sha256

GENESIS = bytes(32)
"""What the first event of a stream carries."""


def hash_of(body: bytes) -> bytes:
    """The hash of an event: SHA-256 over its Avro bytes, nothing before or after them."""
    return sha256(body).digest()
