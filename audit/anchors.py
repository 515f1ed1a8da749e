"""The log against its anchors: today's entries are the sealed ones, and the tree over them is the one that was signed.

Three stories must agree: the entries as they are, their hashes as they were sealed (which name each entry that
differs), and the heads as they were published (which stay, whoever rewrites the database).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection, IsolationLevel

from audit.differences import ADDED, CHANGED, MISSING, MOVED, EntryDifference, differences, name_of
from audit.findings import AuditReport, CannotCheckError
from audit.published_heads import PublishedHead, read_heads
from audit.snapshot import SESSION
from audit.sources import Sources
from evidence import anchors, log, merkle
from evidence.anchors import Chunk
from evidence.archive.detached_months import SPANS
from evidence.archive.reader import Archive
from evidence.heads import SignedHead
from evidence.keys import AnchorKeyError, Keys, trusted_keys
from evidence.merkle import Range
from ledger.entry import EVENT, Entry
from patience import session
from runtime.clock import to_datetime
from runtime.progress import Progress, silent
from schemas.events import BY_FINGERPRINT

SEALED = "select coalesce(max(first_leaf + leaves), 0), coalesce(max(last_xid), 0) from wagerledger.sealed_leaves"
ANCHORS = "select tree_size, frontier, signed_head::text from wagerledger.anchors order by tree_size"


def verify_anchors(
    sources: Sources,
    report: AuditReport,
    progress: Progress = silent,
    *,
    files: Sequence[Path] = (),
    archive: Archive | None = None,
) -> None:
    """Check the log against the heads of `files`, or without any of the topic.

    `archive` has the events of the months that were detached. Raises CannotCheckError.
    """
    try:
        trusted = trusted_keys(sources.settings)
    except AnchorKeyError as error:
        raise CannotCheckError(str(error)) from error
    published = read_heads(sources, files, trusted, report)  # before the database, which then knows all of them
    with _reading(sources) as connection:
        walk = _Walk(sorted([*published, *_stored_heads(connection, trusted, report)]), report)
        walk.take(connection, progress)
        for suspect in walk.suspects:
            _name(connection, suspect, _Archived(connection, archive), report)
    report.checked["anchors.entries"] = walk.sealed.end


# Along the log -------------------------------------------------------------------------------------------------------


class Suspect(NamedTuple):
    """A chunk whose entries are not what was sealed."""

    chunk: Chunk
    after_xid: int


@dataclass
class _Walk:
    """The tree as it was sealed, chunk by chunk, under the heads that were signed over it."""

    heads: list[PublishedHead]
    report: AuditReport
    sealed: Range = field(default_factory=Range)
    found: Range | None = None
    """The tree over the entries as they are, from where it is another one."""
    suspects: list[Suspect] = field(default_factory=list)
    _next: int = 0
    _agreed: int = 0
    """Entries up to the last head that agreed."""

    def take(self, connection: Connection[Any], progress: Progress) -> None:
        (total, last_xid) = connection.execute(SEALED).fetchone() or (0, 0)
        after_xid = 0
        with (
            closing(log.entries(connection, 0, last_xid)) as entries,
            connection.cursor("sealed", binary=True) as cursor,
        ):
            portions = _Portions(entries)
            cursor.itersize = 8
            for row in cursor.execute(anchors.CHUNKS_FROM, [0]):
                chunk = Chunk(*row)
                if not self._follows(chunk):
                    break
                found = [merkle.leaf_hash(entry.leaf) for entry in portions.up_to(chunk.last_xid)]
                self._add(chunk, found, after_xid)
                after_xid = chunk.last_xid
                progress("anchors", chunk.end, total)
        for head in self.heads[self._next :]:
            text = f"{head.where}: {head.tree_size} entries were anchored, generation {head.generation}"
            self.report.find("anchor_ahead", None, None, f"{text}; only {self.sealed.end} are sealed here")

    def _add(self, chunk: Chunk, found: Sequence[bytes], after_xid: int) -> None:
        sealed = merkle.hashes(chunk.hashes)
        if found != sealed:
            self.suspects.append(Suspect(chunk, after_xid))
            self.found = self.found or deepcopy(self.sealed)
        if self.found:
            self.found.extend(found)
        while self._next < len(self.heads) and (size := self.heads[self._next].tree_size) <= chunk.end:
            self.sealed.extend(sealed[self.sealed.end - chunk.first_leaf : size - chunk.first_leaf])
            self._compare(size)
        self.sealed.extend(sealed[self.sealed.end - chunk.first_leaf :])

    def _follows(self, chunk: Chunk) -> bool:
        if chunk.first_leaf == self.sealed.end and len(chunk.hashes) == merkle.HASH_BYTES * chunk.leaves:
            return True
        text = f"the chunk of leaf {chunk.first_leaf} does not follow leaf {self.sealed.end - 1}"
        self.report.find("sealed_leaves_broken", None, None, text)
        return False

    def _compare(self, size: int) -> None:
        """All heads of this size: with each other, and with the tree."""
        end = bisect_right(self.heads, size, key=attrgetter("tree_size"))
        heads, self._next = self.heads[self._next : end], end
        if len({head.root for head in heads}) > 1:
            text = "; ".join(f"{head.where} has root {head.root.hex()}" for head in heads)
            self.report.find("anchor_forked", None, None, f"{size} entries: {text}")
        self._trust_entries(heads[0])
        root = self.sealed.root
        for head in heads:
            if head.root != root:
                text = f"{head.where}: root {head.root.hex()} was signed over {size} entries, generation "
                text += f"{head.generation}; here they have {root.hex()}. What differs is among the leaves from "
                self.report.find("anchor_contradicted", None, None, f"{text}{self._agreed} to {size - 1}")
        if all(head.root == root for head in heads):
            self._agreed = size

    def _trust_entries(self, head: PublishedHead) -> None:
        """Where the entries are those that were signed, it is their stored hashes that were changed."""
        if self.found and self.found.end == head.tree_size and self.found.root == head.root:
            text = f"table sealed_leaves has other hashes than were signed among the leaves {self._agreed} to "
            text += f"{head.tree_size - 1}; the entries themselves are the signed ones"
            self.report.find("sealed_leaves_changed", None, None, text)
            self.suspects = [suspect for suspect in self.suspects if suspect.chunk.end <= self._agreed]
            self.sealed, self.found = self.found, None


class _Portions:
    """Entries in portions, each up to and with an xid."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._next = next(entries, None)

    def up_to(self, xid: int) -> Iterator[Entry]:
        while self._next and self._next.xid <= xid:
            yield self._next
            self._next = next(self._entries, None)


