"""How the callbacks of both doors are answered: run, counted, logged, sent; whatever goes wrong becomes a reply too."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from gateway import metrics
from gateway.dialect.errors import Rejected, Unreadable, error_body, error_headers
from gateway.dialect.incoming import Disconnected, RequestHead, Scope, Send, head_of
from gateway.dialect.reply import Reply
from ledger.journal.writer import Retryable
from schemas.errors import ERRORS

log = structlog.get_logger("gateway")


def refuse(head: RequestHead, rejected: Rejected) -> Reply:
    """The canonical API's JSON error for a rejected request."""
    return error_reply(head, rejected.code, **rejected.details)


async def serve(
    operation: str,
    scope: Scope,
    send: Send,
    answer: Callable[[RequestHead, dict[str, Any]], Awaitable[Reply]],
    refuse: Callable[[RequestHead, Rejected], Reply] = refuse,
) -> None:
    """Run `answer` and send its reply; `refuse` makes one of whatever goes wrong. One log line, one count."""
    started = time.perf_counter()
    head = head_of(scope)
    facts: dict[str, Any] = {}
    try:
        reply = await answer(head, facts)
    except Disconnected:
        return
    except Rejected as rejected:
        if isinstance(rejected, Unreadable):
            facts |= {
                "field": rejected.details.get("field", "body"),
                "reason": rejected.details.get("reason", rejected.code),
            }
        reply = refuse(head, rejected)
    except Retryable as error:
        reply = refuse(head, Rejected(error.code))
    except Exception:  # the last resort: the caller hears that it was us, the log gets everything
        log.exception("callback crashed", operation=operation, trace_id=head.trace.trace_id, **facts)
        reply = refuse(head, Rejected("INTERNAL"))
    seconds = time.perf_counter() - started
    # Counted and logged first: what a caller has heard of is never missing here.
    metrics.count(operation, reply.outcome, seconds)
    duration_ms = round(seconds * 1000, 2)
    log.info(
        "callback", operation=operation, outcome=reply.outcome, status=reply.status, duration_ms=duration_ms,
        trace_id=head.trace.trace_id, **facts,
    )  # fmt: skip
    await respond(head, send, reply)


async def respond(head: RequestHead, send: Send, reply: Reply) -> None:
    """Send `reply`, with the headers that every answer has."""
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-trace-id", head.trace.trace_id.encode()),
        (b"cache-control", b"no-store"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def error_reply(head: RequestHead, code: str, **details: object) -> Reply:
    """The canonical API's JSON error: a code of the catalogue, and what fills its message."""
    body = error_body(code, details, head.trace.trace_id)
    return Reply(ERRORS[code].status, body, code, error_headers(code, details))
