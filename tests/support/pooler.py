"""A pooler before PostgreSQL, as small as can be: it refuses start-up options as PgBouncer does as it comes, and gives its clients
a session each, or all of them one session in turn, a transaction at a time."""

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import make_url

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
UNSUPPORTED = b"unsupported startup parameter: options"


@contextlib.contextmanager
def pooled(database_url: str, *, whole_sessions: bool) -> Iterator[str]:
    """The URL of the same database by way of a pooler, which runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    url = make_url(database_url)
    pooler = _Pooler(url.host or "127.0.0.1", url.port or 5432, whole_sessions)
    port = asyncio.run_coroutine_threadsafe(pooler.listen(), loop).result(30)
    try:
        yield url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    finally:
        asyncio.run_coroutine_threadsafe(pooler.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class _Session:
    """A session of the server's, and the client that has it now."""

    from_server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    greeting: bytes = b""
    free: asyncio.Lock = field(default_factory=asyncio.Lock)
    client: asyncio.StreamWriter | None = None
    unanswered: int = 0

    def send(self, message: bytes) -> None:
        self.unanswered += message[:1] in b"QS"  # what a ReadyForQuery answers
        self.to_server.write(message)

    async def answer(self) -> None:
        """Pass on what the server says, and let the session go at the end of a transaction."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while message := await _message(self.from_server):
                if self.client is not None:
                    self.client.write(message)
                if message[:1] == b"Z":
                    self.unanswered -= 1
                    if message[5:6] == b"I" and not self.unanswered and self.free.locked():
                        self.client = None
                        self.free.release()


class _Pooler:
    def __init__(self, host: str, port: int, whole_sessions: bool) -> None:
        self._upstream = host, port
        self._whole_sessions = whole_sessions
        self._shared: _Session | None = None
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            startup = await self._startup(reader, writer)
            if b"\0options\0" in startup:
                writer.write(_error(UNSUPPORTED))
            elif startup:
                await self._serve(reader, writer, startup)
        writer.close()

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            rest = await reader.readexactly(length - 8)
            if code == CANCEL_REQUEST:
                return b""
            if code not in (SSL_REQUEST, GSS_REQUEST):
                return head + rest
            writer.write(b"N")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, startup: bytes) -> None:
        async with self._opening:
            session = self._shared
            if session is None:
                session = await self._open(reader, writer, startup)
                task = asyncio.create_task(session.answer())
                self._tasks.add(task)
                if not self._whole_sessions:
                    self._shared = session
            else:
                writer.write(session.greeting)
        while (message := await _message(reader))[:1] != b"X":
            if session.client is not writer:
                await session.free.acquire()
                session.client = writer
            session.send(message)
        if self._whole_sessions:
            session.to_server.close()

    async def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, startup: bytes) -> _Session:
        """Log in with what this client sends. Others of the same user are greeted as it was."""
        session = _Session(*await asyncio.open_connection(*self._upstream))
        self._writers.append(session.to_server)
        session.to_server.write(startup)
        while True:
            message = await _message(session.from_server)
            kind = message[:1]
            if kind == b"K":  # a number of our own, for who wants to cancel
                message = b"K" + struct.pack("!iii", 12, 1_000_000 + id(session) % 1_000_000, 1)
            if kind in b"SKZ" or message[5:9] == b"\0\0\0\0":
                session.greeting += message
            writer.write(message)
            if kind == b"R" and struct.unpack("!i", message[5:9])[0] in (3, 5, 10, 11):
                session.to_server.write(await _message(reader))
            if kind == b"E":
                raise ConnectionError(message)
            if kind == b"Z":
                return session


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


def _error(text: bytes) -> bytes:
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + text + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields
