"""The load: many clients on keep-alive connections, each with one request under way, in a process of its own.

`python -m bench.load` reads a `Job` as JSON from standard input, makes and signs all requests, then starts the clock,
and at its end waits for every answer that is still due. It writes a `Result` as JSON to standard output and the
latencies to a file. `python -m bench.load respond` is the trivial server that tells this client's own ceiling.
"""

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from gateway.dialect import signing

LOOPBACK = "127.0.0.1"
TARGET = "/v1/bets/authorize"
STAKE = "1.00"
GIVE_UP_S = 60


@dataclass(frozen=True)
class Job:
    """`most` bounds the requests made before the clock starts; when they run out, the run ends early."""

    port: int
    concurrency: int
    seconds: float
    most: int
    headers: dict[str, str]
    kid: str
    secret: str
    currency: str
    sessions: list[str]
    """Each bet goes to one of them, by chance."""
    latencies: str
    """File for the latencies, 8-byte floats, in seconds."""
    prepared: str | None = None
    """File of whole requests, each after its length in 4 bytes. None: bets of the canonical API, made here."""


@dataclass(frozen=True)
class Result:
    """`seconds` lasts from the first request to the last answer; `cpu_s` is what this process spent on them."""

    statuses: dict[str, int]
    seconds: float
    cpu_s: float

    @property
    def answered(self) -> int:
        return self.statuses.get("200", 0)

    @property
    def failures(self) -> dict[str, int]:
        return {status: count for status, count in self.statuses.items() if status != "200"}


def load(job: Job) -> Result:
    """Run `job` in a process of its own."""
    limit_s = job.seconds + GIVE_UP_S
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), stdout=subprocess.PIPE, text=True, timeout=limit_s, check=True
    )
    return Result(**json.loads(done.stdout))


@contextmanager
def trivial_responder() -> Iterator[int]:
    """A server that answers everything at once; yields its port."""
    with subprocess.Popen([sys.executable, "-m", "bench.load", "respond"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def signed_bets(job: Job) -> list[bytes]:
    """Whole requests, ready to be sent within the signature's window."""
    fixed = "".join(f"{name}: {value}\r\n" for name, value in job.headers.items())
    timestamp = int(time.time())
    place = signing.Place(*(job.headers[name] for name in ("X-Brand-Id", "X-Region", "X-Provider-Id")))
    requests = []
    for _ in range(job.most):
        name = f"{random.getrandbits(128):032x}"
        body = (
            f'{{"session_id":"{random.choice(job.sessions)}","bet_id":"bet_{name}","round_id":"round_{name}",'
            f'"amount":{{"amount":"{STAKE}","currency":"{job.currency}"}}}}'
        ).encode()
        signature = signing.sign(
            job.kid, job.secret, "POST", TARGET, body, idempotency_key=name, timestamp_s=timestamp, place=place
        )
        head = (
            f"POST {TARGET} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n{fixed}"
            f"X-Idempotency-Key: {name}\r\n{signing.HEADER}: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def prepared_requests(path: str) -> list[bytes]:
    content, requests, start = Path(path).read_bytes(), [], 0
    while start < len(content):
        end = start + 4 + int.from_bytes(content[start : start + 4], "big")
        requests.append(content[start + 4 : end])
        start = end
    return requests


@dataclass
class _Run:
    """What the clients share."""

    requests: Iterator[bytes]
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    deadline: float = 0.0
    last_answer: float = 0.0


class _Client(asyncio.Protocol):
    """One connection: the next request leaves when the answer to the one before is complete."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._sent_at = 0.0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send_next(self) -> None:
        self._sent_at = time.perf_counter()
        request = next(self._run.requests, None) if self._sent_at < self._run.deadline else None
        if request is None:
            self.finished.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0 or len(received) < head_end + 4 + _content_length(received, head_end):
            self._received = received
            return
        self._received = b""
        run = self._run
        run.last_answer = now = time.perf_counter()
        run.latencies.append(now - self._sent_at)
        run.statuses[received[9:12].decode()] += 1
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self._run.statuses["connection lost"] += 1
            self.finished.set_result(None)


def _content_length(received: bytes, head_end: int) -> int:
    start = received.index(b"content-length: ", 0, head_end) + 16
    return int(received[start : received.index(b"\r\n", start)])


async def _fire(job: Job, requests: list[bytes]) -> Result:
    run = _Run(iter(requests))
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Client(run), LOOPBACK, job.port))[1] for _ in range(job.concurrency)
    ]
    cpu = time.process_time()
    started = time.perf_counter()
    run.deadline = started + job.seconds
    for client in clients:
        client.send_next()
    await asyncio.gather(*(client.finished for client in clients))
    cpu_s = time.process_time() - cpu
    Path(job.latencies).write_bytes(run.latencies.tobytes())  # noqa: ASYNC240  # the clock has stopped
    return Result(dict(run.statuses), run.last_answer - started, cpu_s)


ANSWER_BYTES = 480


class _Responder(asyncio.Protocol):
    """Reads nothing of what it gets: each chunk is one of our small requests."""

    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % ANSWER_BYTES + b" " * ANSWER_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self.answer)


async def _respond() -> None:
    listener = socket.create_server((LOOPBACK, 0), backlog=1024)
    server = await asyncio.get_running_loop().create_server(_Responder, sock=listener)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["respond"]:
        uvloop.run(_respond())
    else:
        job = Job(**json.load(sys.stdin))
        ready = prepared_requests(job.prepared) if job.prepared else signed_bets(job)
        print(json.dumps(asdict(uvloop.run(_fire(job, ready)))))
