"""Signatures: our verifier against the Wycheproof vectors, and the form of the header."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.dialect import signing

VECTORS = Path(__file__).parents[2] / "data" / "wycheproof"
TAG = "ab" * 32


def vectors(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    content = json.loads((VECTORS / name).read_text())
    found = [(group, test) for group in content["testGroups"] for test in group["tests"]]
    assert len(found) == content["numberOfTests"]
    return found


def test_hmac_agrees_with_wycheproof_and_takes_no_truncated_tag() -> None:
    """Every valid tag of full length is accepted, everything else refused, also tags that are valid but truncated."""
    accepted = 0
    for group, test in vectors("hmac_sha256_test.json"):
        expected = test["result"] == "valid" and group["tagSize"] == 256
        secret, message, tag = (bytes.fromhex(test[name]) for name in ("key", "msg", "tag"))
        assert signing.verify_hmac(secret, message, tag) == expected, test
        accepted += expected
    assert accepted > 20


def test_ed25519_agrees_with_wycheproof() -> None:
    """Malleable, truncated and garbage signatures are refused, every valid one is accepted."""
    for group, test in vectors("ed25519_test.json"):
        public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        verified = signing.verify_ed25519(public_key, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
        assert verified == (test["result"] == "valid"), test


@pytest.mark.parametrize(
    "header",
    [
        "", ",", "t=1", "t=1,kid=k", f"kid=k,v1={TAG}", f"t=1,v1={TAG}",
        f"t=1,kid=k,v1={TAG[:-2]}", f"t=1,kid=k,v1={TAG}ab", f"t=1,kid=k,v1={TAG[:-2]}zz", f"t=1,kid=k,v2={TAG}",
        f"t=1,t=1,kid=k,v1={TAG}", f"t=1,kid=k,kid=k,v1={TAG}", f"t=1,kid=k,v5={TAG}", f"t=1,kid=,v1={TAG}", f"t=,kid=k,v1={TAG}",
        f"t=-1,kid=k,v1={TAG}", f"t=+1,kid=k,v1={TAG}", f"t=1.0,kid=k,v1={TAG}", f"t=1e3,kid=k,v1={TAG}", f"t=1111111111111,kid=k,v1={TAG}",
        f"t=1, kid=k,v1={TAG}", f" t=1,kid=k,v1={TAG}", f"t=1,kid=k,v1={TAG} ", f"t=1;kid=k;v1={TAG}", f",t=1,kid=k,v1={TAG}", f"t=1,kid=k,v1={TAG},",
        f"T=1,kid=k,v1={TAG}", f't="1",kid=k,v1={TAG}', f"t=1,kid=k,v1={TAG}\n", f"t=1,kid={'k' * 129},v1={TAG}", "t=1,kid=k" + f",v1={TAG}" * 5,
        f"t=\u0661,kid=k,v1={TAG}",
    ],
)  # fmt: skip
def test_a_header_of_any_other_form_is_refused(header: str) -> None:
    """Blanks, repeats, unknown or missing parts, short and long signatures: no signature at all."""
    assert signing.parse(header.encode()) is None


def test_a_header_may_carry_several_signatures_in_any_order() -> None:
    """While keys change, up to four signatures of both kinds stand in one header; hex digits may be capital."""
    signature = signing.parse(f"v2={'cd' * 64},v1={TAG.upper()},kid=k:1.a-b_C,v1={TAG},t=1700000000".encode())
    assert signature is not None
    assert signature.is_older
    assert signature == (b"1700000000", "k:1.a-b_C", (bytes.fromhex(TAG),) * 2, (bytes.fromhex("cd" * 64),), (), ())
    newer = signing.parse(f"v4={'cd' * 64},kid=k,v3={TAG},t=1".encode())
    assert newer is not None
    assert not newer.is_older
    assert newer == (b"1", "k", (), (), (bytes.fromhex(TAG),), (bytes.fromhex("cd" * 64),))


PLACE = signing.Place("brand-7", "EU", "studio")


@pytest.mark.parametrize("algorithm", ["v1", "v2", "v3", "v4"])
def test_what_is_signed_is_verified_and_nothing_else(algorithm: str) -> None:
    """Time, method, target, key and body are all covered: a change of any of them is noticed."""
    private_key = Ed25519PrivateKey.generate()
    key: Any = "secret" if algorithm in ("v1", "v3") else private_key
    place = PLACE if algorithm in ("v3", "v4") else None
    now = int(time.time())
    header = signing.sign("k", key, "POST", "/v1/x?y=1", b"{}", idempotency_key="i", timestamp_s=now, place=place)
    assert f",{algorithm}=" in header
    signature = signing.parse(header.encode())
    assert signature is not None

    def verified(*parts: bytes, of: signing.Place = PLACE) -> bool:
        asked = signing.Signed(*(*parts, of))
        return signing.verify(signature, asked, [b"other", b"secret"], [private_key.public_key()])

    right = [b"%d" % now, b"POST", b"/v1/x?y=1", b"i", b"{}"]
    assert verified(*right)
    for index in range(len(right)):
        assert not verified(*right[:index], right[index] + b"0", *right[index + 1 :])
    for name in signing.Place._fields if place else ():
        assert not verified(*right, of=PLACE._replace(**{name: "other"}))
    asked = signing.Signed(*(*right, PLACE))
    assert not signing.verify(signature, asked, [b"other"], [Ed25519PrivateKey.generate().public_key()])


def test_the_signed_bytes_are_as_documented() -> None:
    """The scheme is a contract with providers: this value must never change."""
    header = signing.sign(
        "kid_1", "s3cret", "POST", "/v1/bets/authorize", b'{"a":1}', idempotency_key="key-1", timestamp_s=1_700_000_000
    )
    # printf '1700000000.POST./v1/bets/authorize.key-1.{"a":1}' | openssl dgst -sha256 -hmac s3cret
    assert header == "t=1700000000,kid=kid_1,v1=6a43c46d18ec99592fc6b2e0bee24bc21453de6392cec315541e3360715ed1c1"
    header = signing.sign(
        "kid_1", "s3cret", "POST", "/v1/bets/authorize", b'{"a":1}', idempotency_key="key-1", timestamp_s=1_700_000_000,
        place=PLACE,
    )  # fmt: skip
    # printf 'wagerledger\n1700000000\nPOST\n/v1/bets/authorize\nbrand-7\nEU\nstudio\nkey-1\n{"a":1}' | openssl …
    assert header == "t=1700000000,kid=kid_1,v3=e4a8d50dd528b824bd7ad1d236422b6df0a170a409b818817477e2c06d2e2227"


def test_no_part_can_pass_for_a_piece_of_another() -> None:
    """Two requests that the older bytes cannot tell apart are two messages now, and no message is an older one's."""
    one = signing.Signed(b"1", b"POST", b"/v1/x?a=1", b"k.one", b"{}", PLACE)
    other = one._replace(target=b"/v1/x?a=1.k", idempotency_key=b"one")
    assert one.joined == other.joined
    assert one.message != other.message
    assert not one.message.startswith(b"1")
