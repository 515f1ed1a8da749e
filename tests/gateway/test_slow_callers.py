"""Callers that begin and do not go on: each costs us a connection for a bounded time only."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway import http_protocol
from gateway.callback_protocol import CallbackProtocol
from gateway.dialect import incoming
from gateway.dialect.incoming import RequestHead, head_of
from gateway.dialect.reply import Reply
from gateway.http_protocol import BoundedHeadProtocol
from gateway.serving import Exchange, refuse, serve


async def _application(scope, receive, send):
    await serve(_exchange(head_of(scope)), receive, send)


def _exchange(head: RequestHead) -> Exchange:
    async def answer(body: bytes, facts: dict[str, object]) -> Reply:
        return Reply(200, b"")

    return Exchange(head, "bet", 1000, answer, lambda rejected: refuse(head, rejected))


PROTOCOLS = [BoundedHeadProtocol, partial(CallbackProtocol, exchange=_exchange)]


async def _answer_to(protocol: Callable[..., BoundedHeadProtocol], *pieces: bytes) -> bytes:
    """What a caller hears who sends `pieces` and then waits, until the connection is closed."""
    config = uvicorn.Config(_application, ws="none", timeout_keep_alive=1, log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
        server.close()


HEAD = b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([HEAD], b"408"),
        ([HEAD, b"{"], b"408"),
        ([HEAD[:20]], b"400"),
        ([HEAD[:20], HEAD[20:40]], b"400"),
        ([HEAD[:20], HEAD[20:], b"{"], b"408"),
    ],
    ids=["no body", "half a body", "half a head", "a head in pieces", "a whole head in pieces, half a body"],
)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=["ASGI", "callback"])
def test_who_does_not_go_on_is_sent_away(monkeypatch, pieces, status, protocol):
    """A head or a body that does not arrive ends the connection with an answer, wherever it stopped."""
    # Only the time that is meant to run out is short: the other one must not, however slow the machine is.
    late, patience = (http_protocol, "HEAD_TIMEOUT_S") if status == b"400" else (incoming, "BODY_TIMEOUT_S")
    monkeypatch.setattr(late, patience, 0.3)
    answer = asyncio.run(_answer_to(protocol, *pieces))
    assert answer.startswith(b"HTTP/1.1 " + status), answer


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=["ASGI", "callback"])
def test_who_says_nothing_is_hung_up_on(protocol):
    """A connection without a first byte is closed after the time that an idle one has."""
    assert asyncio.run(_answer_to(protocol)) == b""
