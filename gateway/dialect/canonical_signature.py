"""The canonical API's signature, for protocols that have no proof of their own."""

from gateway.dialect import signing
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from runtime.identifiers import is_id


def verify_canonical_signature(call: Call) -> bytes:
    """A dialect's `verify` by the canonical API's X-Signature (`gateway.dialect.signing`), for protocols that have no
    proof of their own. Raises Rejected SIGNATURE_MISSING, SIGNATURE_INVALID or SIGNATURE_EXPIRED.
    """
    now_s, integration = call.received_at / 1_000_000, call.integration
    header = call.headers.get(signing.HEADER.lower().encode())
    if not header:
        raise Rejected("SIGNATURE_MISSING")
    signature = signing.parse(header)
    key = b"" if call.method == "GET" else call.headers.get(b"x-idempotency-key", b"")
    if signature is None or (key and not is_id(key.decode("latin-1"))):  # no dot or brace that could be the body's
        raise Rejected("SIGNATURE_INVALID")
    signed = signing.Signed(signature.timestamp, call.method.encode(), call.target, key, call.body, integration.place)
    if not signing.verify(signature, signed, call.secrets, call.public_keys) or not any(
        key.kid == signature.kid and key.valid_at(now_s) for key in integration.keys
    ):
        raise Rejected("SIGNATURE_INVALID")
    if abs(now_s - int(signature.timestamp)) > signing.WINDOW_S:
        raise Rejected("SIGNATURE_EXPIRED", window_s=signing.WINDOW_S)
    return signed.joined if signature.is_older else signed.message
