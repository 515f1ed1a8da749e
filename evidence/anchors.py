"""Tables `sealed_leaves` and `anchors`: the tree over the log as it was sealed, and the heads that were signed over it.

Leaves are stored chunk by chunk, each in a database transaction of its own, and a head is signed over what is stored.
So a stop between any two steps costs nothing: the tree is what the chunks say, and lacks a head until the next one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import Connection

from evidence import heads, log, merkle
from evidence.heads import SignedHead, TreeHead
from evidence.merkle import Range
from ledger.entry import Entry

CHUNK_LEAVES = 65_536

GENERATION = "select max(generation) from wagerledger.log_generation"

NEWEST = """
select tree_size, last_xid, frontier, signed_head::text from wagerledger.anchors order by tree_size desc limit 1
"""
LAST_UP_TO = """
select tree_size, last_xid, frontier, signed_head::text from wagerledger.anchors where tree_size <= %s
order by tree_size desc limit 1
"""
FIRST_FROM = """
select tree_size, last_xid, frontier, signed_head::text from wagerledger.anchors where tree_size >= %s
order by tree_size limit 1
"""
LINES_AFTER = "select signed_head::text from wagerledger.anchors where tree_size > %s order by tree_size"
# After a restore the new generation begins below what was published of the old one.
LINES_OF_LATER_GENERATIONS = """
select signed_head::text from wagerledger.anchors
where (signed_head -> 'head' ->> 'generation')::integer > %s and tree_size <= %s order by tree_size
"""

CHUNKS_FROM = """
select first_leaf, leaves, hashes, last_xid from wagerledger.sealed_leaves where first_leaf >= %s order by first_leaf
"""

ADD_CHUNK = """
insert into wagerledger.sealed_leaves (first_leaf, leaves, hashes, last_xid) values (%s, %s, %s, %s)
"""
ADD_ANCHOR = """
insert into wagerledger.anchors (tree_size, last_xid, frontier, signed_head) values (%s, %s, %s, %s)
"""


class AnchorsError(Exception):
    """The tables contradict themselves: somebody changed them. The message says where."""


class Anchor(NamedTuple):
    """A row of the table `anchors`: a signed tree head, and what is needed to go on from its tree."""

    tree_size: int
    last_xid: int
    frontier: bytes
    line: str

    @property
    def head(self) -> TreeHead:
        """The tree head as it was signed. Raises HeadError where the stored text is none."""
        return SignedHead.parse(self.line).head

    def range(self) -> Range:
        """The tree's frontier, proven by the head beside it. Raises AnchorsError where the two do not fit."""
        try:
            frontier, head = Range.from_bytes(self.tree_size, self.frontier), self.head
        except ValueError as error:
            raise AnchorsError(f"anchor of {self.tree_size} leaves: {error}") from error
        if (head.tree_size, head.root) != (self.tree_size, frontier.root.hex()):
            raise AnchorsError(f"anchor of {self.tree_size} leaves: its frontier is not that of its signed head")
        return frontier


class Chunk(NamedTuple):
    """A row of the table `sealed_leaves`: leaf hashes in a row, up to the end of a database transaction."""

    first_leaf: int
    leaves: int
    hashes: bytes
    last_xid: int

    @property
    def end(self) -> int:
        """The number of the first leaf after this chunk."""
        return self.first_leaf + self.leaves


@dataclass
class Tree:
    """The Merkle tree over the log, as far as its leaves are stored, with the newest head that was signed over it."""

    frontier: Range = field(default_factory=Range)
    last_xid: int = 0
    newest: SignedHead | None = None

    @property
    def size(self) -> int:
        """How many leaves are stored."""
        return self.frontier.end

    @property
    def anchored(self) -> int:
        """How many leaves the newest signed head covers; 0 before the first head."""
        return self.newest.tree_size if self.newest else 0

    def add(self, chunk: Chunk) -> None:
        if chunk.first_leaf != self.size or len(chunk.hashes) != merkle.HASH_BYTES * chunk.leaves:
            raise AnchorsError(f"table sealed_leaves: the chunk of leaf {chunk.first_leaf} does not follow {self.size}")
        self.frontier.extend(merkle.hashes(chunk.hashes))
        self.last_xid = chunk.last_xid


