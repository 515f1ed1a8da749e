"""How every callback is answered: run, counted, logged, sent; whatever goes wrong becomes an answer too."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog

from gateway import metrics
from gateway.dialect.errors import Rejected, Unreadable, error_body, error_headers
from gateway.dialect.incoming import Disconnected, RequestHead, Scope, Send, head_of
from ledger.journal.writer import Retryable
from schemas.errors import ERRORS

log = structlog.get_logger("gateway")


class Answer(NamedTuple):
    """`outcome` is what metrics and logs call it: accepted, repeated, or a code of the catalogue."""

    status: int
    body: bytes
    outcome: str
    headers: list[tuple[bytes, bytes]]
    content_type: bytes = b"application/json"


def refusal(head: RequestHead, rejected: Rejected) -> Answer:
    """In our own words."""
    return refuse(head, rejected.code, **rejected.details)


async def serve(
    operation: str,
    scope: Scope,
    send: Send,
    answer: Callable[[RequestHead, dict[str, Any]], Awaitable[Answer]],
    refusal: Callable[[RequestHead, Rejected], Answer] = refusal,
) -> None:
    """Run `answer` and send what it gives; whatever goes wrong becomes an answer too, by `refusal`. One log line, one
    count.
    """
    started = time.perf_counter()
    head = head_of(scope)
    facts: dict[str, Any] = {}
    try:
        answered = await answer(head, facts)
    except Disconnected:
        return
    except Rejected as rejected:
        if isinstance(rejected, Unreadable):
            facts |= {
                "field": rejected.details.get("field", "body"),
                "reason": rejected.details.get("reason", rejected.code),
            }
        answered = refusal(head, rejected)
    except Retryable as error:
        answered = refusal(head, Rejected(error.code))
    except Exception:  # the last resort: the caller hears that it was us, the log gets everything
        log.exception("callback crashed", operation=operation, trace_id=head.trace.trace_id, **facts)
        answered = refusal(head, Rejected("INTERNAL"))
    seconds = time.perf_counter() - started
    # Counted and logged first: what a caller has heard of is never missing here.
    metrics.count(operation, answered.outcome, seconds)
    duration_ms = round(seconds * 1000, 2)
    log.info(
        "callback", operation=operation, outcome=answered.outcome, status=answered.status, duration_ms=duration_ms,
        trace_id=head.trace.trace_id, **facts,
    )  # fmt: skip
    await respond(head, send, answered)


async def respond(head: RequestHead, send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-trace-id", head.trace.trace_id.encode()),
        (b"cache-control", b"no-store"),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def refuse(head: RequestHead, code: str, **details: object) -> Answer:
    return Answer(
        ERRORS[code].status, error_body(code, details, head.trace.trace_id), code, error_headers(code, details)
    )
