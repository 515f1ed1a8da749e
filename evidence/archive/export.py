"""Exporting: what is sealed in the database and not yet in the archive goes into it.

A crash leaves segments that no manifest names; the next run takes over those that are what the log says.
"""

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection, IsolationLevel

from evidence import anchors, log
from evidence.anchors import Anchor
from evidence.archive import manifest, parquet, segment
from evidence.archive.manifest import File, Manifest
from evidence.archive.reader import Archive, open_archive
from evidence.archive.segment import ArchiveError, Segment
from evidence.keys import Keys
from evidence.merkle import Range
from ledger.entry import EVENT, Entry
from patience import session
from runtime.progress import StageProgress

ANCHORS = """
select tree_size, last_xid, frontier, signed_head::text from wagerledger.anchors where tree_size > %s order by tree_size
"""

SESSION = {"idle_in_transaction_session_timeout": "0", "statement_timeout": "0", "timezone": "UTC"}


@dataclass(frozen=True)
class Options:
    """How an archive is written: who signs it, and how its segments look."""

    key: Ed25519PrivateKey | None
    """The private key that signs the manifest; None writes it unsigned."""
    known_keys: Keys | None
    """The public keys that may have signed the manifests that are there already; None checks no signature."""
    parquet: bool = False
    codec: str = "null"
    segment_leaves: int = segment.LEAVES
    """Most entries of a segment, a power of two."""


