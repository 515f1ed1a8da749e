"""HTTP/1.1 with a head that is bounded in size and in time, and our shape of error for what is no HTTP."""

import asyncio
import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import error_body

MAX_HEAD_BYTES = 32 * 1024
HEAD_TIMEOUT_S = 10.0


class BoundedHeadProtocol(HttpToolsProtocol):
    """The parser itself takes heads of any size, and waits for them for ever."""

    _in_head = False
    _head_bytes = 0
    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        super().connection_made(transport)
        self._alarm = self.loop.call_later(self.timeout_keep_alive, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._silence()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(f"its head is larger than {MAX_HEAD_BYTES} bytes")
            elif self._head_bytes == len(data):  # only a head that comes in pieces costs a timer
                self._silence()
                late = f"its head did not arrive within {HEAD_TIMEOUT_S:g} s"
                self._alarm = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse, late)

    def send_400_response(self, msg: str) -> None:
        """Called by the base class for whatever it cannot parse."""
        self._refuse("it is not valid HTTP/1.1")

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _refuse(self, reason: str) -> None:
        self._silence()
        trace_id = secrets.token_hex(16)
        body = error_body("MALFORMED_REQUEST", {"reason": reason}, trace_id)
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-trace-id: {trace_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
