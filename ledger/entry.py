"""What is proven unchanged: each entry of the log, as the bytes that the Merkle tree is over.

An event is its Avro bytes. Everything else is canonical JSON: keys sorted, no spaces, UTF-8, times in microseconds
since the epoch, bytes in hex.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

EVENT, COMMAND, REFUSAL, ACT = "event", "command", "refusal", "act"
"""In the order in which one database transaction's entries are sealed."""


class Entry(NamedTuple):
    """One entry of the log."""

    xid: int
    """The database transaction that wrote it; entries of one transaction stay together."""
    kind: str
    body: bytes
    fingerprint: bytes = b""
    """CRC-64-AVRO of the schema that wrote an event's body; empty for the other kinds."""
    traceparent: str | None = None
    """An event's trace context: it goes into the Kafka header, and is not proven."""

    @property
    def leaf(self) -> bytes:
        """What the Merkle tree hashes: the kind, a zero byte, the fingerprint of an event's schema, the body."""
        return b"%b\0%b%b" % (self.kind.encode(), self.fingerprint, self.body)


def canonical(content: Mapping[str, Any]) -> bytes:
    """Canonical JSON of plain values (no floats)."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
