"""Proofs for one entry: that it is in the log under a signed head, and that a later head extends that one.

A proof costs as much as was sealed together with the entry, however long the log is; a later head costs as much as lies
between.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from evidence import anchors, log, merkle
from evidence.anchors import Anchor, Chunk
from evidence.heads import SignedHead
from evidence.keys import Keys, to_text
from evidence.merkle import Node, Range
from ledger.entry import ACT, COMMAND, EVENT, REFUSAL, Entry
from schemas.events import BY_FINGERPRINT, EventSchema

FORMAT = "wagerledger-proof-1"

XID_OF = {
    EVENT: "select xid::text::bigint from wagerledger.event_log where event_id = %(event_id)s",
    ACT: "select xid from wagerledger.acts where act_id = %(act_id)s",
    COMMAND: """
        select xid from wagerledger.commands
        where wagerledger.key_of(operation, scope, idempotency_key)
        = wagerledger.key_of(%(operation)s, %(scope)s, %(idempotency_key)s)
            and (scope, operation, idempotency_key) = (%(scope)s, %(operation)s, %(idempotency_key)s)
    """,
    # What was refused and may be asked again has no row of its own; the last time counts.
    REFUSAL: """
        select xid from wagerledger.refusals
        where (scope, operation, idempotency_key) = (%(scope)s, %(operation)s, %(idempotency_key)s)
        order by refusal_id desc limit 1
    """,
}
CHUNK_OF_XID = """
select first_leaf, leaves, hashes, last_xid from wagerledger.sealed_leaves where last_xid >= %s
order by last_xid, first_leaf limit 1
"""
CHUNK_BEFORE = "select coalesce(max(last_xid), 0) from wagerledger.sealed_leaves where last_xid < %s"

CHANGED = "the log was changed; run `wagerledger audit verify --anchors`"


class ProofError(ValueError):
    """An entry or a head cannot be proven, or not yet; the message says why."""


def prove_id(connection: Connection[Any], id_: str, trusted: Keys) -> dict[str, Any]:
    """The proof of the event or administrative act with this id, as plain values. Raises ProofError."""
    try:
        UUID(id_)
    except ValueError:
        raise ProofError(f"{id_} is no id of an event or an act: these are UUIDs") from None
    return _prove(connection, {EVENT: {"event_id": id_}, ACT: {"act_id": id_}}, trusted)


def prove_command(connection: Connection[Any], scope: str, operation: str, key: str, trusted: Keys) -> dict[str, Any]:
    """The proof of the command under a key and of its answer, refused or not. Raises ProofError."""
    names = {"scope": scope, "operation": operation, "idempotency_key": key}
    return _prove(connection, {COMMAND: names, REFUSAL: names}, trusted)


def prove_extension(connection: Connection[Any], size: int, later: int | None) -> dict[str, Any]:
    """The proof that the head of `later` entries (None: the newest) extends that of `size`. Raises ProofError."""
    first = _anchor(connection, anchors.FIRST_FROM, size)
    last = _anchor(connection, anchors.FIRST_FROM, later) if later else _anchor(connection, anchors.NEWEST)
    if first.tree_size != size or last.tree_size < size or (later or last.tree_size) != last.tree_size:
        raise ProofError(
            f"there are no heads of {size} and {later or last.tree_size} entries, one after the other: give the size "
            "of a later head, or 0 for the newest"
        )
    path = merkle.consistency_path(size, last.tree_size, _Subtrees(connection, first, last.tree_size))
    return {"signed_head": json.loads(last.line), "path": [hash_.hex() for hash_ in path]}


class SealedEntries(NamedTuple):
    """The leaves that were sealed together with a database transaction, proven by a tree head over them."""

    first_leaf: int
    hashes: Sequence[bytes]
    head: SignedHead

    def leaf_of(self, entry: Entry) -> int | None:
        """The entry's leaf; None: it is not what was sealed."""
        hash_ = merkle.leaf_hash(entry.leaf)
        return self.first_leaf + self.hashes.index(hash_) if hash_ in self.hashes else None


def sealed_entries(connection: Connection[Any], xid: int, trusted: Keys | None) -> SealedEntries | None:
    """What was sealed with the database transaction `xid`; None: it was not sealed yet. Without `trusted` keys nobody
    vouches for the head. Raises ProofError where the stored leaves are not those that were signed.
    """
    row = connection.execute(CHUNK_OF_XID, [xid], binary=True).fetchone()
    after = row and connection.execute(anchors.FIRST_FROM, [Chunk(*row).end], binary=True).fetchone()
    if not (row and after):
        return None
    chunk, anchor = Chunk(*row), Anchor(*after)
    signed = SignedHead.parse(anchor.line)
    start = anchors.last_up_to(connection, chunk.first_leaf) or Anchor(0, 0, b"", "")
    root = _Subtrees(connection, start, anchor.tree_size)(0, anchor.tree_size)
    if root.hex() != signed.head.root or anchor.tree_size != signed.head.tree_size:
        raise ProofError(
            f"the leaves that are stored are not those of the head of {anchor.tree_size} entries: {CHANGED}"
        )
    if trusted is not None and not signed.valid(trusted):
        raise ProofError(f"the head of {anchor.tree_size} entries has no valid signature of a trusted key: {CHANGED}")
    return SealedEntries(chunk.first_leaf, merkle.hashes(chunk.hashes), signed)


