"""Our own processes as children of the sandbox: `wagerledger <command>`, with its settings in the environment."""

import os
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Process

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service(Process):
    """A gateway, relay or projector. It is ready when its internal port answers; a gateway when `/readyz` says so as
    well.
    """

    start_timeout_s = 60.0

    def __init__(
        self,
        name: str,
        root: Path,
        arguments: Sequence[str],
        settings: Callable[[], Mapping[str, str]],
        *,
        port: int | None = None,
    ) -> None:
        super().__init__(name, root, port=port)
        self._arguments = arguments
        self._settings = settings

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", "cli", *self._arguments]

    def environment(self) -> Mapping[str, str]:
        own = {"WAGERLEDGER_METRICS_HOST": LOOPBACK, "WAGERLEDGER_METRICS_PORT": str(self.ports[-1])}
        return {
            **super().environment(),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.environ.get("PATH", os.defpath),
            **self._settings(),
            **own,
        }

    def probe(self) -> bool:
        return answers(f"http://{LOOPBACK}:{self.ports[-1]}/metrics")


class ProjectorService(Service):
    """With its web page."""

    port_count = 2

    @property
    def page_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/"

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "WAGERLEDGER_PROJECTOR_PAGE_HOST": LOOPBACK,
            "WAGERLEDGER_PROJECTOR_PAGE_PORT": str(self.port),
        }


class GatewayService(Service):
    port_count = 2

    def __init__(
        self, root: Path, settings: Callable[[], Mapping[str, str]], *, port: int | None = None, name: str = "gateway"
    ) -> None:
        super().__init__(name, root, ["gateway"], settings, port=port)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "WAGERLEDGER_GATEWAY_HOST": LOOPBACK,
            "WAGERLEDGER_GATEWAY_PORT": str(self.port),
        }

    def probe(self) -> bool:
        # Where gateways share a port, only the internal one says that it is this gateway that answers.
        return super().probe() and answers(f"{self.url}/readyz")


def answers(url: str) -> bool:
    """Whether a GET of `url` succeeds."""
    try:
        with _opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
