"""Consecutive segments of an archive, entry by entry: bytes, places in the Merkle tree, and everything that each event
shows without the state of its player.

This is what one process does. It decodes of an event what it checks, and walks over the rest.
"""

import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from fastavro import block_reader

from audit.command_pairs import FIELDS, EventFields, Transaction
from audit.findings import AuditReport
from audit.published_heads import PublishedHead
from audit.stream_run import ACCOUNT_INDEX, EventLink, StreamRun, StreamRuns, check_link, check_postings, key_of
from audit.workers import Tick
from evidence.archive.segment import SCHEMA, ArchiveError, Segment, check_file
from evidence.merkle import Range, leaf_hash
from ledger.core.evolve import PAYLOADS
from ledger.entry import COMMAND, EVENT, Entry
from ledger.streams import PLAYER
from schemas.decoder import block_decoder
from schemas.events import BY_FINGERPRINT, EventSchema

_entries = block_decoder(dict(SCHEMA))  # type: ignore[arg-type]  # a record's schema is a dictionary


_EVENT, _COMMAND = (b"\0%b\0" % kind.encode() for kind in (EVENT, COMMAND))
"""What a leaf's hash is over, before the bytes of an entry."""


_PLAYER = PLAYER.encode()
_kind = itemgetter(1)


@dataclass(frozen=True)
class SegmentsUnit:
    """What one process reads: some segments in a row."""

    folder: Path
    segments: Sequence[Segment]
    frontier: bytes
    """Of the Merkle tree before them, as the manifest has it: the unit of the segments before proves it."""
    heads: Sequence[PublishedHead]
    """Signed heads of tree sizes within them, the smallest first."""
    schemas: Mapping[bytes, dict[str, Any]]
    """By fingerprint, from the manifests: what this version of the code does not know is read as it was written."""

    @property
    def leaves(self) -> int:
        return sum(segment.leaves for segment in self.segments)


@dataclass
class SegmentsResult:
    """What a process found out about its segments."""

    report: AuditReport = field(default_factory=AuditReport)
    streams: StreamRuns = field(default_factory=dict)
    edges: list[Transaction] = field(default_factory=list)
    """Its first and its last database transaction: more entries of these may be in the shares beside it."""
    lost: bool = False
    """A segment could not be read: what its neighbours have of streams does not fit together."""


def read_segments(unit: SegmentsUnit, tick: Tick) -> SegmentsResult:
    """Check the segments of a unit."""
    audit = _SegmentsAudit(unit)
    for segment in unit.segments:
        audit.take(segment, tick)
    return audit.finish()


