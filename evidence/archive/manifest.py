"""Manifests: what one export added to an archive, signed.

Each names the one before it by its hash, so that nothing of an archive is ever rewritten and nothing can be left out.
"""

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.archive.segment import ArchiveError, Segment
from evidence.keys import Keys, key_id
from ledger.entry import canonical
from schemas.events import BY_FINGERPRINT

FORMAT = "wagerledger-archive-1"

FILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\.(avro|jsonl|parquet)")


@dataclass(frozen=True)
class File:
    """A file of an archive that is no segment, such as anchors or Parquet; `sha256` is hex."""

    file: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Manifest:
    """What one export added to an archive. Times are microseconds since the epoch, hashes are hex."""

    number: int
    """The manifest's number in its archive: 1, 2, 3, … without a hole."""
    first_leaf: int
    tree_size: int
    """Leaves of the Merkle tree after this export: the first leaf of the next one."""
    root: str
    previous_sha256: str | None
    """SHA-256 of the file of the manifest before this one; null in the first."""
    created_at: int
    segments: tuple[Segment, ...]
    anchors: tuple[File, ...]
    """The signed tree heads up to `tree_size`, as they were published; JSON lines."""
    parquet: tuple[File, ...]
    """The segments' events once more as Parquet, for BI tools."""
    schemas: dict[str, dict[str, Any]]
    """The Avro schemas that the segments' events need, by fingerprint in hex."""

    @property
    def file(self) -> str:
        return f"manifest-{self.number:06}.json"


def schemas_of(segments: tuple[Segment, ...]) -> dict[str, dict[str, Any]]:
    fingerprints = sorted({fingerprint for segment in segments for fingerprint in segment.fingerprints})
    return {fingerprint: BY_FINGERPRINT[bytes.fromhex(fingerprint)].schema for fingerprint in fingerprints}


def to_bytes(manifest: Manifest, key: Ed25519PrivateKey | None) -> bytes:
    """The content of the manifest's file, signed with `key`; None leaves it unsigned."""
    content = {"format": FORMAT, **asdict(manifest)}
    signature = None
    if key:
        signed = b64encode(key.sign(canonical(content))).decode()
        signature = {"key_id": key_id(key.public_key()), "ed25519": signed}
    return json.dumps({"manifest": content, "signature": signature}, indent=1, ensure_ascii=False).encode() + b"\n"


def from_bytes(text: bytes, name: str, keys: Keys | None) -> Manifest:
    """The manifest in a file's content; `name` stands in the messages. Raises ArchiveError where it is no manifest, or
    where `keys` are given and none of them signed it.
    """
    try:
        said = json.loads(text)
        content, signature = said["manifest"], said["signature"]
        if keys is not None:
            _check_signature(content, signature, name, keys)
        if content.pop("format") != FORMAT:
            raise ArchiveError(f"{name} has another format than {FORMAT}; use the version of the code that wrote it")
        segments = tuple(_segment(segment) for segment in content.pop("segments"))
        anchors, parquet = (tuple(File(**file) for file in content.pop(name)) for name in ("anchors", "parquet"))
        _check_names([one.file for one in segments] + [one.file for one in (*anchors, *parquet)], name)
        return Manifest(**content, segments=segments, anchors=anchors, parquet=parquet)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"{name} is no manifest of an archive: {error!r}; restore it from another copy") from error


def _check_names(files: Sequence[str], name: str) -> None:
    """What an archive names is in its folder, or whoever wrote it would have others' files read."""
    for file in files:
        if not FILE_NAME.fullmatch(file):
            raise ArchiveError(f"{name} names {file!r}, which is no file of an archive: it was forged")


def _segment(fields: dict[str, Any]) -> Segment:
    return Segment(**fields | {"fingerprints": tuple(fields["fingerprints"])})


def _check_signature(content: Any, signature: Any, name: str, keys: Keys) -> None:
    if signature is None:
        raise ArchiveError(f"{name} is not signed: nobody vouches for this archive")
    key = keys.get(signature["key_id"])
    if key is None:
        raise ArchiveError(
            f"{name} is signed by the key {signature['key_id']}; WAGERLEDGER_ANCHOR_PUBLIC_KEYS has {', '.join(keys)}"
        )
    try:
        key.verify(b64decode(signature["ed25519"], validate=True), canonical(content))
    except InvalidSignature:
        raise ArchiveError(f"the signature of {name} is wrong: it was changed or forged") from None


def digest(text: bytes) -> str:
    return sha256(text).hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file durably: all of it is there or nothing, also if the machine stops."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names of files in a folder durable: a name is when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