def load(connection: Connection[Any]) -> Tree:
    """The sealed tree as the tables have it now: the newest anchor, and the chunks stored after it. Raises
    AnchorsError.
    """
    tree = Tree()
    if row := connection.execute(NEWEST, binary=True).fetchone():
        anchor = Anchor(*row)
        tree = Tree(anchor.range(), anchor.last_xid, SignedHead.parse(anchor.line))
    for chunk in chunks(connection, tree.size):
        tree.add(chunk)
    return tree


def extend(tree: Tree, reader: Connection[Any], writer: Connection[Any]) -> Iterator[int]:
    """Store the leaves of what follows in the log and lies behind the horizon; gives the tree's size after each chunk.

    `reader` is REPEATABLE READ; `writer` commits each chunk, because an open writing transaction holds up the horizon.
    """
    with reader.transaction():
        entries = log.entries(reader, tree.last_xid, log.horizon(reader))
        for last_xid, leaves in _whole_transactions(entries):
            chunk = Chunk(tree.size, len(leaves), b"".join(leaves), last_xid)
            with writer.transaction():
                writer.execute(ADD_CHUNK, chunk)
            tree.add(chunk)
            yield tree.size


def anchor(tree: Tree, writer: Connection[Any], key: Ed25519PrivateKey, name: str) -> SignedHead:
    """Sign a head over the whole stored tree and store it as the newest anchor; gives the signed head."""
    signed = heads.sign(
        key,
        log=name,
        generation=generation(writer),
        tree_size=tree.size,
        root=tree.frontier.root,
        previous=tree.newest,
    )
    with writer.transaction():
        writer.execute(ADD_ANCHOR, Anchor(tree.size, tree.last_xid, tree.frontier.to_bytes(), signed.line))
    tree.newest = signed
    return signed


def chunks(connection: Connection[Any], first_leaf: int) -> Iterator[Chunk]:
    """The stored chunks from the one that begins at `first_leaf` on, read a few at a time."""
    with connection.transaction(), connection.cursor("chunks", binary=True) as cursor:
        cursor.itersize = 8
        cursor.execute(CHUNKS_FROM, [first_leaf])
        yield from (Chunk(*row) for row in cursor)


def last_up_to(connection: Connection[Any], tree_size: int) -> Anchor | None:
    """The newest anchor whose tree has at most `tree_size` leaves; None where there is none."""
    row = connection.execute(LAST_UP_TO, [tree_size], binary=True).fetchone()
    return Anchor(*row) if row else None


def heads_after(connection: Connection[Any], last: TreeHead | None, newest: TreeHead) -> list[SignedHead]:
    """The stored heads that were signed after `last` (all for None), up to `newest`, which is stored as well."""
    rows = connection.execute(LINES_AFTER, [last.tree_size if last else 0]).fetchall()
    if last and newest.generation > last.generation:
        rows = connection.execute(LINES_OF_LATER_GENERATIONS, [last.generation, last.tree_size]).fetchall() + rows
    return [SignedHead.parse(line) for (line,) in rows]


def generation(connection: Connection[Any]) -> int:
    row = connection.execute(GENERATION).fetchone()
    assert row
    return int(row[0])


def _whole_transactions(entries: Iterable[Entry]) -> Iterator[tuple[int, list[bytes]]]:
    """Leaf hashes in chunks, with the last xid of each: cut only between database transactions."""
    leaves: list[bytes] = []
    xid = 0
    for entry in entries:
        if entry.xid != xid and len(leaves) >= CHUNK_LEAVES:
            yield xid, leaves
            leaves = []
        xid = entry.xid
        leaves.append(merkle.leaf_hash(entry.leaf))
    if leaves:
        yield xid, leaves