def export(
    url: str, folder: Path, options: Options, progress: StageProgress = lambda done, total: None
) -> Manifest | None:
    """Add to the archive in `folder` what the database has sealed and the archive lacks. Gives the new manifest; None
    where there was nothing to add.

    Raises ArchiveError where the archive is damaged or the log is not what was anchored; psycopg.Error; OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = open_archive(folder, options.known_keys)
    with session.connect(url, SESSION, application_name="wagerledger export") as connection:
        connection.autocommit = False
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return _Export(connection, archive, options, progress).run()


class _Export:
    """One run of an export."""

    def __init__(
        self, connection: Connection[Any], archive: Archive, options: Options, progress: StageProgress
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._options = options
        self._progress = progress
        self._begin = self._known_anchor()
        self._set_aside: list[Path] = []
        self._anchors = [Anchor(*row) for row in connection.execute(ANCHORS, [archive.tree_size], binary=True)]

    def run(self) -> Manifest | None:
        segments = self._segments() if self._anchors else ()
        tables = self._parquet((*self._archive.segments, *segments)) if self._options.parquet else ()
        if not segments and not tables:
            return None
        last = self._anchors[-1] if self._anchors else self._begin
        archive = self._archive
        added = Manifest(
            number=len(archive.manifests) + 1,
            first_leaf=archive.tree_size,
            tree_size=last.tree_size,
            root=last.head.root,
            previous_sha256=archive.last_sha256,
            created_at=time.time_ns() // 1000,
            segments=segments,
            anchors=self._write_anchors(),
            parquet=tables,
            schemas=manifest.schemas_of(segments),
        )
        manifest.write_durably(archive.folder / added.file, manifest.to_bytes(added, self._options.key))
        for path in self._set_aside:
            if segment.end_of(path) <= added.tree_size:
                path.unlink()
        return added

    def _known_anchor(self) -> Anchor:
        """Where the archive ends: a tree that this database has sealed too, or it is another log's archive."""
        archive = self._archive
        if not archive.manifests:
            return Anchor(0, 0, b"", "")
        anchor = anchors.last_up_to(self._connection, archive.tree_size)
        if anchor is None or (anchor.tree_size, anchor.head.root) != (archive.tree_size, archive.root):
            raise ArchiveError(
                f"{archive.folder} ends with a tree of {archive.tree_size} entries that this database has not sealed: "
                "it is another log's archive, or this log was changed; run `wagerledger audit verify --anchors`"
            )
        return anchor

    # Segments

    def _segments(self) -> tuple[Segment, ...]:
        """Write what follows, each segment read back and proven with the anchors."""
        tree, segments = self._left_by_a_crash()
        end, leaves = self._anchors[-1].tree_size, self._options.segment_leaves
        with closing(self._entries(tree.size)) as entries:
            while (first := tree.size) < end:
                portion = islice(entries, min((first // leaves + 1) * leaves, end) - first)
                segments.append(self._write(first, portion, tree))
                self._progress(tree.size - self._archive.tree_size, end - self._archive.tree_size)
        return tuple(segments)

    def _entries(self, first_leaf: int) -> Generator[Entry]:
        """What the database has from `first_leaf` up to the last anchor."""
        entries = log.entries(self._connection, self._begin.last_xid, self._anchors[-1].last_xid)
        yield from islice(entries, first_leaf - self._begin.tree_size, None)

    def _write(self, first_leaf: int, entries: Iterable[Entry], tree: "_Tree") -> Segment:
        path = self._archive.folder / f".segment-{first_leaf:012}.part"
        segment.write(path, entries, self._options.codec)
        found = segment.summarize(path, first_leaf, tree)
        path.rename(self._archive.folder / found.file)
        manifest.sync_folder(self._archive.folder)
        return found

    def _left_by_a_crash(self) -> tuple["_Tree", list[Segment]]:
        """Segments that no manifest names yet, up to where an anchor proves them; what follows is written again."""
        folder, known = self._archive.folder, self._archive.segments
        tree, found = _Tree(known, self._anchors), list[Segment]()
        try:
            while path := next(folder.glob(f"segment-{tree.size:012}-*.avro"), None):
                found.append(segment.summarize(path, tree.size, tree))
            proven = [one for one in found if one.end <= tree.proven]
        except ArchiveError:
            proven = []
        kept = {one.file for one in (*known, *proven)}
        for path in folder.glob("segment-*.avro"):
            if path.name not in kept:
                self._set_aside.append(path.rename(f"{path}.unproven"))
        return _Tree((*known, *proven), self._anchors), proven

    # What lies beside them

    def _write_anchors(self) -> tuple[File, ...]:
        if not self._anchors:
            return ()
        name = f"anchors-{self._anchors[-1].tree_size:012}.jsonl"
        text = "".join([f"{anchor.line}\n" for anchor in self._anchors]).encode()
        manifest.write_durably(self._archive.folder / name, text)
        return (File(name, manifest.digest(text), len(self._anchors)),)

    def _parquet(self, segments: Iterable[Segment]) -> tuple[File, ...]:
        """For each segment whose events are not there as Parquet yet."""
        known = {file.file for one in self._archive.manifests for file in one.parquet}
        return tuple(
            parquet.write(self._archive.folder, one)
            for one in segments
            if EVENT in one.kinds and parquet.file_name(one) not in known
        )


class _Tree:
    """The tree as the segments make it, which must have each anchor's root where that was sealed."""

    def __init__(self, segments: Sequence[Segment], anchors: Iterable[Anchor]) -> None:
        size, frontier = (segments[-1].end, segments[-1].frontier) if segments else (0, "")
        self._leaves = Range.from_bytes(size, bytes.fromhex(frontier))
        self._anchors = (anchor for anchor in anchors if anchor.tree_size > size)
        self._next = next(self._anchors, None)
        self.proven = 0
        """Size of the largest tree that was found as it was signed."""

    @property
    def size(self) -> int:
        return self._leaves.end

    @property
    def root(self) -> bytes:
        return self._leaves.root

    def to_bytes(self) -> bytes:
        return self._leaves.to_bytes()

    def append(self, leaf: bytes) -> None:
        """Add the next leaf to the tree. Raises ArchiveError."""
        self._leaves.append(leaf)
        if self._next and self._next.tree_size == self.size:
            if (root := self.root.hex()) != (signed := self._next.head.root):
                raise ArchiveError(
                    f"the log's first {self.size} entries have the root {root}, but {signed} was signed: "
                    "the log was changed, or months of it are detached and only in another archive; "
                    "run `wagerledger audit verify --anchors`"
                )
            self._next, self.proven = next(self._anchors, None), self.size
