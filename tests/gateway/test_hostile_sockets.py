"""What strangers write to a socket: each byte is bounded, in size and in time, and none of it changes what others hear.

One gateway serves all cases, as a process of its own; its idle connections end after a second.
"""

import asyncio
import contextlib
import http.client
import json
import select
import socket
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import NamedTuple

import psutil
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway import callback_protocol, http_protocol
from gateway.callback_protocol import CallbackProtocol
from gateway.dialect import incoming
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import RequestHead, head_of
from gateway.dialect.reply import Reply
from gateway.http_protocol import MAX_HEAD_BYTES, BoundedHeadProtocol
from gateway.serving import Exchange, refuse, serve
from runtime.settings import Settings
from tests.gateway.process import GatewayProcess, answers, head, line_of, raw, start
from tests.support.caller import Caller, RunningGateway, on_board

CONNECTIONS = 50
MEBIBYTE = 1024 * 1024
FLOOD_BYTES = 32 * MEBIBYTE
MOST_GROWTH_BYTES = 24 * MEBIBYTE
"""Of the gateway's memory over all floods. Buffers of sockets and what the interpreter keeps are in it."""


@pytest.fixture(scope="module")
def process(settings: Settings, gateway: RunningGateway) -> Iterator[GatewayProcess]:
    process = start(
        settings,
        WAGERLEDGER_GATEWAY_KEEP_ALIVE_S="1",
        WAGERLEDGER_GATEWAY_CONNECTIONS=str(CONNECTIONS),
        WAGERLEDGER_TRUSTED_PROXIES="127.0.0.1/32",
    )
    yield process
    process.stop()


def bet(session: str, bet_id: str = "", **more: object) -> dict[str, object]:
    bet_id = bet_id or uuid.uuid4().hex
    return {
        "session_id": session,
        "bet_id": bet_id,
        "round_id": "r",
        "amount": {"amount": "1", "currency": "EUR"},
    } | more


GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Answered where the connection still is one, and its end."""
CHUNKED = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


# Heads -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"GET /livez HTTP/1.1\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x y\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x/y\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: \t [2001:db8::1]:8080 \r\n\r\n" + LAST, [200, 200]),
        (b"GET /livez HTTP/1.0\r\n\r\n", [200]),
        (b"GET /livez HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", [404]),
        (b"POST /v1/bets/settle HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", [401]),
        (b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", [400]),
        (b"GET /livez HTTP/0.9\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:  Chunked \r\n\r\n0\r\n\r\n" + LAST, [404, 200]),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n{}", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + LAST, [200, 200]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * (MAX_HEAD_BYTES // 8) + b"\r\n", [400]),
        (b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * (MAX_HEAD_BYTES - 1000) + b"\r\n\r\n" + LAST, [200, 200]),
        (b"\r\n\r\n\r\n" + LAST, [200]),
        (b"\0", [400]),
        (b"\r\n" * MAX_HEAD_BYTES, []),
    ],
)  # fmt: skip
def test_a_head_is_read_in_one_way_or_refused(process: GatewayProcess, sent: bytes, statuses: list[int]) -> None:
    """Which host, how long and where it ends: where two servers could read that differently, it is no request here. What is
    too large is refused in one read as in many; and what is right is served, with the next request behind it."""
    heard = process.exchange(sent)
    assert [answer.status for answer in heard] == statuses
    for answer in heard:
        if answer.status == 400:
            assert json.loads(answer.body)["code"] == "MALFORMED_REQUEST"
            assert answer.headers["connection"] == "close"


def test_blanks_around_a_value_are_no_part_of_it(process: GatewayProcess, caller: Caller, session: str) -> None:
    """A proxy may write them: brand, region, signature and lengths count without."""
    wide = {"X_Brand_Id": f"\t {caller.tenant_id} \t", "X_Region": f"  {caller.region} ", "X_Idempotency_Key": " k1\t"}
    request = raw(caller, bet(session), "k1", **{name.replace("_", "-"): value for name, value in wide.items()})
    assert [answer.status for answer in process.exchange(request + LAST)] == [200, 200]


def test_a_caller_that_asks_first_is_told_to_go_on(process: GatewayProcess, caller: Caller, session: str) -> None:
    """Expect: 100-continue hears 100, and then its answer."""
    asked, _, body = raw(caller, bet(session), uuid.uuid4().hex, Expect="100-continue").partition(b"\r\n\r\n")
    heard = process.exchange(asked + b"\r\n\r\n", body + LAST)
    assert [answer.status for answer in heard] == [100, 200, 200]


# Trailers --------------------------------------------------------------------------------------------------------------


def chunked(*, headers: dict[str, str], trailers: dict[str, str], body: bytes) -> bytes:
    """A bet in one chunk, with some of what belongs to its head behind it."""
    first = head("POST /v1/bets/authorize HTTP/1.1", *headers.items(), ("Transfer-Encoding", "chunked"))
    return first + b"%x\r\n%s\r\n0\r\n" % (len(body), body) + head("", *trailers.items()).removeprefix(b"\r\n")


def test_nothing_is_proven_behind_the_body(process: GatewayProcess, caller: Caller, session: str) -> None:
    """The same headers before the body are a bet, as trailers they are nothing: the request is not signed."""
    body = json.dumps(bet(session)).encode()
    signed = dict(caller.headers("POST", "/v1/bets/authorize", body, uuid.uuid4().hex))
    del signed["Content-Length"]
    for_all = {"Host": "x", "Content-Type": "application/json"}
    refused = process.exchange(chunked(headers=for_all, trailers=signed, body=body) + LAST)
    assert [json.loads(refused[0].body).get("code"), refused[1].status] == ["SIGNATURE_MISSING", 200]
    taken = process.exchange(chunked(headers=for_all | signed, trailers=signed | {"X-Region": "US"}, body=body) + LAST)
    assert [answer.status for answer in taken] == [200, 200]


@pytest.mark.parametrize(
    ("option", "name", "wrong", "right"),
    [
        ("ip_allow=203.0.113.0/24", "X-Forwarded-For", "9.9.9.9", "203.0.113.7"),
        (f"client_certificate={'ab' * 32}", "X-Client-Certificate-SHA256", "ac" * 32, "ab" * 32),
    ],
)
def test_where_a_call_comes_from_is_not_said_behind_the_body(
    process: GatewayProcess, gateway: RunningGateway, option: str, name: str, wrong: str, right: str
) -> None:
    """What a proxy writes into the head counts, what a stranger writes as a trailer does not."""
    limited = on_board(gateway, provider_id=uuid.uuid4().hex, options=dict([option.split("=")]))
    body = json.dumps(bet("s_1")).encode()
    signed = dict(limited.headers("POST", "/v1/bets/authorize", body, uuid.uuid4().hex)) | {"Host": "x"}
    del signed["Content-Length"]
    for said, code in ((wrong, "CALLER_NOT_ALLOWED"), (right, "SESSION_NOT_FOUND")):
        trailers = {name: right if said == wrong else wrong}
        first, _ = process.exchange(chunked(headers=signed | {name: said}, trailers=trailers, body=body) + LAST)
        assert json.loads(first.body)["code"] == code


def test_a_proxy_that_names_no_address_is_named_itself(process: GatewayProcess, gateway: RunningGateway) -> None:
    """Where a trusted proxy says something that is no address, nobody is let in, and the log says what and which proxy."""
    limited = on_board(gateway, provider_id=uuid.uuid4().hex, options={"ip_allow": "203.0.113.0/24"})
    nonsense = f"unknown-{uuid.uuid4().hex}"
    first, _ = process.exchange(raw(limited, bet("s_1"), "k", X_Forwarded_For=f"203.0.113.7, {nonsense}") + LAST)
    assert json.loads(first.body)["code"] == "CALLER_NOT_ALLOWED"
    assert line_of(process, "proxy named no address", x_forwarded_for=nonsense)["proxy"] == "127.0.0.1"


# What follows a request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behind",
    [
        b"\0",
        b"GARBAGE\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 2 * MAX_HEAD_BYTES,
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 8 * MAX_HEAD_BYTES,
        CHUNKED + b"ZZ\r\n",
        b"\r\n" * 8 * MAX_HEAD_BYTES,
    ],
    ids=["zero", "garbage", "no host", "head", "large head", "wrong chunk", "blank lines"],
)
def test_a_bet_that_is_taken_is_answered_whatever_follows_it(
    process: GatewayProcess, caller: Caller, player: str, session: str, behind: bytes
) -> None:
    """Two bets come whole, and behind them what is no request: both hear their own yes, the second that it is the last, and
    nobody hears a no."""
    bets = b"".join(raw(caller, bet(session), uuid.uuid4().hex) for _ in range(2))
    first, second = process.exchange(bets + behind)
    assert [json.loads(answer.body)["status"] for answer in (first, second)] == ["authorized", "authorized"]
    assert ("connection" in first.headers, second.headers["connection"]) == (False, "close")
    assert caller.balances(player)["held"] == "2.00"


def test_nothing_is_done_behind_the_last_answer(
    process: GatewayProcess, caller: Caller, player: str, session: str
) -> None:
    """A body that is too large ends the connection: the bet behind it in the same packet is not taken, for nobody could be
    told."""
    large = b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    large += b"%x\r\n%s\r\n0\r\n\r\n" % (70_000, b" " * 70_000)
    heard = process.exchange(large + raw(caller, bet(session), uuid.uuid4().hex))
    assert [answer.status for answer in heard] == [413]
    assert process.get("/livez")[0] == 200
    assert caller.balances(player)["held"] == "0.00"


def test_requests_in_one_packet_are_answered_in_order(process: GatewayProcess, caller: Caller, session: str) -> None:
    """A bet with a body above the limit of heads, the begin of the next one behind it, then its rest."""
    large, small = (raw(caller, bet(session, remark="x" * size), uuid.uuid4().hex) for size in (40_000, 0))
    heard = process.exchange(large + small[:200], small[200:] + LAST)
    assert [answer.status for answer in heard] == [200, 200, 200]
    assert heard[0].headers["keep-alive"] == "timeout=1"


UNSIGNED = b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
"""A callback that is answered as soon as its body is there: with a no."""


@pytest.mark.parametrize("kinds", [[GET], [UNSIGNED], [GET, UNSIGNED]], ids=["reads", "callbacks", "both"])
def test_a_thousand_requests_in_one_packet_are_answered_in_order(process: GatewayProcess, kinds: list[bytes]) -> None:
    """However many wait for their turn, and whichever way each goes, each hears its own answer."""
    traces = [f"t{number}" for number in range(1000)]
    kinds = [kind.replace(b"Host: x", b"Host: x\r\nX-Trace-Id: %s") for kind in kinds]
    sent = b"".join(kinds[number % len(kinds)] % trace.encode() for number, trace in enumerate(traces))
    heard = process.exchange(sent + LAST)
    assert [answer.headers["x-trace-id"] for answer in heard[:-1]] == traces


@pytest.mark.parametrize(
    "last",
    [UNSIGNED.replace(b"HTTP/1.1", b"HTTP/1.0"), UNSIGNED.replace(b"Host: x", b"Host: x\r\nConnection: close")],
    ids=["older version", "closing"],
)
def test_a_callback_that_is_the_last_hears_so(process: GatewayProcess, last: bytes) -> None:
    """Who speaks HTTP/1.0, or says that nothing follows, is told that the connection ends; it is not kept for others."""
    (answer,) = process.exchange(last)
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    assert "keep-alive" not in answer.headers


# How much --------------------------------------------------------------------------------------------------------------

FLOODS = {
    "trailers": (CHUNKED + b"0\r\n", b"X-A: b\r\n" * 8192),
    "one trailer": (CHUNKED + b"0\r\nX-A: ", b"a" * 65536),
    "trailers after the answer": (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 8192),
    "chunk extension": (CHUNKED + b"1;", b"e" * 65536),
    "chunk size": (CHUNKED, b"0" * 65536),
    "chunks of one byte": (CHUNKED, b"1\r\na\r\n" * 8192),
    "one header": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 65536),
    "headers": (b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 8192),
    "target": (b"GET /", b"a" * 65536),
    "blank lines": (b"", b"\r\n" * 32768),
    "blank lines after the answer": (GET, b"\r\n" * 32768),
    "body after the answer": (GET[:-2] + b"Content-Length: 1000000000\r\n\r\n", b"a" * 65536),
    "chunks after the answer": (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n"),
    "body of nobody": (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", b"a" * 65536),
    "body": (b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n"),
    "garbage behind a request": (GET, b"\0" * 65536),
    "garbage behind a callback": (UNSIGNED, b"\0" * 65536),
    "announced body": (UNSIGNED.replace(b": 2\r", b": 1000000000\r"), b"a" * 65536),
    "chunks of a callback": (UNSIGNED.replace(b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n"), b"1\r\na\r\n" * 8192),
    "trailers of a callback": (UNSIGNED.replace(b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n0\r\n"), b"X-A: b\r\n" * 8192),
}  # fmt: skip


@pytest.fixture(scope="module")
def grown(process: GatewayProcess) -> Callable[[], int]:
    """How many bytes more of memory the gateway has than before the first flood."""
    memory = psutil.Process(process.child.pid)
    process.exchange(GET * 1000 + LAST)  # what the first requests leave behind is no flood
    before = memory.memory_info().rss
    return lambda: int(memory.memory_info().rss) - before


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_cut_off(process: GatewayProcess, grown: Callable[[], int], name: str) -> None:
    """Whatever comes without end ends the connection, leaves the memory as it was, and the next caller is served."""
    begin, more = FLOODS[name]
    assert flooded(process.connect(), begin, more) < FLOOD_BYTES, "it was all read"
    assert process.get("/livez")[0] == 200
    assert grown() < MOST_GROWTH_BYTES


def flooded(connection: socket.socket, begin: bytes, more: bytes) -> int:
    """How many bytes could be sent before the other side would have no more."""
    sent = len(begin)
    with connection:
        connection.sendall(begin)
        try:
            for piece in repeat(more, FLOOD_BYTES // len(more) + 1):
                connection.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
    return sent


@pytest.mark.parametrize("request_", [GET, UNSIGNED], ids=["read", "callback"])
def test_requests_whose_answers_nobody_reads_take_no_memory(
    process: GatewayProcess, grown: Callable[[], int], request_: bytes
) -> None:
    """Past what the system buffers they wait where they are: in the caller's own memory."""
    with process.connect() as connection:
        connection.setblocking(False)
        sent = 0
        while sent < FLOOD_BYTES and select.select([], [connection], [], 0.5)[1]:
            sent += connection.send(request_ * 2000)
        assert grown() < MOST_GROWTH_BYTES
    assert process.get("/livez")[0] == 200


