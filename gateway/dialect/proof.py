"""One proof, one call: what was signed, in so few bytes that the ledger can remember all of it."""

from hashlib import blake2b

from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from ledger.outcome import Proof

DIGEST_BYTES = 16


def proof_of(dialect: Dialect, call: Call, path: str, signed: bytes) -> Proof | None:
    """The proof that the ledger remembers with the call whose `path` was sent. None where the proof itself names the
    operation, and no other integration has the key, so that it can pass nowhere else; and where the integration wants
    none.

    Two keys may sign the same bytes, and those are two proofs: the digest is of both.
    """
    integration = call.integration
    key = integration.key(call.kid)
    if call.integration.reuses_proofs or (dialect.proof_names_operation and key and not key.shared):
        return None
    digest = blake2b(signed, digest_size=DIGEST_BYTES, key=key.identity if key else b"").digest()
    return Proof(digest, integration.integration_id, f"{call.method} {path}")
