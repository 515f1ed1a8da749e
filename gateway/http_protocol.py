"""HTTP/1.1 in which nothing that a stranger sends is without a bound, in size or in time, and our shape of error for
what is no HTTP.

Each request has three phases: its head, its body, and the time between it and the next one. The parser itself takes
heads and trailers of any size, waits for them for ever, and tells what it found in no other place than its callbacks.
"""

import asyncio
import re
import secrets
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.dialect.errors import error_body
from gateway.metrics import CONNECTIONS_REFUSED

MAX_HEAD_BYTES = 32 * 1024
"""Of one request: its head and all else that is no body, such as chunk sizes and trailers."""
HEAD_TIMEOUT_S = 10.0
READ_BYTES = 4 * 1024
"""As many go to the parser at once: between two of these, what it made of them is looked at. A bet fits."""

_LARGE_HEAD = f"its head is larger than {MAX_HEAD_BYTES} bytes"
_LARGE_FRAMING = f"it has more than {MAX_HEAD_BYTES} bytes besides its body"

_host = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")


class _Malformed(Exception):  # noqa: N818  # the caller's fault, not an error of ours
    """What the parser lets pass, and we do not."""


class _Phase(Enum):
    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()


BETWEEN, HEAD, BODY = _Phase  # at every header: looked up in the class they would cost more than all else there