class _SegmentsAudit:
    def __init__(self, unit: SegmentsUnit) -> None:
        self._unit = unit
        self._heads = deque(unit.heads)
        self._tree = Range.from_bytes(unit.segments[0].first_leaf, unit.frontier)
        self._leaves: list[bytes] = []
        self._agreed = 0
        self._at_edge = True
        self._transaction = Transaction(unit.segments[0].first_xid)
        self._readings: dict[bytes, _Reading] = {}
        self._schemas: Counter[bytes] = Counter()
        self._accounts: Counter[tuple[bytes, bytes, bytes]] = Counter()
        self._result = SegmentsResult()
        self._report = self._result.report

    def take(self, segment: Segment, tick: Tick) -> None:
        """Check the next segment. One that cannot be read to its end leaves a hole: what follows begins anew."""
        path = self._unit.folder / segment.file
        kinds, before, proven = Counter[str](), Counter(self._schemas), True
        try:
            check_file(path, segment)
        except ArchiveError as error:
            self._report.find("archive_changed", None, None, str(error))
            proven = False
        try:
            for rows in blocks(path, unpacked=proven):
                self._take(rows, kinds)
                tick(len(rows))
        except ArchiveError as error:
            self._report.find("archive_unreadable", None, None, str(error))
            self._skip(segment)
            return
        self._check_tree(segment)
        self._check_counts(segment, kinds, self._schemas - before)

    def finish(self) -> SegmentsResult:
        self._result.edges.append(self._transaction)
        for (tenant_id, currency, account), amount_minor in self._accounts.items():
            name = (
                tenant_id.decode(errors="replace"),
                currency.decode(errors="replace"),
                account.decode(errors="replace"),
            )
            self._report.accounts[name] += amount_minor
        checked = self._report.checked
        checked["archive.events"] = self._schemas.total()
        return self._result

    def _take(self, rows: Sequence[tuple[int, str, bytes, bytes, str | None]], kinds: Counter[str]) -> None:
        leaves = self._leaves
        kinds.update(map(_kind, rows))
        for xid, kind, body, fingerprint, _ in rows:
            if xid != self._transaction.xid:
                self._next(xid)
            if kind == EVENT:
                leaves.append(sha256(_EVENT + fingerprint + body).digest())
                self._event(body, fingerprint)
            elif kind == COMMAND:
                leaves.append(sha256(_COMMAND + body).digest())
                self._transaction.take_command(body)
            else:
                leaves.append(leaf_hash(Entry(xid, kind, body, fingerprint).leaf))

    def _next(self, xid: int) -> None:
        """The entries of the next database transaction begin."""
        done = self._transaction
        if self._at_edge:
            self._result.edges.append(done)
            self._at_edge = False
        elif done.events or done.commands:
            done.settle(self._report)
        self._transaction = Transaction(xid)

    def _event(self, body: bytes, fingerprint: bytes) -> None:
        reading = self._readings.get(fingerprint) or self._reading(fingerprint)
        self._schemas[fingerprint] += 1
        if reading is None:
            return
        try:
            event = reading.pick(body)
        except ValueError as error:
            text = f"an event of database transaction {self._transaction.xid}, schema {fingerprint.hex()}: {error}"
            self._report.find("body_undecodable", None, None, text)
            return
        (
            event_type, occurred_at, tenant_id, player_id, _, currency, _, stream_type, stream_id, version, previous,
            wallet_id, postings, _, _, _,
        ) = event  # fmt: skip
        stream, hash_ = (tenant_id, stream_type, stream_id), sha256(body).digest()
        run = self._result.streams.get(stream)
        if run is None:
            run = self._result.streams[stream] = StreamRun(EventLink(version, previous, occurred_at))
        elif version != run.version + 1 or previous != run.hash or occurred_at < run.recorded_at:
            link = EventLink(version, previous, occurred_at)
            run.broken = not check_link(run, link, stream, self._report) or run.broken
        run.version, run.hash, run.recorded_at = version, hash_, occurred_at
        self._transaction.take_event(event, reading.kind)
        wallet = b"%b/%b/%b" % (tenant_id, player_id, currency) if currency and player_id else None
        player = stream_id if stream_type == _PLAYER else None
        if wallet_id != wallet or player_id != player or event_type != reading.event_type:
            self._differs(event, wallet, reading)
        total, mixed = 0, False
        for account, amount_minor, posted in postings:
            total += amount_minor
            mixed = mixed or posted != currency
            if account not in ACCOUNT_INDEX:
                self._accounts[tenant_id, posted, account] += amount_minor
        if total or mixed:
            check_postings(stream, version, currency, postings, self._report)
        if currency:
            run.move(version, currency, postings)

    def _reading(self, fingerprint: bytes) -> "_Reading | None":
        schema = BY_FINGERPRINT.get(fingerprint)
        if schema is None and fingerprint in self._unit.schemas:
            schema = EventSchema("", "", self._unit.schemas[fingerprint])
            schema = schema if schema.fingerprint == fingerprint else None
        if schema is None:
            if not self._schemas[fingerprint]:  # named once
                text = f"neither this version of the code nor the archive has schema {fingerprint.hex()}"
                self._report.find("schema_unknown", None, None, text)
            return None
        payload = PAYLOADS.get(schema.event_type)
        kind = payload.command_kind if payload else None
        reading = _Reading(schema.event_type.encode(), kind, schema.picker(*FIELDS))
        self._readings[fingerprint] = reading
        return reading

    def _differs(self, picked: tuple[Any, ...], wallet_id: bytes | None, reading: "_Reading") -> None:
        """Name what an event repeats in other words than it has said it."""
        event = EventFields._make(picked)
        player_id = event.stream_id if event.stream_type == _PLAYER else None
        wanted = {"event_type": reading.event_type or event.event_type, "player_id": player_id, "wallet_id": wallet_id}
        for name, value in wanted.items():
            if getattr(event, name) != value:
                text = f"{name} is {getattr(event, name)!r} in the bytes, and {value!r} by what stands beside it"
                self._report.find("column_differs", key_of(event.stream), event.stream_version, text)

    def _check_tree(self, segment: Segment) -> None:
        done, first = 0, segment.first_leaf
        while self._heads and self._heads[0].tree_size <= segment.end:
            head = self._heads.popleft()
            self._tree.extend(self._leaves[done : head.tree_size - first])
            done = head.tree_size - first
            if (self._tree.end, self._tree.root) == (head.tree_size, head.root):
                self._agreed = head.tree_size
            elif self._tree.end == head.tree_size:
                text = f"the first {head.tree_size} entries have root {self._tree.root.hex()}, and {head.where} signed "
                text += f"{head.root.hex()}: what differs is among the leaves from {self._agreed} on"
                self._report.find("archive_not_anchored", None, None, text)
            self._report.checked["archive.heads"] = self._report.checked.get("archive.heads", 0) + 1
        self._tree.extend(self._leaves[done:])
        self._leaves.clear()
        said = segment.end, segment.root, segment.frontier
        found = self._tree.end, self._tree.root.hex(), self._tree.to_bytes().hex()
        if said != found:
            text = f"{segment.file} leads to {found[0]} entries with root {found[1]}; "
            text += f"the manifest says {said[0]} with root {said[1]}"
            self._report.find("archive_differs", None, None, text)
            self._tree = Range.from_bytes(segment.end, bytes.fromhex(segment.frontier))

    def _check_counts(self, segment: Segment, kinds: Counter[str], schemas: Counter[bytes]) -> None:
        types: Counter[str] = Counter()
        for fingerprint, count in schemas.items():
            schema = BY_FINGERPRINT.get(fingerprint)
            types[f"{schema.event_type} {schema.schema_version}" if schema else "unknown"] += count
        known = segment.event_types if "unknown" not in types else types
        for said, found in ((segment.kinds, kinds), (known, types)):
            if said != found:
                text = f"{segment.file} holds {dict(found)}; the manifest says {said}"
                self._report.find("archive_differs", None, None, text)

    def _skip(self, segment: Segment) -> None:
        self._tree = Range.from_bytes(segment.end, bytes.fromhex(segment.frontier))
        self._leaves.clear()
        while self._heads and self._heads[0].tree_size <= segment.end:
            self._heads.popleft()
        self._result.streams.clear()
        self._result.lost = True
        self._at_edge = True
        self._transaction = Transaction(segment.last_xid)


class _Reading(NamedTuple):
    """How events of one schema are read."""

    event_type: bytes
    """Empty where this version of the code does not know it."""
    kind: str | None
    """Of the commands that cause them; None where that is not known."""
    pick: Callable[[bytes], tuple[Any, ...]]


def blocks(path: Path, *, unpacked: bool = True) -> Iterator[list[tuple[Any, ...]]]:
    """The entries of a segment, block by block. Raises ArchiveError where the file is cut or damaged.

    What nobody vouches for is not `unpacked`: a few bytes can become more than any memory holds.
    """
    try:
        with path.open("rb") as file:
            found = block_reader(file)
            if not unpacked and found.codec != "null":
                raise ArchiveError(f"{path} is packed and was changed, so it is not read; restore it from another copy")
            for block in found:
                yield _entries(block.bytes_.getvalue(), block.num_records)  # type: ignore[attr-defined]  # a Block, compiled
    except (ValueError, LookupError, TypeError, EOFError, MemoryError, OSError, zlib.error) as error:
        raise ArchiveError(f"{path} cannot be read to its end: {error!r}; restore it from another copy") from error
