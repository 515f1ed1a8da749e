"""An own schema registry: Apicurio, which speaks Confluent's API, with its schemas and their ids in a file."""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.servers import artifacts
from sandbox.servers.java import java
from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Process

HEAP_MB = 256
COMPATIBILITY = "FULL_TRANSITIVE"  # its own default is NONE

# No proxy of the environment may stand between us and loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Registry(Process):
    """A schema registry on loopback. Ids survive a restart, because they stand in messages forever."""

    port_count = 2

    def __init__(self, root: Path, name: str = "registry") -> None:
        super().__init__(name, root)

    @property
    def url(self) -> str:
        """The root of the Confluent-compatible API."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    def command(self) -> Sequence[str | Path]:
        port, management_port = self.ports
        return java(
            f"-Dquarkus.http.host={LOOPBACK}",
            f"-Dquarkus.http.port={port}",
            f"-Dquarkus.management.host={LOOPBACK}",
            f"-Dquarkus.management.port={management_port}",
            "-Dquarkus.http.access-log.enabled=false",
            '-Dquarkus.log.category."io.apicurio".level=WARN',
            "-Dquarkus.log.console.format=%d{yyyy-MM-dd HH:mm:ss.SSS} %p %m (%c{1})%n%e",
            "-jar",
            self._folder() / "quarkus-run.jar",
            heap_mb=HEAP_MB,
            temporary=self.home / "tmp",
        )

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            # Without WRITE_DELAY=0 a SIGKILL within half a second forgets an id that was already given out.
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self.home / 'data' / 'registry'};WRITE_DELAY=0",
        }

    def prepare(self) -> None:
        artifacts.fetch(artifacts.of_server("registry"))
        for folder in ("data", "tmp"):
            (self.home / folder).mkdir(exist_ok=True)

    def probe(self) -> bool:
        try:
            self.call("GET", "/subjects")
            self.call("PUT", "/config", {"compatibility": COMPATIBILITY})
        except OSError:
            return False
        return True

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the registry. Raises OSError when it does not answer, or with anything but success."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode("utf-8"),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        with _opener.open(request, timeout=10) as response:
            return json.load(response)

    def _folder(self) -> Path:
        (artifact,) = artifacts.of_server("registry")
        return artifacts.unpacked(artifact)
