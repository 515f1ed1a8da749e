"""Files from outside whose JSON is too deep for its reader: said in words, as any other that is none of ours."""

import json

import pytest

from audit.findings import CannotCheckError
from audit.reconcile import mapping
from evidence.archive import manifest
from evidence.archive.segment import ArchiveError
from evidence.heads import HeadError, SignedHead

DEEP = '{"a":' * 50_000


def test_a_tree_head(tmp_path):
    """Also one that lacks what it must name."""
    with pytest.raises(HeadError):
        SignedHead.parse(DEEP)
    head = {"log": "l", "generation": 1, "tree_size": 1, "root": "0" * 64, "sealed_at": 1, "previous": None}
    with pytest.raises(HeadError):
        SignedHead.parse(json.dumps({"head": head, "signature": ""}))


def test_a_manifest():
    """Whether its signature is asked for or not."""
    for keys in (None, {}):
        with pytest.raises(ArchiveError):
            manifest.from_bytes(DEEP.encode(), "manifest-000001.json", keys)


def test_a_mapping(tmp_path):
    """Of a provider's report."""
    path = tmp_path / "mapping.json"
    path.write_text(DEEP)
    with pytest.raises(CannotCheckError):
        mapping.load(path)
