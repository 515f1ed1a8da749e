"""An archive as one sequence of entries: needs the folder and nothing else.

Opening proves the manifests (signatures, no gap, nothing left out), reading a segment proves its file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from evidence.archive import manifest, segment
from evidence.archive.manifest import File, Manifest
from evidence.archive.segment import ArchiveError, NoArchiveError, Segment
from evidence.keys import Keys
from ledger.entry import Entry


@dataclass(frozen=True)
class Archive:
    """An archive as the manifests of its folder describe it, after they were checked."""

    folder: Path
    manifests: tuple[Manifest, ...]
    last_sha256: str | None
    """SHA-256 of the last manifest's file, in hex: what the next manifest names."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments of the archive, in the order of their leaves."""
        return tuple(segment for manifest in self.manifests for segment in manifest.segments)

    @property
    def tree_size(self) -> int:
        """How many entries the archive holds: the first ones of the log, without a gap."""
        return self.manifests[-1].tree_size if self.manifests else 0

    @property
    def root(self) -> str | None:
        """The Merkle root over all entries of the archive, in hex; None where it is empty."""
        return self.manifests[-1].root if self.manifests else None

    def path(self, of: Segment | File) -> Path:
        return self.folder / of.file

    def read(self, of: Segment) -> Iterator[Entry]:
        """The entries of one segment, after its file was proven. Raises ArchiveError; OSError."""
        segment.check_file(self.path(of), of)
        return segment.read(self.path(of))

    def unnamed(self) -> list[str]:
        """Segments and Parquet files that no manifest names, such as a stopped export's: nothing is known of them."""
        named = {one.file for one in self.segments}
        named |= {one.file for manifest in self.manifests for one in manifest.parquet}
        found = {path.name for path in self.folder.iterdir() if path.suffix in (".avro", ".parquet", ".part")}
        return sorted(found - named)

    def entries(self) -> Iterator[Entry]:
        """Every entry of the archive, in the order of the log. Raises ArchiveError; OSError."""
        for one in self.segments:
            yield from self.read(one)

    def anchors(self) -> Iterator[str]:
        """The signed tree heads, as they were published, the smallest tree first. Raises ArchiveError; OSError."""
        for file in (file for one in self.manifests for file in one.anchors):
            text = self.path(file).read_bytes()
            if manifest.digest(text) != file.sha256:
                raise ArchiveError(f"{self.path(file)} was changed; restore it from another copy")
            yield from text.decode().splitlines()


def open_archive(folder: Path, keys: Keys | None) -> Archive:
    """Open the archive in a folder, perhaps an empty one: read and check its manifests, their signatures only with
    `keys`. Raises ArchiveError; OSError.
    """
    if not folder.is_dir():
        raise NoArchiveError(f"there is no folder {folder}")
    manifests: list[Manifest] = []
    last_sha256: str | None = None
    for number, path in enumerate(sorted(folder.glob("manifest-*.json")), start=1):
        text = path.read_bytes()
        read = manifest.from_bytes(text, str(path), keys)
        if (read.number, read.previous_sha256, read.file) != (number, last_sha256, path.name):
            raise ArchiveError(f"{path} does not follow the manifest before it: one is missing or was replaced")
        manifests.append(read)
        last_sha256 = manifest.digest(text)
    archive = Archive(folder, tuple(manifests), last_sha256)
    _check_gaps(archive)
    return archive


def open_filled(folder: Path, keys: Keys | None) -> Archive:
    """Open an archive that must hold something, else as `open_archive`. Raises NoArchiveError where it is empty;
    ArchiveError; OSError.
    """
    archive = open_archive(folder, keys)
    if not archive.manifests:
        raise NoArchiveError(f"{folder} holds no manifest: no export into it has come to its end")
    return archive


def _check_gaps(archive: Archive) -> None:
    ends = [0, *(segment.end for segment in archive.segments)]
    for end, following in zip(ends, archive.segments, strict=False):
        if following.first_leaf != end:
            raise ArchiveError(f"{archive.path(following)} begins at leaf {following.first_leaf} instead of {end}")
    for before, after in pairwise(archive.manifests):
        if after.first_leaf != before.tree_size:
            raise ArchiveError(f"{after.file} begins at leaf {after.first_leaf} instead of {before.tree_size}")
    if archive.tree_size != ends[-1]:
        raise ArchiveError(f"{archive.folder} says {archive.tree_size} entries, its segments have {ends[-1]}")
