"""The gateway as a process of its own, and requests as bytes."""

import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from runtime.settings import Settings
from tests.support.caller import Caller
from tests.support.waiting import until

RUN = "import sys; from gateway.app import run; from runtime.settings import load_settings; sys.exit(run(load_settings()))"


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class GatewayProcess:
    child: subprocess.Popen[bytes]
    url: str
    metrics_url: str
    log: IO[bytes]

    def stop(self) -> int:
        """Ask it to end; gives its exit code."""
        self.child.terminate()
        return self.ended()

    def ended(self) -> int:
        """Its exit code, once it has ended. Who has asked already does not ask again: a second signal may come too late."""
        code = self.child.wait(120)
        self.log.close()
        return code

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname, parts.port), timeout=20)

    def exchange(self, *pieces: bytes) -> list[Answer]:
        """What is answered on one connection until the gateway closes it. Between two pieces something is heard."""
        heard = bytearray()
        with self.connect() as connection:
            for number, piece in enumerate(pieces):
                if number:
                    heard += connection.recv(65536)
                connection.sendall(piece)
            # The system says "reset" for "closed" where the gateway left something unread.
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    heard += part
        return answers(bytes(heard))

    def get(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content


def start(settings: Settings, **more: str) -> GatewayProcess:
    """With `more` of the environment, such as WAGERLEDGER_GATEWAY_KEEP_ALIVE_S."""
    assert settings.secrets_key is not None
    environment = os.environ | {
        "WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAGERLEDGER_SECRETS_KEY": settings.secrets_key.get_secret_value(),
        "WAGERLEDGER_GATEWAY_PORT": "0",
        "WAGERLEDGER_METRICS_PORT": "0",
        **more,
    }
    # A file, not a pipe: nobody reads while the tests run, and a full pipe would stop the process.
    log = tempfile.TemporaryFile()  # noqa: SIM115  # `stop` closes it
    child = subprocess.Popen([sys.executable, "-c", RUN], env=environment, stdout=log)
    deadline = time.monotonic() + 120  # for a start that hangs, not for a slow one
    while time.monotonic() < deadline and child.poll() is None:
        events = {event["event"]: event for event in logged(log)}
        if "gateway ready" in events:
            return GatewayProcess(child, events["gateway ready"]["url"], events["metrics served"]["url"], log)
        time.sleep(0.02)
    child.kill()
    raise AssertionError(f"the gateway ended with {child.wait()} or was not ready in time")


def logged(log: IO[bytes]) -> list[dict[str, Any]]:
    """The whole lines so far."""
    content = os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0)
    return [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def line_of(process: GatewayProcess, event: str, **facts: object) -> dict[str, Any]:
    """The one line of this event with these facts. It is waited for: lines follow the answer that they tell of."""

    def found() -> list[dict[str, Any]]:
        return [line for line in logged(process.log) if line["event"] == event and line | facts == line]

    (line,) = until(found, f"a line of {event!r}")
    return line


def raw(caller: Caller, body: dict[str, object], key: str, **changes: str) -> bytes:
    """A bet as bytes. `changes` are headers that differ, or come besides: host="y"."""
    content = json.dumps(body).encode()
    headers = {"Host": "x", **dict(caller.headers("POST", "/v1/bets/authorize", content, key))}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return head("POST /v1/bets/authorize HTTP/1.1", *headers.items()) + content


def head(line: str, *headers: tuple[str, str]) -> bytes:
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in headers), "", ""]).encode()


def answers(heard: bytes) -> list[Answer]:
    """All answers in what was heard on one connection, in order. Fails where something else was."""
    stream = _Stream(heard)
    found = []
    while stream.content.tell() < len(heard):
        if heard[stream.content.tell() :].startswith(CONTINUE):
            stream.content.seek(len(CONTINUE), os.SEEK_CUR)
            found.append(Answer(100, {}, b""))
            continue
        response = http.client.HTTPResponse(stream)  # type: ignore[arg-type]  # it wants a file of it, no more
        response.begin()
        body = response.read()
        found.append(Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body))
    return found


class _Stream:
    """Bytes, as a socket that gives them."""

    def __init__(self, heard: bytes) -> None:
        self.content = io.BytesIO(heard)
        self.content.close = lambda: None  # type: ignore[method-assign]  # the next answer is read from it, too

    def makefile(self, _: str) -> io.BytesIO:
        return self.content