def _stored_heads(connection: Connection[Any], trusted: Keys, report: AuditReport) -> Iterator[PublishedHead]:
    """The heads of table `anchors` that are signed. They prove nothing by themselves, but must not lie either."""
    for tree_size, frontier, line in connection.execute(ANCHORS):
        where = f"table anchors, {tree_size} entries"
        try:
            signed = SignedHead.parse(line)
            root = Range.from_bytes(tree_size, frontier).root
        except ValueError as error:
            report.find("anchor_unreadable", None, None, f"{where}: {error}")
            continue
        if not signed.valid(trusted):
            report.find("anchor_forged", None, None, f"{where}: no valid signature of a trusted key")
        elif (signed.tree_size, bytes.fromhex(signed.head.root)) != (tree_size, root):
            report.find("anchor_forged", None, None, f"{where}: its columns are not what its head says")
        else:
            yield PublishedHead(tree_size, root, signed.head.generation, where)


# Naming what differs -------------------------------------------------------------------------------------------------


class _Archived:
    """What the archive holds of the months that were detached."""

    def __init__(self, connection: Connection[Any], archive: Archive | None) -> None:
        self._spans = connection.execute(SPANS).fetchall()
        self._archive = archive

    def covers(self, leaf: int) -> bool:
        return any(first <= leaf < end for _, first, end in self._spans)

    def events(self, chunk: Chunk) -> dict[int, bytes]:
        """Leaf hashes of the chunk's events that were detached. Raises CannotCheckError where there is no archive."""
        if self._archive is None:
            raise CannotCheckError(
                f"leaves {chunk.first_leaf} to {chunk.end - 1} have events of months that were detached: give their "
                "archive (--archive DIR)"
            )
        found: dict[int, bytes] = {}
        for segment in self._archive.segments:
            if segment.first_leaf < chunk.end and chunk.first_leaf < segment.end:
                entries = enumerate(self._archive.read(segment), segment.first_leaf)
                found |= {leaf: merkle.leaf_hash(entry.leaf) for leaf, entry in entries if self._detached(leaf, entry)}
        return found

    def _detached(self, leaf: int, entry: Entry) -> bool:
        if entry.kind != EVENT or not self.covers(leaf):
            return False
        recorded = to_datetime(BY_FINGERPRINT[entry.fingerprint].decode(entry.body)["occurred_at"])
        return any(
            first <= leaf < end and (month.year, month.month) == (recorded.year, recorded.month)
            for month, first, end in self._spans
        )


def _name(connection: Connection[Any], suspect: Suspect, archived: _Archived, report: AuditReport) -> None:
    chunk = suspect.chunk
    sealed = merkle.hashes(chunk.hashes)
    found = list(log.entries(connection, suspect.after_xid, chunk.last_xid))
    differing = list(differences(sealed, [merkle.leaf_hash(entry.leaf) for entry in found]))
    if any(one.code == MISSING and archived.covers(chunk.first_leaf + one.leaf) for one in differing):
        kept = archived.events(chunk)
        differing = [
            one for one in differing if one.code != MISSING or kept.get(chunk.first_leaf + one.leaf) != sealed[one.leaf]
        ]
    for difference in differing:
        _find(difference, chunk, sealed, found, report)


def _find(
    difference: EntryDifference, chunk: Chunk, sealed: Sequence[bytes], found: Sequence[Entry], report: AuditReport
) -> None:
    code, index, there = difference
    leaf = f"leaf {chunk.first_leaf + index}"
    if code == MISSING:
        after = f"after {name_of(found[there - 1]).text}" if there else "at the chunk's beginning"
        text = f"{leaf} was sealed with hash {sealed[index].hex()} and is gone; it stood {after}"
        report.find(code, None, None, text)
        return
    name = name_of(found[there])
    texts = {
        CHANGED: f"{leaf} was sealed with another content than {name.text} has now",
        ADDED: f"{name.text} stands before {leaf} and was not sealed",
        MOVED: f"{name.text} stands at {leaf}, where another entry was sealed",
    }
    report.find(code, name.stream, name.version, texts[code])


@contextmanager
def _reading(sources: Sources) -> Iterator[Connection[Any]]:
    """One snapshot of the ledger's database. Raises CannotCheckError where it cannot be read."""
    try:
        with closing(
            session.connect(
                sources.settings.database_url.get_secret_value(), SESSION, application_name="wagerledger audit"
            )
        ) as connection:
            connection.autocommit = False
            connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
            yield connection
    except psycopg.Error as error:
        reason = str(error).strip() or type(error).__name__
        text = f"the database of WAGERLEDGER_DATABASE_URL cannot be read: {reason}; check the variable and the grants"
        raise CannotCheckError(text) from error
