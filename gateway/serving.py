"""How the callbacks of both doors are answered: run, counted, logged, sent; whatever goes wrong becomes a reply too."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog

from gateway import metrics
from gateway.dialect.errors import Rejected, Unreadable, error_body, error_headers
from gateway.dialect.incoming import Disconnected, Receive, RequestHead, Send, read_body
from gateway.dialect.reply import Reply
from ledger.journal.writer import Retryable
from schemas.errors import ERRORS

log = structlog.get_logger("gateway")


def refuse(head: RequestHead, rejected: Rejected) -> Reply:
    """The canonical API's JSON error for a rejected request."""
    return error_reply(head, rejected.code, **rejected.details)


class Exchange(NamedTuple):
    """How one callback is answered, as its endpoint says once the head is there."""

    head: RequestHead
    operation: str
    """What logs and metrics call it."""
    body_limit_bytes: int
    answer: Callable[[bytes, dict[str, Any]], Awaitable[Reply]]
    """The answer to a body; it adds facts for the log line. Raises Rejected and Retryable."""
    refuse: Callable[[Rejected], Reply]
    """The answer where that, or the reading of the body, was rejected."""


async def reply_to(exchange: Exchange, body: bytes | Rejected, started: float) -> Reply:
    """The reply to a callback whose body came, or was rejected; whatever goes wrong becomes a reply too. One log line,
    one count. `started` is when its head was there, by `time.perf_counter`.
    """
    operation, trace_id = exchange.operation, exchange.head.trace.trace_id
    facts: dict[str, Any] = {}
    try:
        reply = await exchange.answer(body, facts) if isinstance(body, bytes) else exchange.refuse(body)
    except Rejected as rejected:
        if isinstance(rejected, Unreadable):
            facts |= {
                "field": rejected.details.get("field", "body"),
                "reason": rejected.details.get("reason", rejected.code),
            }
        reply = exchange.refuse(rejected)
    except Retryable as error:
        reply = exchange.refuse(Rejected(error.code))
    except Exception:  # the last resort: the caller hears that it was us, the log gets everything
        log.exception("callback crashed", operation=operation, trace_id=trace_id, **facts)
        reply = exchange.refuse(Rejected("INTERNAL"))
    seconds = time.perf_counter() - started
    # Counted and logged first; the line leaves with all others of this turn of the loop (see `runtime.telemetry`).
    metrics.count(operation, reply.outcome, seconds)
    duration_ms = round(seconds * 1000, 2)
    log.info(
        "callback", operation=operation, outcome=reply.outcome, status=reply.status, duration_ms=duration_ms,
        trace_id=trace_id, **facts,
    )  # fmt: skip
    return reply


async def serve(exchange: Exchange, receive: Receive, send: Send) -> None:
    """Answer a callback that came by ASGI."""
    started = time.perf_counter()
    try:
        body: bytes | Rejected = await read_body(exchange.head, receive, exchange.body_limit_bytes)
    except Disconnected:
        return
    except Rejected as rejected:
        body = rejected
    await respond(exchange.head, send, await reply_to(exchange, body, started))


def headers_of(head: RequestHead, reply: Reply) -> list[tuple[bytes, bytes]]:
    """The headers of `reply` with those that every answer has."""
    return [
        (b"content-type", reply.content_type),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-trace-id", head.trace.trace_id.encode()),
        (b"cache-control", b"no-store"),
        *reply.headers,
    ]


async def respond(head: RequestHead, send: Send, reply: Reply) -> None:
    """Send `reply`, with the headers that every answer has."""
    headers = headers_of(head, reply)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def error_reply(head: RequestHead, code: str, **details: object) -> Reply:
    """The canonical API's JSON error: a code of the catalogue, and what fills its message."""
    body = error_body(code, details, head.trace.trace_id)
    return Reply(ERRORS[code].status, body, code, error_headers(code, details))
