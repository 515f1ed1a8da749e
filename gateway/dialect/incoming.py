"""A request as it comes in: its head with repeated fields joined, its trace, its bounded body."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from gateway.dialect.errors import Rejected

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_TIMEOUT_S = 10
"""How long a body may take to come, seconds."""

_trace_id = re.compile(rb"[A-Za-z0-9_:.\-]{1,64}")
# W3C Trace Context, version 00; all zeros are no ids.
_traceparent = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Disconnected(Exception):  # noqa: N818  # nothing is wrong with it
    """The caller is gone before its request was complete."""


class Trace(NamedTuple):
    """Ids of a request for logs and events: `trace_id` is the caller's X-Trace-Id, else that of its traceparent (W3C
    Trace Context), else ours; `traceparent` is None where the caller sent none that is valid.
    """

    trace_id: str
    traceparent: str | None


class RequestHead(NamedTuple):
    """All of a request before its body."""

    method: str
    headers: dict[bytes, bytes]
    """By lower-case name. Repeats are joined by commas (RFC 9110, 5.3): of a field that must be single, that makes a
    wrong value.
    """
    target: bytes
    """Path and query as they were sent: what is signed."""
    trace: Trace
    """Ids for logs and events."""


def head_of(scope: Scope) -> RequestHead:
    """The head of the request that an ASGI scope describes."""
    headers: dict[bytes, bytes] = {}
    for name, sent in scope["headers"]:
        value = sent.strip(b" \t")  # blanks around a value are no part of it (RFC 9110, 5.5)
        headers[name] = headers[name] + b"," + value if name in headers else value
    query = scope["query_string"]
    return RequestHead(
        scope["method"], headers, scope["raw_path"] + b"?" + query if query else scope["raw_path"], trace_of(headers)
    )


def trace_of(headers: dict[bytes, bytes]) -> Trace:
    """The caller's trace where it is well-formed, else a new one."""
    sent = headers.get(b"traceparent")
    parent = _traceparent.fullmatch(sent) if sent else None
    traceparent = parent[0].decode() if parent else None
    trace_id = headers.get(b"x-trace-id", b"")
    if _trace_id.fullmatch(trace_id):
        return Trace(trace_id.decode(), traceparent)
    return Trace(parent[1].decode() if parent else secrets.token_hex(16), traceparent)


async def read_body(head: RequestHead, receive: Receive, limit_bytes: int) -> bytes:
    """The body of a request. Raises Rejected BODY_TOO_LARGE as soon as it is known to be larger than the limit,
    BODY_TIMEOUT when it does not come in time, and Disconnected when the caller is gone.
    """
    announced = head.headers.get(b"content-length", b"0")
    if not announced.isdigit() or int(announced[:20]) > limit_bytes:
        raise Rejected("BODY_TOO_LARGE", limit_bytes=limit_bytes)
    parts, size = [], 0
    try:
        # Around the first piece too: a caller may announce a body and never begin it.
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                parts.append(message["body"])
                size += len(message["body"])
                if size > limit_bytes:
                    raise Rejected("BODY_TOO_LARGE", limit_bytes=limit_bytes)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError as error:
        raise Rejected("BODY_TIMEOUT", timeout_s=BODY_TIMEOUT_S) from error