class BoundedHeadProtocol(HttpToolsProtocol):
    """One connection. The base class parses, and runs the requests of a connection one after the other."""

    flow: "_Flow"

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        max_connections: int | None = None,
    ) -> None:
        """A connection beyond `max_connections` is closed unheard."""
        super().__init__(config, server_state, app_state, _loop)
        self._max_connections = max_connections
        self._phase = BETWEEN
        self._framing_bytes = 0
        """Since the request began, without its body."""
        self._unexplained_bytes = 0
        """Of what the parser has now: a body is taken off as soon as it is one."""
        self._held = memoryview(b"")
        """What came in one read behind requests that wait for their turn."""
        self._ended = False
        """Nothing is heard any more, but what is owed is answered."""
        self._running: RequestResponseCycle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._keep_alive = [(b"keep-alive", b"timeout=%d" % self.timeout_keep_alive)]

    # The connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        if self._max_connections is not None and len(self.connections) >= self._max_connections:
            CONNECTIONS_REFUSED.inc()
            self.transport, self._ended = transport, True
            transport.close()
            return
        super().connection_made(transport)
        self.flow = _Flow(transport, self)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        if self._running is not None:  # the base class knows only of the last request
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._held:
            self._held = memoryview(bytes(self._held) + data)
        elif len(data) <= READ_BYTES:
            self._feed(data)
        else:
            self._held = memoryview(data)
        self.go_on()

    def go_on(self) -> None:
        """Parse what was held back, until requests wait for their turn again; when nothing is left, hear more."""
        if self.transport.is_closing():  # what would be done now, nobody could be told
            return
        while self._held and not self.flow.read_paused:
            piece, self._held = self._held[:READ_BYTES], self._held[READ_BYTES:]
            self._feed(piece)
        if self.flow.read_paused or self.transport.is_closing():
            return
        self.flow.hear_more()
        self._expect_rest()

    def _expect_rest(self) -> None:
        """Only a head that comes in pieces costs a timer, and only one that is the caller's to complete."""
        if self._phase is HEAD and self._alarm is None and not self._ended:
            late = f"its head did not arrive within {HEAD_TIMEOUT_S:g} s"
            self._alarm = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse, late)

    @property
    def may_read(self) -> bool:
        """Whether there is room for another request, or nothing that comes is kept."""
        return self._ended or not self.pipeline

    def _feed(self, piece: bytes | memoryview) -> None:
        if self._ended:
            return
        self._unexplained_bytes = len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:  # asked for another protocol; it is answered in this one
            self._framing_bytes += upgrade.args[0]
            self._feed(piece[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            malformed = error.__context__
            self._refuse(str(malformed) if isinstance(malformed, _Malformed) else "it is not valid HTTP/1.1")
            return
        self._framing_bytes += self._unexplained_bytes
        if self._framing_bytes > MAX_HEAD_BYTES:
            self._refuse(_LARGE_HEAD if self._phase is HEAD else _LARGE_FRAMING)

    # The parser's callbacks ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._phase, self._framing_bytes = HEAD, 0
        self._unset_keepalive_if_required()  # and not at any byte: blank lines are no request
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is HEAD:  # else it is a trailer: nothing that was proven or promised stands there
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self._check_head()
        self._phase = BODY
        self._silence()
        self._unset_keepalive_if_required()  # the answer before this one may have set it while the head came
        self._begin_cycle()
        if self.cycle.keep_alive:
            self.cycle.default_headers = self._keep_alive

    def _begin_cycle(self) -> None:
        """Let the request whose head is complete be answered when its turn comes."""
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:  # else nobody reads it
            self._unexplained_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = BETWEEN
        super().on_message_complete()

    def _check_head(self) -> None:
        """Raises _Malformed for a head that two servers could read in two ways, or that came whole and is too large."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _Malformed(f"HTTP/{version} is not spoken here: send HTTP/1.1")
        hosts, encodings = [], []
        for name, value in self.headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding":
                encodings.append(value.lower())
            elif name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue" and version == "1.1"
        if len(hosts) != 1 and (hosts or version == "1.1"):
            raise _Malformed(f"it has {len(hosts)} Host headers: send one")
        if hosts and not _host.fullmatch(hosts[0]):
            raise _Malformed("its Host header is no host")
        if encodings and (encodings != [b"chunked"] or version == "1.0"):
            raise _Malformed("its Transfer-Encoding is not known here: send chunked in HTTP/1.1, or a Content-Length")
        if self.parser.should_upgrade() and (encodings or self._announces_body()):
            # The parser takes such a body for the other protocol's bytes.
            raise _Malformed("it has a body and asks for another protocol: send no Upgrade")
        if self._framing_bytes + self._unexplained_bytes > MAX_HEAD_BYTES < self._head_bytes():
            raise _Malformed(_LARGE_HEAD)

    def _announces_body(self) -> bool:
        return any(name == b"content-length" and value.strip(b"0") for name, value in self.headers)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    # Answers ------------------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, reason: str) -> None:
        """End the connection for what came last. Requests that came whole before are answered, and then this one is
        not: a no too many would be taken for the answer to the caller's next request.
        """
        begun, unfinished = self._phase is not BETWEEN, self.cycle if self._phase is BODY else None
        self._end()
        if owed := self._owed(unfinished):
            self._answer_last(owed)
            self.flow.resume_reading()  # what is left unread would make the system take the answer back
            return
        if begun and not (unfinished and unfinished.response_complete):
            self.transport.write(_refusal(reason))
        self.transport.close()

    def _owed(self, unfinished: RequestResponseCycle | None) -> RequestResponseCycle | None:
        """The last request without its answer that came whole; or that is `unfinished`, but is being answered."""
        if self.pipeline and self.pipeline[0][0] is unfinished:
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self._running
        if last is None or last.response_complete or (last is unfinished and not last.response_started):
            return None
        return last

    def shutdown(self) -> None:
        super().shutdown()
        if self.cycle is not None and not self.cycle.response_complete:
            self._answer_last(self.cycle)

    def _answer_last(self, cycle: RequestResponseCycle) -> None:
        """Its answer says that the connection ends, and the base class closes behind it."""
        cycle.keep_alive, cycle.default_headers = False, self.server_state.default_headers

    def _end(self) -> None:
        self._silence()
        self._ended, self._held = True, memoryview(b"")

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


class _Flow(FlowControl):
    """Reads on only where there is room: the base class would let a queue of small requests grow with each answer.

    `read_paused` is whether the parser may have more; the transport pauses longer, until nothing is held back.
    """

    def __init__(self, transport: asyncio.Transport, protocol: BoundedHeadProtocol) -> None:
        super().__init__(transport)
        self._protocol = protocol
        self._deaf = False

    def pause_reading(self) -> None:
        self.read_paused = True
        if not self._deaf:
            self._deaf = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused and self._protocol.may_read:
            self.read_paused = False
            self._protocol.loop.call_soon(self._protocol.go_on)  # who answers now has not finished with that

    def hear_more(self) -> None:
        if self._deaf:
            self._deaf = False
            self._transport.resume_reading()


def _refusal(reason: str) -> bytes:
    trace_id = secrets.token_hex(16)
    body = error_body("MALFORMED_REQUEST", {"reason": reason}, trace_id)
    head = (
        f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"x-trace-id: {trace_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
