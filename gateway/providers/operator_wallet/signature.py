"""Two SHA-1 hashes that the contract fixes. Neither covers what a call is for: hence the known place that callers
must come from, and the short window.

X-Authorization is SHA1(command + secret), the same for every call of a command. The body's `hash` is
SHA1(command + request_timestamp + secret), the same for all calls of one second, whoever plays. So neither can be used
up: what makes a repeat harmless is its transaction id, under which only the very same content is answered, and that
without a second effect.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any

from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected, Unreadable
from gateway.dialect.strict_json import MalformedJsonError, parse_object

WINDOW_S = 60

HASH = "hash"
"""Says in a refusal that it was the body's hash, not the headers."""


def command_of(call: Call) -> str:
    """From the path, so that it is known before anything is parsed."""
    return call.path.rpartition("/")[2]


def verify(call: Call) -> bytes:
    if not call.headers.get(b"x-authorization"):
        raise Rejected("SIGNATURE_MISSING")
    if not is_authorized(call) or not _is_addressed(call):
        raise Rejected("SIGNATURE_INVALID")
    envelope = envelope_of(call)
    timestamp, sent = envelope.get("request_timestamp"), envelope.get("hash")
    if not isinstance(timestamp, str) or not isinstance(sent, str) or envelope.get("command") != command_of(call):
        raise Rejected("SIGNATURE_INVALID", part=HASH)
    if not _is_hash(call, sent, command_of(call) + timestamp):
        raise Rejected("SIGNATURE_INVALID", part=HASH)
    at = unix_seconds(timestamp)
    if at is None or abs(call.received_at / 1_000_000 - at) > WINDOW_S:
        raise Rejected("SIGNATURE_EXPIRED", part=HASH, window_s=WINDOW_S)
    return call.body


def is_authorized(call: Call) -> bool:
    return proven_secret(call) is not None


def proven_secret(call: Call) -> bytes | None:
    """The one that the caller showed to know, by X-Authorization: its answers are hashed with the same."""
    sent, found = call.headers.get(b"x-authorization", b""), None
    for secret in call.secrets:
        if hmac.compare_digest(digest(secret, command_of(call)).encode(), sent):
            found = secret
    return found


def envelope_of(call: Call) -> Mapping[str, Any]:
    """The envelope in a call's body. Raises Rejected MALFORMED_REQUEST where it is none."""
    try:
        return parse_object(call.body)
    except MalformedJsonError as error:
        raise Unreadable("MALFORMED_REQUEST", reason=f"the body is not one plain JSON object: {error}") from error


def digest(secret: bytes, text: str) -> str:
    return sha1(text.encode() + secret, usedforsecurity=False).hexdigest()


def _is_addressed(call: Call) -> bool:
    """The headers name this operator, and the path, where it is the contract's, this provider."""
    operator = hmac.compare_digest(call.headers.get(b"x-operator-id", b""), call.option("operator_id").encode())
    return operator and call.params.get("provider") in (None, call.option("provider"))


def _is_hash(call: Call, sent: str, text: str) -> bool:
    found = False
    for secret in call.secrets:
        found |= hmac.compare_digest(digest(secret, text).encode(), sent.encode())
    return found


_READ: tuple[tuple[re.Pattern[str], Callable[[str], float]], ...] = (
    (
        re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z?"),
        lambda text: datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp(),
    ),
    (re.compile(r"[0-9]{10}"), float),
    (re.compile(r"[0-9]{13}"), lambda text: int(text) / 1000),
)
"""The forms in which the contract's users write a time: UTC by the clock, or an epoch in seconds or milliseconds."""


def unix_seconds(text: str) -> float | None:
    """None where `text` is no time in one of the forms."""
    for form, read in _READ:
        if form.fullmatch(text):
            try:
                return read(text)
            except ValueError:
                return None
    return None