def test_one_connection_more_is_closed_at_once(process: GatewayProcess) -> None:
    """As many as the setting says are served; who comes then is closed unheard, counted, and served when one has gone."""
    unfinished = b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"  # nothing ends it for 10 s
    before = refused_connections(process)
    held = [process.connect() for _ in range(CONNECTIONS)]
    for connection in held:
        connection.sendall(unfinished)
    with process.connect() as late:
        assert hung_up(late)
    assert refused_connections(process) >= before + 1
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with process.connect() as connection:
            connection.sendall(LAST)
            if not hung_up(connection):
                return
    raise AssertionError("the place of a connection that has gone is not given to another")


def hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def refused_connections(process: GatewayProcess) -> float:
    with urllib.request.urlopen(process.metrics_url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("wagerledger_connections_refused_total ")).split()[1])


# How long --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "drop"),
    [
        (GET, b""),
        (GET, b"\r\n"),
        (GET[:-2] + b"Content-Length: 1000000\r\n\r\n", b"a"),
        (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n"),
    ],
    ids=["silence", "blank lines", "body", "chunks", "trailers"],
)
def test_after_an_answer_only_a_request_keeps_a_connection(
    process: GatewayProcess, request_: bytes, drop: bytes
) -> None:
    """Who goes on with less than a request, drop by drop, is hung up on when an idle connection is."""
    with process.connect() as connection:
        connection.sendall(request_)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.read() == b'{"status":"ok"}'
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if select.select([connection], [], [], 0.1)[0]:
                assert hung_up(connection), "a second answer to one request"
                break
            connection.sendall(drop)
        else:
            raise AssertionError("it is still open")


