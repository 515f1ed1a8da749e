"""Segments: consecutive entries of the log in an Avro object container file, and what a manifest says of them.

A segment never crosses a multiple of `LEAVES`, so that a full one is a subtree of the Merkle tree.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Protocol

from fastavro import parse_schema
from fastavro import reader as container_reader
from fastavro import writer as container_writer

from evidence.merkle import leaf_hash
from ledger.core.chain import hash_of
from ledger.entry import EVENT, Entry, canonical
from schemas.events import BY_FINGERPRINT

LEAVES = 65_536
BLOCK_BYTES = 262_144
CODECS = "deflate", "null"

SCHEMA = parse_schema(
    {
        "type": "record",
        "name": "Entry",
        "namespace": "wagerledger.archive",
        "doc": "An entry of the log. Its leaf in the Merkle tree is: kind, a zero byte, fingerprint, body.",
        "fields": [
            {"name": "xid", "type": "long", "doc": "The database transaction that wrote it."},
            {"name": "kind", "type": "string", "doc": "event, command, refusal or act."},
            {"name": "body", "type": "bytes", "doc": "Of an event: its Avro bytes. Of the others: canonical JSON."},
            {"name": "fingerprint", "type": "bytes", "doc": "Of an event: CRC-64-AVRO of the schema of its body."},
            {"name": "traceparent", "type": ["null", "string"], "doc": "Of an event: its Kafka header; not proven."},
        ],
    }
)
"""Fields in the order of `Entry`."""


class ArchiveError(Exception):
    """The archive is not what it says it is, or not the one that was wanted. The message says what to do."""


class NoArchiveError(ArchiveError):
    """There is no archive where one was looked for."""


@dataclass(frozen=True)
class Segment:
    """A segment as its manifest describes it; times are microseconds since the epoch, hashes are hex."""

    file: str
    first_leaf: int
    leaves: int
    first_xid: int
    last_xid: int
    kinds: dict[str, int]
    """Number of entries of each kind."""
    event_types: dict[str, int]
    """Number of events of each type and schema version."""
    fingerprints: tuple[str, ...]
    """Fingerprints of the schemas that the segment's events need, in hex."""
    first_recorded_at: int | None
    last_recorded_at: int | None
    streams: int
    """How many streams the segment has events of."""
    heads_sha256: str
    """SHA-256 over [tenant, type, id, first version, last version, hash of the last] of each stream, as sorted
    canonical JSON.
    """
    size_bytes: int
    sha256: str
    frontier: str
    """Frontier of the Merkle tree after this segment (`Range.to_bytes`): with it the next one can be added."""
    root: str
    """Root of the Merkle tree after this segment."""

    @property
    def end(self) -> int:
        """The number of the first leaf after the segment."""
        return self.first_leaf + self.leaves


def file_name(first_leaf: int, leaves: int) -> str:
    return f"segment-{first_leaf:012}-{leaves}.avro"


def end_of(path: Path) -> int:
    """The number of the first leaf after a segment, read from its file's name."""
    _, first_leaf, leaves = path.name.partition(".")[0].split("-")
    return int(first_leaf) + int(leaves)


def write(path: Path, entries: Iterable[Entry], codec: str) -> None:
    """Write `entries` as a segment's file, durably; `codec` is one of `CODECS`."""
    with path.open("wb") as file:
        records = (entry._asdict() for entry in entries)
        container_writer(file, SCHEMA, records, codec=codec, sync_interval=BLOCK_BYTES)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[Entry]:
    """The entries of a segment's file. Raises ArchiveError where it is cut or damaged; OSError."""
    try:
        with path.open("rb") as file:
            for record in container_reader(file):
                yield Entry(*record.values())  # type: ignore[union-attr]  # a record, by its schema
    except (ValueError, EOFError, IndexError, TypeError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}; restore it from another copy") from error


def check_file(path: Path, segment: Segment) -> None:
    """Check that a file is the one that the manifest names, by its SHA-256. Raises ArchiveError."""
    try:
        with path.open("rb") as file:
            found = file_digest(file, sha256).hexdigest()
    except FileNotFoundError:
        raise ArchiveError(f"{path} is missing; restore it from another copy") from None
    if found != segment.sha256:
        raise ArchiveError(f"{path} was changed: its SHA-256 is {found}, the manifest says {segment.sha256}")


class Tree(Protocol):
    """What entries can be added to, as to a `Range` from the first leaf on."""

    @property
    def root(self) -> bytes: ...
    def append(self, leaf: bytes, /) -> None: ...
    def to_bytes(self) -> bytes: ...


def summarize(path: Path, first_leaf: int, tree: Tree) -> Segment:
    """Read a segment's file back and describe what is in it. `tree` is what lies before it, and grows by its entries.

    Raises ArchiveError; OSError.
    """
    summary = _Summary()
    for entry in read(path):
        tree.append(leaf_hash(entry.leaf))
        summary.take(entry)
    if not summary.leaves:
        raise ArchiveError(f"{path} has no entries")
    with path.open("rb") as opened:
        digest = file_digest(opened, sha256).hexdigest()
    return Segment(
        file=file_name(first_leaf, summary.leaves),
        first_leaf=first_leaf,
        **summary.fields(),
        size_bytes=path.stat().st_size,
        sha256=digest,
        frontier=tree.to_bytes().hex(),
        root=tree.root.hex(),
    )


@dataclass
class _Summary:
    """Counts, times and heads of the entries that it takes."""

    leaves: int = 0
    xids: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    schemas: Counter[bytes] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    heads: dict[tuple[str, str, str], tuple[int, int, bytes]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        self.leaves += 1
        self.xids = [self.xids[0] if self.xids else entry.xid, entry.xid]
        self.kinds[entry.kind] += 1
        if entry.kind != EVENT:
            return
        self.schemas[entry.fingerprint] += 1
        record = decoded(entry)
        time = record["occurred_at"]
        self.times = [min(self.times[0], time), max(self.times[1], time)] if self.times else [time, time]
        stream, version = (record["tenant_id"], record["stream_type"], record["stream_id"]), record["stream_version"]
        first = self.heads[stream][0] if stream in self.heads else version
        self.heads[stream] = first, version, hash_of(entry.body)

    def fields(self) -> dict[str, Any]:
        counts = [(BY_FINGERPRINT[fingerprint], count) for fingerprint, count in self.schemas.items()]
        named = {f"{schema.event_type} {schema.schema_version}": count for schema, count in counts}
        return {
            "leaves": self.leaves,
            "first_xid": self.xids[0],
            "last_xid": self.xids[1],
            "kinds": dict(sorted(self.kinds.items())),
            "event_types": dict(sorted(named.items())),
            "fingerprints": tuple(sorted(fingerprint.hex() for fingerprint in self.schemas)),
            "first_recorded_at": self.times[0] if self.times else None,
            "last_recorded_at": self.times[1] if self.times else None,
            "streams": len(self.heads),
            "heads_sha256": heads_sha256(self.heads),
        }


def heads_sha256(heads: dict[tuple[str, str, str], tuple[int, int, bytes]]) -> str:
    """SHA-256, in hex, over where the streams of a segment begin and end in it."""
    lines = [[*stream, first, last, hash_.hex()] for stream, (first, last, hash_) in sorted(heads.items())]
    return sha256(canonical({"heads": lines})).hexdigest()


def decoded(entry: Entry) -> dict[str, Any]:
    """The decoded envelope of an event's entry. Raises ArchiveError where this code lacks the schema that wrote it."""
    schema = BY_FINGERPRINT.get(entry.fingerprint)
    if schema is None:
        raise ArchiveError(
            f"an event of database transaction {entry.xid} has schema {entry.fingerprint.hex()}, which this version of "
            "the code does not have; the manifest holds it: use the version that wrote it, or a newer one"
        )
    try:
        return schema.decode(entry.body)
    except ValueError as error:
        raise ArchiveError(f"an event of database transaction {entry.xid} cannot be read: {error}") from error
