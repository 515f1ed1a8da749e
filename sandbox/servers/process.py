"""One child process with its log, its pid file and its end: what every server and service of the sandbox is made of."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import psutil

from patience import Patience, TransientError
from sandbox.servers.ports import KeptPort, PortTakenError, keep_ports, port_free

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_KEPT_BYTES = 16 * 1024 * 1024
LOG_TAIL_LINES = 25
KILL_TIMEOUT_S = 30.0
POLL_S = 0.05

# The kernel sends the death signal when the *thread* that forked ends: all forks come from one that never does.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

StateReport = Callable[[str, str], None]
"""Hears `(name, state)`, such as `("kafka", "starting")`, possibly from several threads."""


def silent(name: str, state: str) -> None:
    pass


class StartError(RuntimeError):
    """A process did not become ready. The message names its log and ends with that log's last lines."""


class EndedError(StartError, TransientError):
    """A process ended before it was ready. It may have lost a port to somebody else."""


class Process:
    """A child process in a folder of its own, `root/name`, which outlives restarts.

    Subclasses say what to run (`command`), what must be there first (`prepare`) and how it shows that it works
    (`probe`). The child never outlives us: it gets `death_signal` when we die, even by SIGKILL; if that failed too, the
    next `start` on the same root finds it by its pid file. Its ports stay the same over restarts unless they were
    taken; `port`, the first of them, may be given, and then never changes. `kill` takes the child's own children along;
    when the child dies in another way, it is theirs to notice.
    """

    stop_signal = signal.SIGTERM
    death_signal = signal.SIGKILL
    stop_timeout_s = 30.0
    start_timeout_s = 90.0
    start_patience = Patience(5)
    """With a process that ends before it is ready; one that hangs will not get better."""

    def __init__(self, name: str, root: Path, *, port: int | None = None) -> None:
        self.name = name
        self.home = root / name
        self.log_path = root / "log" / f"{name}.log"
        self.pid_path = root / "run" / f"{name}.json"
        self.ports: list[int] = []
        self._given_port = port
        self._kept_ports: list[KeptPort] = []
        self._environment: Mapping[str, str] = {}
        self._child: subprocess.Popen[bytes] | None = None

    # What a subclass says.

    port_count = 1

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The whole environment of the child: nothing of ours leaks into it."""
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(self.home)}

    def uid(self) -> int | None:
        """The unprivileged user to run as, or None to stay who we are."""
        return None

    def prepare(self) -> None:
        """Make what the command needs below `home`. Called before each start."""

    def probe(self) -> bool:
        """Tell whether the process does its work now. Asked only while it `listens`."""
        return True

    def listens(self) -> bool:
        """Tell whether it is this process that listens on all of its ports, and no stranger who was faster."""
        try:
            connections = psutil.Process(self.pid).net_connections("tcp") if self.pid else []
        except psutil.Error:
            return False
        return set(self.ports) <= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}

    # What everyone calls.

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def outdated(self) -> bool:
        """Whether it runs in another environment than it would be started in now, because a server has moved."""
        return self.running and self._environment != self.environment()

    def start(self) -> None:
        """Start and wait until ready. Raises StartError. A running process stays as it is."""
        if self.running:
            return
        for folder in (self.home, self.log_path.parent, self.pid_path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.stop_leftovers()
        try:
            self.start_patience.call(self._start_once, "sandbox")
        except EndedError as error:
            raise StartError(f"{error}{self._log_tail()}") from None

    def claim_ports(self) -> None:
        """Keep the ports of before where nobody has taken them, else choose others. Raises StartError where the given
        port is taken.
        """
        if self._kept_ports and all(map(port_free, self.ports)):
            return
        try:
            given = [KeptPort(self._given_port, shared=True)] if self._given_port else []
            self._kept_ports = [*given, *keep_ports(self.port_count - len(given))]
        except PortTakenError as error:
            raise StartError(f"{self.name}: {error}; stop that one, or choose another port") from error
        self.ports = [port.number for port in self._kept_ports]

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until `probe` says yes. Raises EndedError when the process ends, StartError when `timeout_s` passes."""
        deadline = time.monotonic() + (timeout_s or self.start_timeout_s)
        while not (self.listens() and self.probe()):
            if not self.running:
                raise EndedError(f"{self.name} ended with code {self.wait()} before it was ready{self._lost_ports()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready in time{self._log_tail()}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop in order; kill what has not stopped within `stop_timeout_s`. Stopping a stopped process is fine."""
        if self._child is None:
            return
        if self.running:
            self._child.send_signal(self.stop_signal)
            try:
                self._child.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL the process and everything below it, as a power cut would, and wait until all of it is gone."""
        if self._child is None:
            return
        if self.running:
            kill_all([self._child.pid])
        self._child.wait()
        self._forget()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end and return the exit code (negative: the signal). Raises subprocess.TimeoutExpired."""
        assert self._child is not None, f"{self.name} was never started"
        return self._child.wait(timeout_s)

    def stop_leftovers(self) -> bool:
        """Kill what an earlier owner of this folder left running; gives whether there was anything."""
        left = self.leftovers()
        kill_all(left)
        self.pid_path.unlink(missing_ok=True)
        return bool(left)

    def leftovers(self) -> list[int]:
        """Pids of an earlier owner's processes. A pid alone proves nothing, so the start time must fit too."""
        try:
            written = json.loads(self.pid_path.read_bytes())
            pid, identity = int(written["pid"]), str(written["identity"])
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [pid] if process_identity(pid) == identity else []

    # How.

    def _start_once(self) -> None:
        self.claim_ports()
        self.prepare()
        self._spawn()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def _lost_ports(self) -> str:
        lost = [str(port) for port in self.ports if not port_free(port)]
        return f"; another process took port {' and '.join(lost)}" if lost else ""

    def _spawn(self) -> None:
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_KEPT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._environment = self.environment()
        with self.log_path.open("ab") as log:
            self._child = spawn(
                self.command(),
                uid=self.uid(),
                death_signal=self.death_signal,
                cwd=self.home,
                environment=self._environment,
                output=log,
            )
        identity = {"pid": self._child.pid, "identity": process_identity(self._child.pid)}
        self.pid_path.write_text(json.dumps(identity), "utf-8")

    def _forget(self) -> None:
        self._child = None
        self.pid_path.unlink(missing_ok=True)

    def _log_tail(self) -> str:
        lines = self.log_path.read_text("utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"; see {self.log_path}, which ends with:\n" + "\n".join(f"  {line}" for line in lines)


def spawn(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    output: IO[bytes] | int,
    uid: int | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program through the launcher, in a session of its own: Ctrl-C reaches us alone, and we stop in order."""
    whole = [sys.executable, "-I", LAUNCHER, int(death_signal), "-" if uid is None else uid, os.getpid(), *command]
    return _spawner.submit(
        subprocess.Popen,
        [str(part) for part in whole],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=dict(environment),
        start_new_session=True,
    ).result()


def run(process: Process, command: Sequence[str | Path]) -> None:
    """Run a preparing step of a process to its end, as the same user. Raises StartError with its output."""
    step = spawn(
        command, cwd=process.home, environment=process.environment(), output=subprocess.PIPE, uid=process.uid()
    )
    output, _ = step.communicate()
    if step.returncode != 0:
        text = output.decode("utf-8", errors="replace")
        raise StartError(f"{process.name}: {Path(command[0]).name} failed with code {step.returncode}:\n{text}")


def process_identity(pid: int) -> str | None:
    """A process's name that no later one with its pid has: boot, and start in clock ticks since then."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else f"{boot}/{fields[18]}"


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL processes with all their descendants, parents first, and wait until none of them is left."""
    doomed: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            doomed += [parent, *parent.children(recursive=True)]
    identities = {process.pid: process_identity(process.pid) for process in doomed}
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    # Not psutil's own wait: that reaps our child, whose exit code then is lost, and waits for zombies nobody reaps.
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while left := [pid for pid, identity in identities.items() if identity and process_identity(pid) == identity]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {left} survived SIGKILL; they may hang in the kernel")
        time.sleep(0.005)
