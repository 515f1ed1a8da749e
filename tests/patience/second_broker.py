"""A second broker beside the embedded one: with it leaders can be elected."""

import shutil
from pathlib import Path

from sandbox.servers.kafka import SETTINGS, Kafka
from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import run


class SecondBroker(Kafka):
    """Node 2 of the cluster of `first`, which stays its only controller."""

    port_count = 1

    def __init__(self, root: Path, first: Kafka) -> None:
        super().__init__(root, "kafka-2")
        self._first = first

    def _format(self) -> None:
        lines = (self._first.data / "meta.properties").read_text("utf-8").splitlines()
        (cluster_id,) = (line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_settings(unfinished)
        arguments = "format", f"--cluster-id={cluster_id}", f"--config={self.home / 'server.properties'}"
        run(self, self._java("kafka.tools.StorageTool", *arguments, heap_mb=128))
        unfinished.rename(self.data)
        self._write_settings(self.data)

    def _write_settings(self, data: Path) -> None:
        controller_port = self._first.ports[1]
        text = SETTINGS.format(host=LOOPBACK, port=self.port, controller_port=controller_port, data=data)
        for first, second in (
            ("process.roles=broker,controller", "process.roles=broker"),
            ("node.id=1", "node.id=2"),
            (f",CONTROLLER://{LOOPBACK}:{controller_port}", ""),
        ):
            assert first in text, f"{first} is not in the settings of the first broker"
            text = text.replace(first, second)
        (self.home / "server.properties").write_text(text, "utf-8")
