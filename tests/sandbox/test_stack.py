"""All servers together: in use by one owner, and never left behind."""

import subprocess
import sys

import psycopg
import pytest

from patience import IMPATIENT
from sandbox.servers.postgres import processes_in
from sandbox.servers.process import Process, StartError, process_identity
from sandbox.servers.stack import Stack
from sandbox.system import System
from tests.support.strangers import agreeable
from tests.support.waiting import until

OWNER = """
import sys, time
from pathlib import Path
from sandbox.servers.stack import Stack
with Stack(Path(sys.argv[1])) as stack:
    with __import__("psycopg").connect(stack.ledger_database.url) as connection:
        connection.execute("CREATE TABLE written (number int)")
    print(*[process.pid for process in stack.processes], flush=True)
    time.sleep(600)
"""


@pytest.mark.usefixtures("own_servers")
def test_killed_owner_leaves_nothing_and_its_successor_finds_everything(tmp_path):
    """After a SIGKILL of the owner all servers end, and the next stack on the folder starts with the same data."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 4
        for use in (Stack(tmp_path).start, Stack(tmp_path).clean):
            with pytest.raises(StartError, match="in use"):
                use()
        assert all(map(process_identity, pids))
        owner.kill()
    until(lambda: not any(map(process_identity, pids)), "an end of all servers")

    assert not Stack(tmp_path).clean()

    heard = []
    with Stack(tmp_path, report=lambda name, state: heard.append((name, state))) as stack:
        with psycopg.connect(stack.ledger_database.url) as connection:
            assert connection.execute("SELECT count(*) FROM written").fetchone() == (0,)
        assert stack.registry.call("GET", "/config") == {"compatibilityLevel": "FULL_TRANSITIVE"}
        names = {process.name for process in stack.processes}
        assert {(name, "ready") for name in names} <= set(heard)
    assert {(name, "stopped") for name in names} <= set(heard)
    assert not processes_in(stack.ledger_database.data)


class Broken(Process):
    start_patience = IMPATIENT

    def command(self):
        return ["/does/not/exist"]

    def probe(self):
        return False


@pytest.mark.usefixtures("own_servers")
def test_failed_start_leaves_nothing_running(tmp_path):
    """When one server cannot start, the error says which and why, the others are stopped, and the folder is free again."""
    stack = Stack(tmp_path)
    stack.registry = Broken("registry", tmp_path)
    with pytest.raises(StartError, match=r"(?s)registry ended with code 126.*cannot launch /does/not/exist"):
        stack.start()
    assert not any(process.running for process in (stack.ledger_database, stack.bi_database, stack.kafka))
    assert stack._lock.acquire(wait=False)
    stack._lock.release()


def test_taken_gateway_port_is_said_before_anything_starts(tmp_path):
    """Whoever asks for a port that is taken hears it at once, and not after half a minute."""
    stranger = agreeable(0)
    system = System(tmp_path, port=stranger.server_port)
    with pytest.raises(StartError, match=f"gateway: port {stranger.server_port} .* is taken by another process"):
        system.start()
    stranger.shutdown()
    stranger.server_close()
    assert not (tmp_path / "log").exists()
    assert system.stack._lock.acquire(wait=False)
    system.stack._lock.release()
