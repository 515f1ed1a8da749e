"""No test hangs the run: one that takes too long fails, with the stacks of all threads, and the others go on.

A test that does not even hear the alarm (it waits inside a library that never comes back to Python) is ended together
with its process by pytest's `faulthandler_timeout` (pyproject.toml), after it has written the same stacks.
"""

import contextlib
import faulthandler
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from types import FrameType

import pytest

LIMIT_S = 300.0
SLOW_LIMIT_S = 900.0
"""For set-up, test and tear-down, each. Far more than any needs beside busy neighbours: it ends what hangs, no more."""
END_LIMIT_S = 120.0
OTHERS_LIMIT_S = 3600.0
"""For the process itself, after its last test."""
AGAIN_S = 30.0
"""A failure that something swallowed is raised again."""


@contextlib.contextmanager
def limited(limit_s: float, what: str) -> Iterator[None]:
    """Raise pytest's failure in the main thread once `limit_s` have passed."""

    def too_late(number: int, frame: FrameType | None) -> None:
        print(stacks(), file=sys.stderr)
        pytest.fail(f"{what} took more than {limit_s:.0f} s; all stacks are below")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """For what has limits of its own: the download and the start of the servers."""
    left, again = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, again)


def stacks() -> str:
    """Where every thread is now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"--- thread {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )


def limit_of(item: pytest.Item) -> float:
    return SLOW_LIMIT_S if item.get_closest_marker("slow") else LIMIT_S


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    with limited(limit_of(item), f"the set-up of {item.nodeid}"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with limited(limit_of(item), item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    with limited(limit_of(item), f"the tear-down of {item.nodeid}"):
        return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """A thread that a test left behind and that never ends would keep the process; nobody waits for it for ever. A worker
    that has no more tests waits here for the others.
    """
    limit_s = OTHERS_LIMIT_S if hasattr(config, "workerinput") else END_LIMIT_S
    faulthandler.dump_traceback_later(limit_s, exit=True, file=sys.__stderr__)


def pytest_enter_pdb() -> None:
    """Whoever looks for a fault has all the time of the world."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