# Planted faults --------------------------------------------------------------------------------------------------------


class TrailersAreHeaders(BoundedHeadProtocol):
    def on_header(self, name: bytes, value: bytes) -> None:
        HttpToolsProtocol.on_header(self, name, value)


class BlanksAreKept(BoundedHeadProtocol):
    def on_header(self, name: bytes, value: bytes) -> None:
        HttpToolsProtocol.on_header(self, name, value + b" ")


class AnyHeadWillDo(BoundedHeadProtocol):
    def _check_head(self) -> None:
        pass


class TheLastByteDecides(BoundedHeadProtocol):
    def _refuse(self, reason: str) -> None:
        self.transport.write(http_protocol._refusal(reason))
        self.transport.close()


class AnyByteIsALife(BoundedHeadProtocol):
    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        super().data_received(data)


class NothingIsTooMuch(BoundedHeadProtocol):
    @property
    def _framing_bytes(self) -> int:
        return 0

    @_framing_bytes.setter
    def _framing_bytes(self, _: int) -> None:
        pass


class AllAtOnce(CallbackProtocol):
    def _answer_when_due(self, callback: callback_protocol._Callback) -> None:
        callback.has_turn = True
        super()._answer_when_due(callback)


class OneMore(CallbackProtocol):
    async def _answer(self, callback: callback_protocol._Callback, body: bytes | Rejected) -> None:
        await super()._answer(callback, body)
        await super()._answer(callback, body)


