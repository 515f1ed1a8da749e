"""HTTP/1.1 for the page: who connects and says nothing keeps nobody else away."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 5.0
"""How long a connection may be without a whole head, at its beginning and after each answer."""
MOST_SILENT = 32
"""Connections without one; the next ends the one that has been silent longest."""


class TimedHeadProtocol(HttpToolsProtocol):
    """The base class waits for a first head for ever."""

    alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        super().connection_made(transport)
        self._await_head()
        silent = [one for one in self.connections if isinstance(one, TimedHeadProtocol) and one.alarm]
        if len(silent) > MOST_SILENT:
            min(silent, key=TimedHeadProtocol.ends_at).end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        self._silence()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.alarm is None and not self.transport.is_closing():
            self._await_head()

    def ends_at(self) -> float:
        return self.alarm.when() if self.alarm else float("inf")

    def end(self) -> None:
        self._silence()
        self.transport.close()

    def _await_head(self) -> None:
        self.alarm = self.loop.call_later(HEAD_TIMEOUT_S, self.end)

    def _silence(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
