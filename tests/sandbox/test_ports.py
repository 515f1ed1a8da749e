"""Ports: whoever chooses at the same time chooses others."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from sandbox.servers import ports
from sandbox.servers.ports import LOOPBACK, KeptPort, PortTakenError, keep_ports, port_free
from sandbox.servers.process import Process
from tests.support.seeds import seeded_random

FEW = 24
CHOOSE = f"""
import sys
from sandbox.servers import ports
ports.PORTS = range(int(sys.argv[1]), int(sys.argv[1]) + {FEW})
sys.stdin.readline()
kept = ports.keep_ports(8)
print(*(port.number for port in kept), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def few_ports(monkeypatch):
    """So few to choose from that two who know nothing of each other would meet."""
    first = seeded_random().randrange(ports.PORTS.start, ports.PORTS.stop - FEW)
    monkeypatch.setattr(ports, "PORTS", range(first, first + FEW))
    return first


class Server(Process):
    port_count = 2


@pytest.mark.usefixtures("few_ports")
def test_stacks_that_start_together_choose_different_ports(tmp_path):
    """Twenty times two stacks of four servers claim their ports at the same time: no port is claimed twice."""
    for _ in range(20):
        servers = [Server(f"server-{number}", tmp_path) for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(Server.claim_ports, servers))
        claimed = [port for server in servers for port in server.ports]
        assert len(set(claimed)) == 16
        assert all(map(port_free, claimed))
        del servers


def test_processes_that_start_together_choose_different_ports(few_ports):
    """What one process has chosen, another one that chooses at the same time does not choose."""
    command = [sys.executable, "-c", CHOOSE, str(few_ports)]
    with ExitStack() as stack:
        choosing = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(2)
        ]
        for one in choosing:
            one.stdin.write("now\n")
            one.stdin.flush()
        first, second = (set(one.stdout.readline().split()) for one in choosing)
        for one in choosing:
            one.stdin.close()
    assert len(first) == len(second) == 8
    assert not first & second


def test_kept_port_is_free_for_a_server_and_for_nobody_else():
    """A port that is kept can be listened on, again and again, is kept by one alone, and is free when that one lets go."""
    (kept,) = keep_ports(1)
    for _ in range(2):
        with socket.create_server((LOOPBACK, kept.number)) as server:
            assert not port_free(kept.number)
            with socket.create_connection((LOOPBACK, kept.number)):
                server.accept()[0].close()
        assert port_free(kept.number)
    number = kept.number
    with pytest.raises(PortTakenError):
        KeptPort(number)
    del kept
    (KeptPort(number, shared=True), KeptPort(number, shared=True))


def test_no_port_is_said(monkeypatch):
    """Where every port is taken the error says so."""
    (kept,) = keep_ports(1)
    monkeypatch.setattr(ports, "PORTS", range(kept.number, kept.number + 1))
    with pytest.raises(PortTakenError, match=f"each port in {kept.number}-{kept.number} on 127.0.0.1 is taken"):
        keep_ports(1)
