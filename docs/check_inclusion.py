"""Check a proof of `wagerledger audit prove`: python -I check_inclusion.py PROOF.json [PUBLIC_KEY].

It stands alone, so that an auditor can read all of it: the standard library and `cryptography`, nothing of Wagerledger.
PUBLIC_KEY is the sealer's, in base64, from another place than the proof; without it the proof's own key is taken, and
you must compare it. Exit code 0: it holds; 1: it does not. Checked are: 1. the content, read from the proven bytes and
printed, is what the proof shows; 2. those bytes are the leaf at its place under the signed root (RFC 9162, 2.1.3.2);
3. the head is signed; 4. a later head extends it (RFC 9162, 2.1.4.2). An event is Avro, and its fields have the names
that the proof's schema gives. The leaf holds that schema's CRC-64-AVRO, which stops no forger: compare the schema, too.
"""

import json
import sys
from base64 import b64decode
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CRC_64_AVRO = 0xC15D213AA4D7A795


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def check_included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    at, last, computed = index, size - 1, sha256(b"\x00" + leaf).digest()
    demand(0 <= index < size, "the leaf's index lies outside the tree")
    for sibling in path:
        demand(last > 0, "the path is too long")
        if at % 2 == 1 or at == last:
            computed = node(sibling, computed)
            while at % 2 == 0 and at != 0:
                at, last = at // 2, last // 2
        else:
            computed = node(computed, sibling)
        at, last = at // 2, last // 2
    demand(last == 0 and computed == root, "the leaf is not under the signed root")


def check_extends(size: int, later: int, path: list[bytes], root: bytes, later_root: bytes) -> None:
    hashes = [root, *path] if size & (size - 1) == 0 or size == later else path
    at, last, first, second = size - 1, later - 1, hashes[0], hashes[0]
    while at % 2 == 1:
        at, last = at // 2, last // 2
    for sibling in hashes[1:]:
        demand(last > 0, "the path is too long")
        if at % 2 == 1 or at == last:
            first, second = node(sibling, first), node(sibling, second)
            while at % 2 == 0 and at != 0:
                at, last = at // 2, last // 2
        else:
            second = node(second, sibling)
        at, last = at // 2, last // 2
    demand((last == 0 or size == later) and (first, second) == (root, later_root), "the later head does not extend it")


def signed_head(line: dict, key: Ed25519PublicKey) -> dict:
    """The head, if the key signed it: over its canonical JSON."""
    text = json.dumps(line["head"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    key.verify(b64decode(line["signature"], validate=True), text.encode())
    demand(line["head"]["format"] == "wagerledger-head-1", "what was signed is not a tree head")
    return dict(line["head"])


def content_of(kind: bytes, sealed: bytes, schema: str) -> Any:
    """What the proven bytes say: of an event by its schema (Avro's parsing canonical form), else they are JSON."""
    if kind != b"event":
        return json.loads(sealed)
    fingerprint, body, named = CRC_64_AVRO, BytesIO(sealed[8:]), {}
    for bit in (byte >> at & 1 for byte in schema.encode() for at in range(8)):
        fingerprint = fingerprint >> 1 ^ (CRC_64_AVRO if (fingerprint ^ bit) & 1 else 0)
    demand(fingerprint.to_bytes(8, "little") == sealed[:8], "the schema is not the one that wrote the event")
    content = avro(json.loads(schema, object_hook=lambda one: named.update({one.get("name"): one}) or one), body, named)
    demand(not body.read(1), "more bytes follow the event")
    return content


def avro(schema: Any, body: BytesIO, named: dict) -> Any:
    """The next value in Avro's binary encoding; bytes in hex. Types that no event has are refused."""
    if isinstance(schema, list):
        schema = schema[avro("int", body, named)]
    if isinstance(schema, str):
        schema = named.get(schema) if "." in schema else {"type": schema}
    kind = schema["type"]
    if kind == "record":
        return {field["name"]: avro(field["type"], body, named) for field in schema["fields"]}
    if kind == "array":
        blocks = iter(lambda: avro("long", body, named), 0)
        return [avro(schema["items"], body, named) for count in blocks for _ in range(count)]
    if kind in ("int", "long"):
        value, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            byte = body.read(1)[0]
            value, shift = value | (byte & 0x7F) << shift, shift + 7
        return value >> 1 ^ -(value & 1)
    sizes = {"null": 0, "boolean": 1, "fixed": schema.get("size")}
    size = sizes[kind] if kind in sizes else avro("long", body, named)
    demand(len(taken := body.read(size)) == size, "the bytes of the event end too early")
    read = {"null": lambda _: None, "boolean": any, "string": bytes.decode, "bytes": bytes.hex, "fixed": bytes.hex}
    return read[kind](taken)


def demand(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def main(path: str, given: str = "") -> None:
    proof = json.loads(Path(path).read_bytes())
    key = Ed25519PublicKey.from_public_bytes(b64decode(given or proof["public_key"], validate=True))
    head, leaf = signed_head(proof["signed_head"], key), b64decode(proof["entry"]["leaf"], validate=True)
    size, root = head["tree_size"], bytes.fromhex(head["root"])
    check_included(leaf, proof["leaf_index"], size, [bytes.fromhex(one) for one in proof["path"]], root)
    kind, _, sealed = leaf.partition(b"\x00")
    content = content_of(kind, sealed, proof["entry"].get("schema", ""))
    shown = [json.dumps(one, sort_keys=True) for one in (content, proof["entry"]["content"])]
    demand(kind.decode() == proof["entry"]["kind"] and shown[0] == shown[1], "the content shown is not what was sealed")
    print(f"holds: leaf {proof['leaf_index']} of log {head['log']}, under root {head['root']} of {size} entries")
    if later := proof.get("later"):
        last, hashes = signed_head(later["signed_head"], key), [bytes.fromhex(one) for one in later["path"]]
        demand(last["log"] == head["log"], "the later head is of another log")
        check_extends(size, last["tree_size"], hashes, root, bytes.fromhex(last["root"]))
        print(f"holds: root {last['root']} of {last['tree_size']} entries extends it")
    print(f"The {kind.decode()} says: {json.dumps(content, indent=1)}")
    print("Compare the roots with heads of your own" + ("." if given else f", and {proof['public_key']} with the key."))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -I check_inclusion.py PROOF.json [PUBLIC_KEY]")
    try:
        main(*sys.argv[1:])
    except (ValueError, LookupError, TypeError, AttributeError, OSError, InvalidSignature) as error:
        sys.exit(f"does not hold: {type(error).__name__} {error}")
