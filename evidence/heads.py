"""Signed tree heads: what is published about the whole log, so that nobody can claim something else later.

A head is canonical JSON, and so is its published line. The signature covers the head's bytes, which name their format:
no signature of something else can be taken for one of a head.
"""

import base64
import binascii
import json
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.keys import Keys, key_id
from ledger.entry import canonical

FORMAT = "wagerledger-head-1"


class HeadError(ValueError):
    """A published line is not a signed tree head, or not in its one canonical spelling."""


@dataclass(frozen=True)
class TreeHead:
    """The content of a signed tree head: how long the log is, and the root over all of it."""

    log: str
    """Name of the log (WAGERLEDGER_ANCHOR_LOG)."""
    generation: int
    """Raised when the log was restored or moved on purpose; see docs/operations.md."""
    tree_size: int
    """Entries of the log, from the first one on."""
    root: str
    """Merkle root over them (RFC 9162, section 2.1), in hex."""
    sealed_at: int
    """Microseconds since the epoch."""
    previous: str | None
    """SHA-256 of the line of the head signed before this one, in hex."""
    format: str = FORMAT


@dataclass(frozen=True)
class SignedHead:
    """A tree head with its signature. `line` is what was published, without the line feed."""

    head: TreeHead
    key_id: str
    signature: bytes
    line: str

    @property
    def tree_size(self) -> int:
        return self.head.tree_size

    @property
    def hash(self) -> str:
        """SHA-256 of the published line, in hex: what the next head names as `previous`."""
        return sha256(self.line.encode()).hexdigest()

    @classmethod
    def parse(cls, line: str | bytes) -> Self:
        """The signed head of a published line. Raises HeadError; whether the signature holds says `valid`."""
        try:
            text = line.decode().strip() if isinstance(line, bytes) else line.strip()
            content = json.loads(text)
            head = TreeHead(**content["head"])
            signature, id_ = base64.b64decode(content["signature"], validate=True), str(content["key_id"])
        except (ValueError, LookupError, TypeError, binascii.Error, RecursionError) as error:
            raise HeadError(f"it is no signed head: {error!r}") from error
        if head.format != FORMAT or not _plausible(head) or _line(head, id_, signature) != text:
            raise HeadError(f"it is no signed head of format {FORMAT} in its canonical form")
        return cls(head, id_, signature, text)

    def valid(self, trusted: Keys) -> bool:
        """Whether one of the `trusted` keys made the signature over exactly this head."""
        key = trusted.get(self.key_id)
        if key is None:
            return False
        try:
            key.verify(self.signature, canonical(asdict(self.head)))
        except InvalidSignature:
            return False
        return True


def sign(
    key: Ed25519PrivateKey, *, log: str, generation: int, tree_size: int, root: bytes, previous: SignedHead | None
) -> SignedHead:
    """A tree head of this moment, signed with `key`."""
    head = TreeHead(log, generation, tree_size, root.hex(), time.time_ns() // 1000, previous.hash if previous else None)
    signature, id_ = key.sign(canonical(asdict(head))), key_id(key.public_key())
    return SignedHead(head, id_, signature, _line(head, id_, signature))


def _line(head: TreeHead, key_id: str, signature: bytes) -> str:
    signed: dict[str, Any] = {"head": asdict(head), "key_id": key_id, "signature": base64.b64encode(signature).decode()}
    return canonical(signed).decode()


def _plausible(head: TreeHead) -> bool:
    numbers = head.generation, head.tree_size, head.sealed_at
    texts = head.log, head.root, head.previous or ""
    return (
        all(type(number) is int and number >= 0 for number in numbers)
        and all(type(text) is str for text in texts)
        and len(head.root) == 64
    )
