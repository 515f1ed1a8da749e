"""Our own processes as children of the sandbox."""

import json
import sys

import pytest

from evidence.keys import new_key, to_text
from ledger.admin.secrets import new_secrets_key
from runtime.settings import PREFIX
from sandbox.servers.process import Process
from sandbox.servers.service import GatewayService, ProjectorService, Service
from sandbox.system import System
from tests.support.strangers import Robbed, agreeable, started

LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


class RobbedGateway(Robbed, GatewayService):
    pass


class RobbedService(Robbed, Service):
    pass


class RobbedProjector(Robbed, ProjectorService):
    pass


@pytest.fixture
def environment(servers, ledger_database, bi_database, topic_prefix, tmp_path):
    values = {
        "DATABASE_URL": ledger_database,
        "BI_DATABASE_URL": bi_database,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "SCHEMA_REGISTRY_URL": servers.schema_registry_url,
        "TOPIC_PREFIX": topic_prefix,
        "SECRETS_KEY": new_secrets_key(),
        "ANCHOR_KEY": to_text(new_key()),
        "ANCHOR_PATH": str(tmp_path / "heads.jsonl"),
    }
    return lambda: {f"{PREFIX}{name}": value for name, value in values.items()}


def test_ports_taken_in_the_last_moment_are_replaced(tmp_path, environment):
    """A gateway, a relay, a projector and a sealer each get other ports when a stranger, who answers as they would, took one after it was chosen."""
    processes = [
        RobbedGateway(tmp_path, environment),
        RobbedService("relay", tmp_path, ["relay"], environment),
        RobbedProjector("projector", tmp_path, ["project"], environment),
        RobbedService("sealer", tmp_path, ["seal"], environment),
    ]
    with started(processes):
        assert all(process.probe() for process in processes)


class Listener(Process):
    """Listens on its port, which others are told."""

    def command(self):
        return [sys.executable, "-c", LISTEN, str(self.port)]


class Client(Listener):
    def __init__(self, name, root, server):
        super().__init__(name, root)
        self.server = server

    def environment(self):
        return {**super().environment(), "SERVER": str(self.server.port)}


class Moving(System):
    """A system of two."""

    def __init__(self, root):
        super().__init__(root)
        self.server = Listener("server", self.root)
        self.client = Client("client", self.root, self.server)

    def _shell_environment(self):
        return "\n"

    def description(self):
        return {"port": self.server.port}


def test_a_server_that_moves_takes_its_clients_along(tmp_path, monkeypatch):
    """When a server dies and a stranger takes its port, it comes back on another one, what uses it is started again, and sandbox.json says the new port."""
    monkeypatch.setattr("sandbox.system._RESTART_PAUSE_S", 0.0)
    system = Moving(tmp_path)
    try:
        for process in (system.server, system.client):
            system.stack.add(process)
        system._describe()
        pid, port = system.client.pid, system.server.port
        system.supervise()
        assert system.client.pid == pid
        system.server.kill()
        stranger = agreeable(port)
        system.supervise()
        stranger.shutdown()
        stranger.server_close()
        assert system.server.port != port
        assert system.client.pid not in (pid, None)
        assert not system.client.outdated
        assert json.loads((tmp_path / "sandbox.json").read_text()) == {"port": system.server.port}
    finally:
        system.stop()
