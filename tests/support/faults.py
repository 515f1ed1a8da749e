"""What can befall a running system: processes die, stand still and come back."""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import psutil

from sandbox.servers.process import Process
from sandbox.system import System
from tests.support.checker import metric
from tests.support.waiting import until


def kill_one_after_another(
    system: System, order: Sequence[Process], rng: random.Random, report: Callable[[str], None]
) -> Counter[str]:
    """Kill each process at a random moment while it works, leave it dead for a moment, start it again. Counts the kills."""
    kills: Counter[str] = Counter()
    for process in order:
        _wait_until_at_work(system, process)
        time.sleep(rng.uniform(0.2, 1.2))
        report(f"kill -9 {process.name}")
        process.kill()
        kills[f"kills of {process.name}"] += 1
        time.sleep(rng.uniform(0.0, 1.0))
        process.start()
    return kills


def _wait_until_at_work(system: System, process: Process) -> None:
    """A process that has not begun yet cannot be killed in the middle of anything."""
    if process is not system.relay:
        return
    until(
        lambda: metric(process.ports[-1], "wagerledger_relay_publishing") == 1,
        f"a relay that publishes again; see {process.log_path}",
    )


def down_for(process: Process, seconds: float) -> None:
    """Killed, and started again after a while."""
    process.kill()
    time.sleep(seconds)
    process.start()


@contextlib.contextmanager
def standing_still(process: Process) -> Iterator[None]:
    """SIGSTOP for the process and everything below it, SIGCONT at the end: alive, connected, and silent."""
    assert process.pid is not None, f"{process.name} does not run"
    parent = psutil.Process(process.pid)
    stopped = [parent, *parent.children(recursive=True)]
    try:
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGSTOP)
        yield
    finally:
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGCONT)