def content(entry: Entry) -> dict[str, Any]:
    """What an entry says, as plain values. Of an event this is read from its Avro bytes by the schema that wrote it."""
    if entry.kind != EVENT:
        return dict(json.loads(entry.body))
    record = _writer(entry.fingerprint).decode(entry.body)
    return dict(json.loads(json.dumps(record, default=lambda value: value.hex())))


@cache
def _writer(fingerprint: bytes) -> EventSchema:
    """Not read as today's version: a proof shows what is in the bytes."""
    return replace(BY_FINGERPRINT[fingerprint], read_as=None)


def _prove(connection: Connection[Any], wanted: Mapping[str, Mapping[str, str]], trusted: Keys) -> dict[str, Any]:
    for kind, names in wanted.items():
        if row := connection.execute(XID_OF[kind], names).fetchone():
            chunk, entry, index = _sealed(connection, row[0], kind, names)
            break
    else:
        hint = "; `wagerledger audit explain BET` names what there is" if COMMAND in wanted else ""
        raise ProofError(f"there is no {' or '.join(wanted)} {' '.join(next(iter(wanted.values())).values())}{hint}")
    start = anchors.last_up_to(connection, index) or Anchor(0, 0, b"", "")
    after = _anchor(connection, anchors.FIRST_FROM, chunk.end)
    path = merkle.inclusion_path(index, after.tree_size, _Subtrees(connection, start, after.tree_size))
    return _proof(entry, index, after, path, trusted)


def _proof(entry: Entry, index: int, anchor: Anchor, path: Sequence[bytes], trusted: Keys) -> dict[str, Any]:
    signed = SignedHead.parse(anchor.line)
    if not merkle.verify_inclusion(
        merkle.leaf_hash(entry.leaf), index, anchor.tree_size, path, bytes.fromhex(signed.head.root)
    ):
        raise ProofError(f"leaf {index} is not under the signed head of {anchor.tree_size} entries: {CHANGED}")
    if not signed.valid(trusted):
        raise ProofError(f"the head of {anchor.tree_size} entries has no valid signature of a trusted key: {CHANGED}")
    shown = {"kind": entry.kind, "content": content(entry), "leaf": b64encode(entry.leaf).decode()}
    if entry.kind == EVENT:
        shown["schema"] = _writer(entry.fingerprint).canonical_form
    return {
        "format": FORMAT,
        "entry": shown,
        "leaf_index": index,
        "path": [hash_.hex() for hash_ in path],
        "signed_head": json.loads(anchor.line),
        "public_key": to_text(trusted[signed.key_id]),
    }


def _sealed(connection: Connection[Any], xid: int, kind: str, names: Mapping[str, str]) -> tuple[Chunk, Entry, int]:
    """The entry, where it was sealed, and its leaf."""
    row = connection.execute(CHUNK_OF_XID, [xid], binary=True).fetchone()
    if row is None:
        raise ProofError("it is not sealed yet: ask again after the next tree head (WAGERLEDGER_ANCHOR_INTERVAL_S)")
    chunk = Chunk(*row)
    ((after,),) = connection.execute(CHUNK_BEFORE, [chunk.last_xid]).fetchall()
    leaves = merkle.hashes(chunk.hashes)
    for entry in log.entries(connection, after, chunk.last_xid):
        if entry.xid == xid and entry.kind == kind and names.items() <= content(entry).items():
            leaf = merkle.leaf_hash(entry.leaf)
            if leaf in leaves:  # counting would not do: events beside it may be detached
                return chunk, entry, chunk.first_leaf + leaves.index(leaf)
            break
    raise ProofError(f"it is not among the entries that were sealed then: {CHANGED}")


def _anchor(connection: Connection[Any], query: str, *parameters: int) -> Anchor:
    row = connection.execute(query, parameters, binary=True).fetchone()
    if row is None:
        raise ProofError("there is no tree head yet: `wagerledger seal` signs one")
    return Anchor(*row)


class _Subtrees:
    """Roots of subtrees: up to an anchor from its frontier, after it from the stored leaves."""

    def __init__(self, connection: Connection[Any], start: Anchor, end: int) -> None:
        frontier = start.range() if start.tree_size else Range()
        self._start = start.tree_size
        self._nodes: list[tuple[int, Node]] = []
        at = 0
        for node in frontier.nodes:
            self._nodes.append((at, node))
            at += 1 << node.level
        self._leaves: list[bytes] = []
        for chunk in anchors.chunks(connection, self._start):
            self._leaves += merkle.hashes(chunk.hashes)
            if chunk.end >= end:
                break

    def __call__(self, first: int, end: int) -> bytes:
        tree = Range(first)
        for at, node in self._nodes:
            if first <= at < end:
                tree.push(node)
        tree.extend(self._leaves[tree.end - self._start : end - self._start])
        return tree.root
