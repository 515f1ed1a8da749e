"""Callers that begin and do not go on: each costs us a connection for a bounded time only."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway import http_protocol
from gateway.dialect import incoming
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import head_of, read_body
from gateway.http_protocol import BoundedHeadProtocol
from gateway.serving import error_reply, respond


async def _application(scope, receive, send):
    head = head_of(scope)
    try:
        await read_body(head, receive, 1000)
    except Rejected as rejected:
        await respond(head, send, error_reply(head, rejected.code, **rejected.details))


async def _answer_to(*pieces: bytes) -> bytes:
    """What a caller hears who sends `pieces` and then waits, until the connection is closed."""
    config = uvicorn.Config(_application, ws="none", timeout_keep_alive=1, log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedHeadProtocol(config, state, {}), "127.0.0.1", 0)
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
def test_who_does_not_go_on_is_sent_away(monkeypatch, pieces, status):
    """A head or a body that does not arrive ends the connection with an answer, wherever it stopped."""
    # Only the time that is meant to run out is short: the other one must not, however slow the machine is.
    late, patience = (http_protocol, "HEAD_TIMEOUT_S") if status == b"400" else (incoming, "BODY_TIMEOUT_S")
    monkeypatch.setattr(late, patience, 0.3)
    answer = asyncio.run(_answer_to(*pieces))
    assert answer.startswith(b"HTTP/1.1 " + status), answer


def test_who_says_nothing_is_hung_up_on():
    """A connection without a first byte is closed after the time that an idle one has."""
    assert asyncio.run(_answer_to()) == b""
