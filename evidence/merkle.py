"""The Merkle tree of RFC 9162, section 2.1, over SHA-256: an append-only log's root, and its short proofs.

A `Range` holds what is needed of some leaves in a row to go on: the roots of the largest perfect subtrees, one or two
per level. From the first leaf on it is the tree's frontier, and costs nothing to keep.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple, Self

HASH_BYTES = 32
EMPTY_ROOT = sha256().digest()

Subtree = Callable[[int, int], bytes]
"""A function that gives the Merkle root over the leaves [first, end)."""


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Node(NamedTuple):
    """The root of a perfect subtree: one of 2**level leaves."""

    level: int
    hash: bytes


@dataclass
class Range:
    """The leaves [first, end) of a tree, held as the fewest perfect subtrees that the whole tree has too."""

    first: int = 0
    end: int = field(default=-1)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.end = max(self.first, self.end)

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given by its hash (`leaf_hash`)."""
        self.push(Node(0, leaf))

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many leaves, given by their hashes: as `append` does, but each level in one go."""
        done = 0
        while done < len(leaves):
            level = (len(leaves) - done).bit_length() - 1
            if self.end:
                level = min(level, _trailing_zeros(self.end))
            self.push(Node(level, _perfect_root(leaves[done : done + (1 << level)])))
            done += 1 << level

    def join(self, following: "Range") -> None:
        """Add the leaves of a range that begins where this one ends."""
        assert following.first == self.end, f"leaf {following.first} does not follow {self.end - 1}"
        for node in following.nodes:
            self.push(node)

    def push(self, node: Node) -> None:
        """Add a perfect subtree. Its size must divide the number of leaves before it."""
        level, hash_ = node
        assert self.end % (1 << level) == 0, f"no subtree of level {level} begins at leaf {self.end}"
        start, self.end = self.end, self.end + (1 << level)
        # While it is a right child, and its sibling is ours, both become their parent.
        while self.nodes and self.nodes[-1].level == level and start >> level & 1:
            hash_ = node_hash(self.nodes.pop().hash, hash_)
            start -= 1 << level
            level += 1
        self.nodes.append(Node(level, hash_))

    @property
    def root(self) -> bytes:
        """The root over these leaves as a tree of their own; the range must begin where so large a subtree can."""
        levels = [node.level for node in self.nodes]
        assert all(left > right for left, right in pairwise(levels)), f"no tree begins at leaf {self.first}"
        return root_of([node.hash for node in self.nodes])

    def to_bytes(self) -> bytes:
        """The hashes of the subtrees, joined; with the number of leaves they are the whole frontier."""
        assert self.first == 0, "only a frontier's levels follow from its size"
        return b"".join(node.hash for node in self.nodes)

    @classmethod
    def from_bytes(cls, size: int, stored: bytes) -> Self:
        """The frontier of a tree of `size` leaves, from what `to_bytes` gave. Raises ValueError where the length does
        not fit.
        """
        levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
        if len(stored) != HASH_BYTES * len(levels):
            raise ValueError(f"{len(stored)} bytes are no frontier of {size} leaves: it has {len(levels)} hashes")
        return cls(0, size, [Node(level, hash_) for level, hash_ in zip(levels, hashes(stored), strict=True)])


def root_of(nodes: Sequence[bytes]) -> bytes:
    """The Merkle root over the roots of perfect subtrees, the largest first."""
    if not nodes:
        return EMPTY_ROOT
    *rest, root = nodes
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


def hashes(joined: bytes) -> list[bytes]:
    """The single hashes of bytes in which hashes stand one after the other."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def root(leaves: Iterable[bytes]) -> bytes:
    """The Merkle root over leaves, given by their hashes; the hash of nothing where there are none."""
    whole = Range()
    whole.extend(list(leaves))
    return whole.root


# Proofs --------------------------------------------------------------------------------------------------------------


def inclusion_path(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The inclusion proof of the leaf at `index` in a tree of `size` leaves: PATH(index, D[size]) of RFC 9162, section
    2.1.3.1, from the leaf's sibling up.
    """
    assert 0 <= index < size, f"leaf {index} is not in a tree of {size}"
    path = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(first, middle))
            first = middle
    return path[::-1]


def consistency_path(earlier: int, size: int, subtree: Subtree) -> list[bytes]:
    """The consistency proof that the tree of `size` leaves begins with that of `earlier` leaves: PROOF(earlier,
    D[size]) of RFC 9162, section 2.1.4.1.
    """
    assert 0 < earlier <= size, f"a tree of {earlier} leaves cannot begin one of {size}"
    path = []
    first, end = 0, size
    while earlier != end:
        middle = first + _split(end - first)
        if earlier <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(first, middle))
            first = middle
    if first > 0:  # else this subtree is the earlier tree itself, whose root the verifier has
        path.append(subtree(first, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that the tree of `size` leaves with this `root` has the leaf hash `leaf` at `index` (RFC
    9162, section 2.1.3.2).
    """
    if not 0 <= index < size:
        return False
    at, last, computed = index, size - 1, leaf
    for hash_ in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            computed = node_hash(hash_, computed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, hash_)
        at, last = at >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(earlier: int, size: int, path: Sequence[bytes], earlier_root: bytes, root: bytes) -> bool:
    """Whether `path` proves that the tree of `size` leaves begins with the tree of `earlier` leaves, given both roots
    (RFC 9162, section 2.1.4.2).
    """
    if not 0 < earlier <= size:
        return False
    if earlier == size:
        return not path and earlier_root == root
    nodes = [earlier_root, *path] if earlier & (earlier - 1) == 0 else list(path)
    if not nodes:
        return False
    at, last = earlier - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    of_earlier = of_later = nodes[0]
    for hash_ in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            of_earlier, of_later = node_hash(hash_, of_earlier), node_hash(hash_, of_later)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            of_later = node_hash(of_later, hash_)
        at, last = at >> 1, last >> 1
    return last == 0 and of_earlier == earlier_root and of_later == root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _perfect_root(leaves: Sequence[bytes]) -> bytes:
    while len(leaves) > 1:
        leaves = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(leaves[::2], leaves[1::2], strict=True)
        ]
    return leaves[0]
