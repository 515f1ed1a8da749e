"""A request as it comes in: its head with repeated fields joined, its trace, its bounded body."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import unquote

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
    raw_path: bytes
    """As it was sent: what is signed, with the query."""
    query: bytes
    """As it was sent, without its question mark."""
    headers: dict[bytes, bytes]
    """By lower-case name. Repeats are joined by commas (RFC 9110, 5.3): of a field that must be single, that makes a
    wrong value.
    """
    trace: Trace
    """Ids for logs and events."""
    peer: str
    """The IP address at the other end of the connection: the caller's, or that of the last proxy."""

    @property
    def path(self) -> str:
        """With its escapes decoded: what routes are found by."""
        path = self.raw_path.decode("latin-1")
        return unquote(path) if "%" in path else path

    @property
    def target(self) -> bytes:
        """Path and query as they were sent: what is signed."""
        return self.raw_path + b"?" + self.query if self.query else self.raw_path


def head_of(scope: Scope) -> RequestHead:
    """The head of the request that an ASGI scope describes."""
    client = scope.get("client")
    return head_of_parts(
        scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], client[0] if client else ""
    )


def head_of_parts(
    method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]], peer: str
) -> RequestHead:
    """The head of a request with these `headers`, their names in lower case, in the order in which they came."""
    joined: dict[bytes, bytes] = {}
    for name, sent in headers:
        value = sent.strip(b" \t")  # blanks around a value are no part of it (RFC 9110, 5.5)
        joined[name] = joined[name] + b"," + value if name in joined else value
    return RequestHead(method, raw_path, query, joined, trace_of(joined), peer)


def trace_of(headers: dict[bytes, bytes]) -> Trace:
    """The caller's trace where it is well-formed, else a new one."""
    sent = headers.get(b"traceparent")
    parent = _traceparent.fullmatch(sent) if sent else None
    traceparent = parent[0].decode() if parent else None
    trace_id = headers.get(b"x-trace-id", b"")
    if _trace_id.fullmatch(trace_id):
        return Trace(trace_id.decode(), traceparent)
    return Trace(parent[1].decode() if parent else secrets.token_hex(16), traceparent)


def announced_body(head: RequestHead, limit_bytes: int) -> Rejected | None:
    """Why the body that `head` announces is not read; None where it may be small enough."""
    announced = head.headers.get(b"content-length", b"0")
    return None if announced.isdigit() and int(announced[:20]) <= limit_bytes else large_body(limit_bytes)


def large_body(limit_bytes: int) -> Rejected:
    """Why no more is read of a body that turned out to be larger than its limit."""
    return Rejected("BODY_TOO_LARGE", limit_bytes=limit_bytes)


def late_body() -> Rejected:
    """Why a body is no longer waited for."""
    return Rejected("BODY_TIMEOUT", timeout_s=BODY_TIMEOUT_S)


async def read_body(head: RequestHead, receive: Receive, limit_bytes: int) -> bytes:
    """The body of a request. Raises Rejected BODY_TOO_LARGE as soon as it is known to be larger than the limit,
    BODY_TIMEOUT when it does not come in time, and Disconnected when the caller is gone.
    """
    if refused := announced_body(head, limit_bytes):
        raise refused
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
                    raise large_body(limit_bytes)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError as error:
        raise late_body() from error
