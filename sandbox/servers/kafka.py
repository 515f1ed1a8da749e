"""An own Kafka: one real broker (KRaft, broker and controller in one), run from its jars."""

import os
import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from patience.kafka import QUIET
from sandbox.servers import artifacts
from sandbox.servers.java import java
from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Process, run
from schemas.topics import require_leaders

HEAP_MB = 512
PROBE_TIMEOUT_S = 5.0

# One node: every internal topic has one replica. Few partitions of them, so that the first client waits for few.
# A short session: after a SIGKILL the broker is let in again only when the session of its former self has ended.
SETTINGS = """\
process.roles=broker,controller
node.id=1
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""

LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}Z %p %m (%c{1})%n%ex
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


class Kafka(Process):
    """A Kafka broker on loopback. Topics are made by their owners: nothing is created by mistyping a name."""

    port_count = 2

    def __init__(self, root: Path, name: str = "kafka") -> None:
        super().__init__(name, root)
        self.data = self.home / "data"

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str | Path]:
        return self._java("kafka.Kafka", self.home / "server.properties", heap_mb=HEAP_MB)

    def prepare(self) -> None:
        artifacts.fetch(artifacts.of_server("kafka"))
        (self.home / "tmp").mkdir(exist_ok=True)
        (self.home / "log4j2.properties").write_text(LOGGING, "utf-8")
        self._write_settings(self.data)
        if not self.data.exists():
            self._format()

    def probe(self) -> bool:
        """Ready is: every partition of every topic answers, those of offsets and transactions included. After a restart
        some have no leader for a moment.
        """
        client = AdminClient({**QUIET, "bootstrap.servers": self.bootstrap_servers})
        try:
            require_leaders(client, timeout_s=PROBE_TIMEOUT_S)
        except KafkaException:
            return False
        return True

    def _format(self) -> None:
        """Make the data folder beside its place and rename it, so that a half-made one is never used."""
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write_settings(unfinished)
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        settings = self.home / "server.properties"
        # With "=", because an id may begin with "-" and would then be taken for an option.
        arguments = ("format", f"--cluster-id={cluster_id}", f"--config={settings}")
        run(self, self._java("kafka.tools.StorageTool", *arguments, heap_mb=128))
        unfinished.rename(self.data)
        self._write_settings(self.data)

    def _write_settings(self, data: Path) -> None:
        port, controller_port = self.ports
        text = SETTINGS.format(host=LOOPBACK, port=port, controller_port=controller_port, data=data)
        (self.home / "server.properties").write_text(text, "utf-8")

    def _java(self, *arguments: str | Path, heap_mb: int) -> Sequence[str | Path]:
        jars = os.pathsep.join(str(artifact.path) for artifact in artifacts.of_server("kafka"))
        logging = f"-Dlog4j2.configurationFile={self.home / 'log4j2.properties'}"
        return java(logging, "-cp", jars, *arguments, heap_mb=heap_mb, temporary=self.home / "tmp")