class AnyBodyWillDo(CallbackProtocol):
    cycle: callback_protocol._Callback

    def on_body(self, body: bytes) -> None:
        self.cycle.room_bytes += len(body)
        super().on_body(body)


class ForEver(CallbackProtocol):
    def _expect_rest(self) -> None:
        pass


class Promise(NamedTuple):
    """What is sent, and what is heard then, with the status of each answer. None is an end that never comes."""

    pieces: list[bytes]
    heard: list[int] | None


PROOF = b"POST /bet HTTP/1.1\r\nHost: x\r\nX-Proof: right\r\nContent-Length: 2\r\n\r\n{}"
NO_PROOF = PROOF.replace(b"right", b"wrong")
SLOW = PROOF.replace(b"Host: x", b"Host: x\r\nX-Slow: yes")
BET_IN_CHUNKS = b"POST /bet HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
PROMISES = {
    "trailers": Promise([CHUNKED + b"0\r\nX-Proof: right\r\n\r\n" + LAST], [403, 403]),
    "blanks": Promise([PROOF.replace(b"right", b" right ") + LAST], [200, 403]),
    "hosts": Promise([b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"], [400]),
    "hosts of a callback": Promise([PROOF.replace(b"Host: x", b"Host: x\r\nHost: x") + LAST], [400]),
    "answer first": Promise([PROOF + b"\0"], [200]),
    "blank lines": Promise([PROOF, *[b"\r\n"] * 200], [200]),
    "chunk extension": Promise([CHUNKED + b"1;", *[b"e" * 4000] * 20], [400]),
    "order": Promise([SLOW + NO_PROOF + SLOW + LAST], [200, 403, 200, 403]),
    "one body, one answer": Promise([PROOF + LAST], [200, 403]),
    "large body in chunks": Promise([BET_IN_CHUNKS, *[b"200\r\n" + b"a" * 512 + b"\r\n"] * 4], [413]),
    "large body announced": Promise([PROOF.replace(b": 2", b": 2000")], [413]),
    "half a body": Promise([PROOF[:-1]], [408]),
    "older version": Promise([PROOF.replace(b"HTTP/1.1", b"HTTP/1.0"), LAST], [200]),
    "the caller's last": Promise([PROOF.replace(b"Host: x", b"Host: x\r\nConnection: close")], [200]),
    "asks first": Promise([PROOF[:-2].replace(b"Host: x", b"Host: x\r\nExpect: 100-continue"), b"{}" + LAST], [100, 200, 403]),
}  # fmt: skip
FAULTS = {
    TrailersAreHeaders: "trailers", BlanksAreKept: "blanks", AnyHeadWillDo: "hosts", TheLastByteDecides: "answer first",
    AnyByteIsALife: "blank lines", NothingIsTooMuch: "chunk extension",
}  # fmt: skip
# A callback's head is read before its trailers come: the first fault is none there.
FAULTS_OF_CALLBACKS = {
    **{fault: name for fault, name in FAULTS.items() if fault is not TrailersAreHeaders},
    AllAtOnce: "order", OneMore: "one body, one answer", AnyBodyWillDo: "large body in chunks", ForEver: "half a body",
}  # fmt: skip


@pytest.mark.parametrize("protocol", [BoundedHeadProtocol, CallbackProtocol])
@pytest.mark.parametrize("name", PROMISES)
def test_the_promises_are_kept(monkeypatch, name: str, protocol: type[BoundedHeadProtocol]) -> None:
    """The protocol alone, before an application of three lines, does what the faults below do not; and a callback that goes
    past ASGI hears the same."""
    monkeypatch.setattr(incoming, "BODY_TIMEOUT_S", 0.3)
    assert heard_of(protocol, PROMISES[name]) == PROMISES[name].heard


@pytest.mark.parametrize(
    ("base", "fault", "name"),
    [
        *((BoundedHeadProtocol, *one) for one in FAULTS.items()),
        *((CallbackProtocol, *one) for one in FAULTS_OF_CALLBACKS.items()),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_planted_faults_are_found(
    monkeypatch, base: type[BoundedHeadProtocol], fault: type[BoundedHeadProtocol], name: str
) -> None:
    """A test that cannot fail is not counted: each promise is broken by a protocol that lacks what keeps it."""
    monkeypatch.setattr(incoming, "BODY_TIMEOUT_S", 0.3)
    faulty = fault if issubclass(fault, base) else type(fault.__name__, (fault, base), {})
    assert heard_of(faulty, PROMISES[name]) != PROMISES[name].heard


LIMIT_BYTES = 1000


async def _application(scope, receive, send):
    request = head_of(scope)
    await serve(_exchange(request), receive, send)


def _exchange(request: RequestHead) -> Exchange:
    async def answer(body: bytes, facts: dict[str, object]) -> Reply:
        if b"x-slow" in request.headers:
            await asyncio.sleep(0.1)
        return Reply(200 if request.headers.get(b"x-proof") == b"right" else 403, b"")

    return Exchange(request, "bet", LIMIT_BYTES, answer, lambda rejected: refuse(request, rejected))


def heard_of(protocol: type[BoundedHeadProtocol], promise: Promise) -> list[int] | None:
    return asyncio.run(_heard_of(protocol, promise))


async def _heard_of(protocol: type[BoundedHeadProtocol], promise: Promise) -> list[int] | None:
    config = uvicorn.Config(_application, ws="none", timeout_keep_alive=1, log_config=None)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    more = {"exchange": _exchange} if issubclass(protocol, CallbackProtocol) else {}
    server = await loop.create_server(lambda: protocol(config, state, {}, **more), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    ending = asyncio.ensure_future(_to_end(reader))
    try:
        for piece in promise.pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
            if ending.done():
                break
        heard = await asyncio.wait_for(asyncio.shield(ending), 2)
        return [answer.status for answer in answers(heard)]
    except TimeoutError:
        return None
    finally:
        ending.cancel()
        writer.close()
        server.close()


async def _to_end(reader: asyncio.StreamReader) -> bytes:
    """All that comes. Who closes with bytes of ours unread resets the connection: that is an end as well."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(65536):
            heard += piece
    return heard
