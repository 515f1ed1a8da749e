"""A network that misbehaves on purpose, between a client and a server on the loopback address."""

import asyncio
import contextlib
from typing import Self

from sqlalchemy import make_url


class TcpProxy:
    """Passes bytes both ways until told otherwise. `async with TcpProxy(host, port) as proxy:` listens on `proxy.port`."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.deaf = False
        """Swallow what the server says, with the connection open: as a network that drops packets."""
        self.cut_after: bytes | None = None
        """Once a client has sent these bytes and the server has answered them, drop the answer and the connection, one time."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._upstream)
        self._writers |= {to_client, to_server}
        caught = asyncio.Event()
        both = (
            self._to_server(from_client, to_server, caught),
            self._to_client(from_server, to_client, to_server, caught),
        )
        for copy in both:
            task = asyncio.create_task(copy)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _to_server(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, caught: asyncio.Event
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if self.cut_after is not None and self.cut_after in data:
                    self.cut_after = None
                    caught.set()
                target.write(data)
                await target.drain()
        target.close()

    async def _to_client(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        caught: asyncio.Event,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if caught.is_set():
                    target.transport.abort()
                    back.transport.abort()
                    return
                if not self.deaf:
                    target.write(data)
                    await target.drain()
        target.close()


def proxy_of(database_url: str) -> TcpProxy:
    url = make_url(database_url)
    return TcpProxy(url.host or "127.0.0.1", url.port or 5432)


def through(proxy: TcpProxy, database_url: str) -> str:
    """The URL of the same database by way of the proxy."""
    return make_url(database_url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
