"""A stranger who takes a port between its choice and its use."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from patience import Patience
from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Process


class Robbed(Process):
    """Put it before the class of a process: each attempt to start it loses one more of its `coveted` ports to a
    stranger, until each was lost once.
    """

    coveted: Sequence[int] = (0,)
    """Indices of ports."""

    start_patience = Patience(120)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.strangers: list[ThreadingHTTPServer] = []

    def prepare(self) -> None:
        super().prepare()
        if len(self.strangers) < len(self.coveted):
            self.strangers.append(agreeable(self.ports[self.coveted[len(self.strangers)]]))

    @property
    def lost(self) -> set[int]:
        return {server.server_port for server in self.strangers}

    def leave(self) -> None:
        """The strangers leave."""
        for server in self.strangers:
            server.shutdown()
            server.server_close()


def agreeable(port: int) -> ThreadingHTTPServer:
    """A server that answers everything with yes, as another system of ours would."""
    server = ThreadingHTTPServer((LOOPBACK, port), _Agreeable)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Agreeable(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def started(processes: Sequence[Robbed]) -> Iterator[None]:
    """All started, each on ports that no stranger has."""
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(Robbed.start, processes))
        for process in processes:
            assert len(process.lost) == len(process.coveted)
            assert not process.lost & set(process.ports), process.name
        yield
    finally:
        for process in processes:
            process.kill()
            process.leave()
