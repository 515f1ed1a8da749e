"""A child process: its start, its ends, and what is left of it when we die."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from patience import IMPATIENT
from sandbox.servers.ports import LOOPBACK, port_open
from sandbox.servers.process import Process, StartError, process_identity
from sandbox.servers.stack import Stack
from tests.support.strangers import Robbed, agreeable, started
from tests.support.waiting import until

LISTEN = """
import socket, subprocess, sys, time
# Ends by itself when we do, as a child of a child must.
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print("child", child.pid, flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


class Listener(Process):
    """Listens on its port, with a child of its own."""

    script = LISTEN

    def command(self):
        return [sys.executable, "-c", self.script, str(self.port)]

    def probe(self):
        return port_open(self.port)

    @property
    def grandchild(self):
        return int(self.log_path.read_text().split()[-1])


class RobbedListener(Robbed, Listener):
    pass


class Ending(Listener):
    start_patience = IMPATIENT
    script = "import sys; print('no luck today'); sys.exit(3)"


@pytest.fixture
def listener(tmp_path):
    process = Listener("listener", tmp_path)
    yield process
    process.kill()


def test_start_waits_until_ready(listener):
    """After start the process does its work, its pid file names it, and a second start changes nothing."""
    listener.start()
    pid = listener.pid
    assert port_open(listener.port)
    assert json.loads(listener.pid_path.read_text()) == {"pid": pid, "identity": process_identity(pid)}
    listener.start()
    assert listener.pid == pid


def test_stop_and_restart_keep_the_port(listener):
    """Clients find a restarted process where it was."""
    listener.start()
    port = listener.port
    listener.stop()
    assert not listener.running
    assert not listener.pid_path.exists()
    listener.start()
    assert listener.port == port
    listener.stop()
    listener.stop()


def test_taken_port_is_replaced(listener):
    """When somebody else took the port meanwhile, the process gets a new one."""
    listener.start()
    port = listener.port
    listener.kill()
    with socket.create_server((LOOPBACK, port)):
        listener.start()
        assert listener.port != port


def test_port_taken_in_the_last_moment_is_replaced(tmp_path):
    """When a stranger takes the port after it was chosen, their answers are not taken for ours, and the process gets another port."""
    with started([process := RobbedListener("listener", tmp_path)]):
        assert process.listens()
        assert "Address already in use" in process.log_path.read_text()


def test_given_port_is_never_replaced(tmp_path):
    """A port that the user chose is used, and one that is taken is said at once."""
    stranger = agreeable(0)
    taken = Listener("listener", tmp_path, port=stranger.server_port)
    with pytest.raises(StartError, match=f"listener: port {stranger.server_port} .* is taken by another process"):
        taken.start()
    stranger.shutdown()
    stranger.server_close()
    taken.start()
    assert taken.ports == [stranger.server_port]
    taken.kill()


def test_process_with_an_old_environment_is_outdated(tmp_path):
    """A process says that it would be started otherwise now, as long as it runs."""

    class Told(Listener):
        told = "first"

        def environment(self):
            return {**super().environment(), "TOLD": self.told}

    process = Told("listener", tmp_path)
    process.start()
    assert not process.outdated
    process.told = "second"
    assert process.outdated
    process.kill()
    assert not process.outdated


def test_kill_takes_the_whole_tree(listener):
    """After kill neither the process nor what it started is there."""
    listener.start()
    pid, grandchild = listener.pid, listener.grandchild
    listener.kill()
    assert not listener.running
    assert [process_identity(each) for each in (pid, grandchild)] == [None, None]


def test_death_is_noticed(listener):
    """A process that somebody else killed is not running, and its exit code tells the signal."""
    listener.start()
    os.kill(listener.pid, signal.SIGKILL)
    assert listener.wait(10) == -signal.SIGKILL
    assert not listener.running


def test_early_end_is_told_with_the_log(tmp_path):
    """A process that ends before it is ready makes an error that carries its last words."""
    with pytest.raises(StartError, match=r"(?s)code 3.*no luck today"):
        Ending("ending", tmp_path).start()


def test_child_dies_with_its_parent(tmp_path):
    """When the parent is killed with SIGKILL, the process does not live on."""
    pid = owner_killed(tmp_path)
    until(lambda: process_identity(pid) is None, "the child's end")


def test_leftovers_are_found_and_stopped(tmp_path):
    """What a killed owner left running after all is stopped by the next start on the same folder."""
    pid = owner_killed(tmp_path, death_signal=0)
    assert process_identity(pid)
    successor = Listener("listener", tmp_path)
    successor.start()
    try:
        assert process_identity(pid) is None
    finally:
        successor.kill()


def test_clean_stops_leftovers_of_any_name(tmp_path):
    """Cleaning a folder stops whatever a killed owner left running there, and tells that there was something."""
    pid = owner_killed(tmp_path, death_signal=0)
    assert Stack(tmp_path).clean()
    assert process_identity(pid) is None
    assert not Stack(tmp_path).clean()


def test_stranger_with_the_same_pid_is_left_alone(listener):
    """A pid file whose pid belongs to another process by now kills nobody."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        listener.pid_path.parent.mkdir()
        listener.pid_path.write_text(json.dumps({"pid": stranger.pid, "identity": "another boot/1"}))
        listener.start()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_damaged_pid_file_is_no_hindrance(listener, content):
    """A half-written pid file does not keep the process from starting."""
    listener.pid_path.parent.mkdir()
    listener.pid_path.write_text(content)
    listener.start()
    assert listener.running


def owner_killed(folder, death_signal=int(signal.SIGKILL)):
    """Let another Python own the process and kill that Python; return the pid of the process."""
    script = f"""
import sys, time
from tests.sandbox.test_process import Listener
from pathlib import Path
Listener.death_signal = {death_signal}
process = Listener("listener", Path(sys.argv[1]))
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        pid = int(owner.stdout.readline())
        owner.kill()
    return pid
