"""Callbacks straight from the parser to their endpoints: a bet comes this way, and ASGI costs as much as deciding it.

A POST request whose path is a callback's becomes a `_Callback` in the place that uvicorn's cycle has on a connection:
its body is gathered within its bound, one task answers it when the answer before it is out, and one write sends that.
All else, also a callback that asks for 100-continue, goes through the base class to Starlette.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import httptools
import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.dialect import incoming
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import RequestHead, announced_body, head_of_parts, large_body, late_body
from gateway.dialect.reply import Reply
from gateway.http_protocol import BETWEEN, BODY, BoundedHeadProtocol
from gateway.serving import Exchange, headers_of, reply_to

log = structlog.get_logger("gateway")

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What would end a header's value before its end (RFC 9110, 5.5)."""


class CallbackProtocol(BoundedHeadProtocol):
    """One connection. `exchange` says how a POST request is answered, or None where it is no callback."""

    def __init__(self, *args: Any, exchange: Callable[[RequestHead], Exchange | None], **options: Any) -> None:
        """All but `exchange` is the base class's."""
        super().__init__(*args, **options)
        self._exchange = exchange

    # A callback comes in ------------------------------------------------------------------------------------------

    def _begin_cycle(self) -> None:
        exchange = self._exchange_of_this()
        if exchange is None:
            super()._begin_cycle()
            return
        before = self.cycle
        kept = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = callback = _Callback(exchange, kept, self.server_state.default_headers)
        if before is None or before.response_complete:
            self._start_asgi_task(callback, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((callback, self.app))

    def _exchange_of_this(self) -> Exchange | None:
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self.parser.should_upgrade():
            return None
        url = httptools.parse_url(self.url)
        peer = self.client[0] if self.client else ""
        return self._exchange(head_of_parts("POST", url.path, url.query or b"", self.headers, peer))

    def on_body(self, body: bytes) -> None:
        callback = self.cycle
        if not isinstance(callback, _Callback):
            super().on_body(body)
        elif not callback.response_complete:
            self._unexplained_bytes -= len(body)
            callback.add(body)
            self._answer_when_due(callback)

    def on_message_complete(self) -> None:
        callback = self.cycle
        if not isinstance(callback, _Callback):
            super().on_message_complete()
            return
        self._phase = BETWEEN
        self._silence()
        callback.end()
        self._answer_when_due(callback)

    def _expect_rest(self) -> None:
        callback = self.cycle
        if self._phase is BODY and isinstance(callback, _Callback) and callback.whole is None:
            self._alarm = self._alarm or self.loop.call_later(incoming.BODY_TIMEOUT_S, self._give_up_body, callback)
        else:
            super()._expect_rest()

    def _give_up_body(self, callback: "_Callback") -> None:
        callback.whole = late_body()
        self._answer_when_due(callback)

    # Its answer goes out ------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not isinstance(cycle, _Callback):
            super()._start_asgi_task(cycle, app)
            return
        self._running, cycle.has_turn = cycle, True
        self._answer_when_due(cycle)
        self.flow.resume_reading()  # where it waited for its turn, so did the rest of its body

    def _answer_when_due(self, callback: "_Callback") -> None:
        """Once its body is there, or will not be, and all before it are answered."""
        if callback.whole is None or not callback.has_turn or callback.begun:
            return
        callback.begun = True
        task = self.loop.create_task(self._answer(callback, callback.whole))
        self.tasks.add(task)  # the server waits for these when it stops
        task.add_done_callback(self._forget)

    async def _answer(self, callback: "_Callback", body: bytes | Rejected) -> None:
        reply = await reply_to(callback.exchange, body, callback.started)
        if self.flow.write_paused and not callback.disconnected:
            await self.flow.drain()
        if callback.disconnected or self.transport.is_closing():
            return
        self.transport.write(callback.written(reply))
        callback.response_started = callback.response_complete = True
        if not callback.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("answer not sent", exc_info=error)
            self.transport.close()


class _Callback(RequestResponseCycle):
    """A callback on its connection, from its head to its answer, in the place of uvicorn's cycle."""

    def __init__(self, exchange: Exchange, keep_alive: bool, default_headers: list[tuple[bytes, bytes]]) -> None:
        # Not the base class's: of what that makes, this is all that its protocol looks at.
        self.keep_alive, self.default_headers = keep_alive, default_headers
        self.response_started = self.response_complete = self.disconnected = False
        self.message_event = _NOBODY_WAITS
        self.exchange = exchange
        self.started = time.perf_counter()
        self.has_turn = self.begun = False
        self.pieces: list[bytes] = []
        self.whole: bytes | Rejected | None = announced_body(exchange.head, exchange.body_limit_bytes)
        """The body, or why it will not be read; None while it comes."""
        self.room_bytes = exchange.body_limit_bytes

    def add(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        self.room_bytes -= len(piece)
        if self.room_bytes < 0:
            self.whole = self.whole or large_body(self.exchange.body_limit_bytes)
        elif self.whole is None:
            self.pieces.append(piece)

    def end(self) -> None:
        """There are no more pieces."""
        if self.whole is None:
            self.whole = b"".join(self.pieces)

    def written(self, reply: Reply) -> bytes:
        """The bytes of its answer, which end the connection where that is not kept."""
        lines = [STATUS_LINE[reply.status]]
        for name, value in (*self.default_headers, *headers_of(self.exchange.head, reply)):
            if _CONTROL.search(value):
                raise ValueError(f"header {name!r} of an answer has a control character")
            if name == b"connection" and value == b"close":
                self.keep_alive = False
            else:
                lines += name, b": ", value, b"\r\n"
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return b"".join((*lines, reply.body))


_NOBODY_WAITS = asyncio.Event()
