"""The Merkle tree: the known vectors of Certificate Transparency, and its own recursive definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence import merkle
from evidence.merkle import Range, leaf_hash

# The reference tree of Certificate Transparency (RFC 6962 implementations share it).
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
N10 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
N23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
N47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
N6 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
N45 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
N4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"

INCLUSION = {
    (0, 1): [],
    (0, 8): [N10, N23, N47],
    (5, 8): [N4, None, ROOTS[3]],
    (2, 3): [ROOTS[1]],
    (1, 5): [ROOTS[0], N23, N4],
}
CONSISTENCY = {(1, 1): [], (1, 8): [N10, N23, N47], (6, 8): [N6, N45, ROOTS[3]], (2, 5): [N23, N4]}

sizes = st.integers(1, 130)
pairs = sizes.flatmap(lambda size: st.tuples(st.integers(1, size), st.just(size)))


def definition(leaves):
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


def some(count):
    return [leaf_hash(b"%d" % number) for number in range(count)]


def subtrees_of(leaves):
    return lambda first, end: definition(leaves[first:end])


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_of_the_reference_tree(size):
    """Every size of the published reference tree has its published root."""
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size - 1]
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_inclusion_proofs_of_the_reference_tree(index, size):
    """The published inclusion proofs are ours, and hold."""
    path = merkle.inclusion_path(index, size, subtrees_of(LEAVES))
    assert all(wanted in (None, hash_.hex()) for wanted, hash_ in zip(INCLUSION[index, size], path, strict=True))
    assert merkle.verify_inclusion(LEAVES[index], index, size, path, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("earlier", "size"), CONSISTENCY)
def test_the_consistency_proofs_of_the_reference_tree(earlier, size):
    """The published consistency proofs are ours, and hold."""
    path = merkle.consistency_path(earlier, size, subtrees_of(LEAVES))
    assert [hash_.hex() for hash_ in path] == CONSISTENCY[earlier, size]
    roots = bytes.fromhex(ROOTS[earlier - 1]), bytes.fromhex(ROOTS[size - 1])
    assert merkle.verify_consistency(earlier, size, path, *roots)


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_frontier_is_the_definition_however_it_grew(portions):
    """One by one, in portions, joined from ranges made elsewhere, or stored between: always the root of the definition."""
    one_by_one, extended, joined = Range(), Range(), Range()
    leaves = some(sum(portions))
    for count in portions:
        portion = leaves[extended.end : extended.end + count]
        for leaf in portion:
            one_by_one.append(leaf)
        elsewhere = Range(extended.end)
        elsewhere.extend(portion)
        joined.join(elsewhere)
        extended.extend(portion)
        extended = Range.from_bytes(extended.end, extended.to_bytes())
    assert one_by_one == extended == joined
    assert extended.root == definition(leaves)


@given(pairs)
def test_every_leaf_is_proven_and_no_other(pair):
    """A path proves its leaf at its index under its root; another leaf, index, size, root or path proves nothing."""
    leaves, (count, size) = some(pair[1]), pair
    index, root = count - 1, definition(leaves)
    path = merkle.inclusion_path(index, size, subtrees_of(leaves))
    assert merkle.verify_inclusion(leaves[index], index, size, path, root)
    assert not merkle.verify_inclusion(leaf_hash(b"x"), index, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, path, leaf_hash(b"x"))
    assert not merkle.verify_inclusion(leaves[index], index, size, [*path, root], root)
    assert not merkle.verify_inclusion(leaves[index], size, size, path, root)
    if path:
        assert not merkle.verify_inclusion(leaves[index], index ^ 1, size, path, root)
        assert not merkle.verify_inclusion(leaves[index], index, size, path[:-1], root)


@given(pairs)
def test_every_prefix_is_proven_and_no_other(pair):
    """A path proves that one root's tree begins another's; for a tree with one other leaf there is no such proof."""
    leaves, (earlier, size) = some(pair[1]), pair
    roots = definition(leaves[:earlier]), definition(leaves)
    path = merkle.consistency_path(earlier, size, subtrees_of(leaves))
    assert merkle.verify_consistency(earlier, size, path, *roots)
    other = [leaf_hash(b"x"), *leaves[1:]]
    path_of_other = merkle.consistency_path(earlier, size, subtrees_of(other))
    assert not merkle.verify_consistency(earlier, size, path_of_other, roots[0], definition(other))
    assert not merkle.verify_consistency(earlier, size, [*path, roots[0]], *roots)


def test_a_stored_frontier_of_another_size_is_refused():
    """A frontier that was cut or belongs to another size does not come back as one."""
    frontier = Range()
    frontier.extend(some(7))
    with pytest.raises(ValueError, match="no frontier of 8 leaves"):
        Range.from_bytes(8, frontier.to_bytes())
