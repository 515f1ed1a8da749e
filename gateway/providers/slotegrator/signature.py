"""X-Sign: HMAC-SHA1, in hex, over the form and the three X- headers as PHP's `http_build_query(ksort(…))` writes them.

Signed are the texts as they were received: a number that is parsed and written again may look different.
"""

from collections.abc import Iterable
from urllib.parse import quote_plus

from gateway.dialect.bodies import form_fields
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.signing import verify_hmac_hex

SIGNED_HEADERS = ("X-Merchant-Id", "X-Timestamp", "X-Nonce")


def signed_text(fields: Iterable[tuple[str, str]]) -> str:
    """Sorted by name, bytewise; what belongs to one array, `name[…]`, stays together in the order of its arrival."""
    arrays: dict[bytes, list[str]] = {}
    for name, value in fields:
        arrays.setdefault(name.partition("[")[0].encode(), []).append(f"{_encoded(name)}={_encoded(value)}")
    return "&".join(pair for _, pairs in sorted(arrays.items()) for pair in pairs)


def verify(call: Call) -> bytes:
    sent = call.headers.get(b"x-sign", b"")
    headers = {name: call.header(name.lower().encode()) for name in SIGNED_HEADERS}
    if not sent or not all(headers.values()):
        raise Rejected("SIGNATURE_MISSING")
    try:
        fields = form_fields(call.body)
    except Rejected as error:  # nothing that could have been signed
        raise Rejected("SIGNATURE_INVALID") from error
    text = signed_text((fields | headers).items())
    if not verify_hmac_hex(call.secrets, text.encode(), sent, "sha1"):
        raise Rejected("SIGNATURE_INVALID")
    merchant_id = call.option("merchant_id")
    if merchant_id and merchant_id != headers["X-Merchant-Id"]:
        raise Rejected("CALLER_NOT_ALLOWED")
    _check_age(headers["X-Timestamp"], call)
    return text.encode()


def _check_age(timestamp: str, call: Call) -> None:
    window_s = int(call.option("signature_window_s"))
    signed_at_s = int(timestamp) if timestamp.isdecimal() and len(timestamp) <= 12 else 0
    if abs(call.received_at // 1_000_000 - signed_at_s) > window_s:
        raise Rejected("SIGNATURE_EXPIRED", window_s=window_s)


def _encoded(text: str) -> str:
    return quote_plus(text).replace("~", "%7E")
