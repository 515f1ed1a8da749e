"""In which order, and where, tests run: a file at a time, for its fixtures."""

import os
import random
from itertools import groupby

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.support import seeds


def heap_of(test_id: str) -> str:
    """What runs on one worker, in one go: a file. Tests that kill whole systems are one heap: side by side they would
    only wait for each other.
    """
    return test_id.partition("test_")[0] if test_id.startswith("tests/crash/") else test_id.partition("::")[0]


LONGEST = (
    "tests/crash/",
    "tests/patience/test_commands.py",
    "tests/outbox_relay/test_recover.py",
    "tests/docs/test_examples.py",
    "tests/cli/test_cli.py",
)
"""The heaps that take minutes, the longest first: one that began last would keep the other workers waiting at the end."""


class ByFile(LoadScopeScheduling):
    """Shares the heaps out among workers (`-n 2`), which have servers of their own."""

    def _split_scope(self, nodeid: str) -> str:
        return heap_of(nodeid)

    def remove_node(self, node: WorkerController) -> str | None:
        """The test that ended its worker has failed; what is left of its heaps goes on elsewhere, in the next worker.

        The scheduler that we build on would run that test again, on one worker after the other, and all end.
        """
        left = {heap: tests for heap, tests in self.assigned_work.pop(node).items() if not all(tests.values())}
        if not left:
            return None
        tests = next(iter(left.values()))
        ended_by = next(test for test, done in tests.items() if not done)
        tests[ended_by] = True
        self.workqueue.update({heap: tests for heap, tests in left.items() if not all(tests.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return ended_by

    def _reschedule(self, node: WorkerController) -> None:
        """A worker begins a test only when it knows the next one, or that there is none: one that comes in place of
        another would wait forever with a heap of one.
        """
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle-files", action="store_true", help=f"run the files in an order that follows from {seeds.VARIABLE}"
    )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    config.option.loadscopereorder = False  # most tests is not longest: the heap that takes longest has few
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # one alone runs them as they were named
        items.sort(key=lambda item: rank(item.nodeid))
    if config.getoption("--shuffle-files"):
        items[:] = shuffled(items, int(os.environ[seeds.VARIABLE]))


def rank(test_id: str) -> int:
    heap = heap_of(test_id)
    return LONGEST.index(heap) if heap in LONGEST else len(LONGEST)


def shuffled(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """The heaps in another order, the tests of each in their own."""
    heaps = [list(heap) for _, heap in groupby(items, key=lambda item: heap_of(item.nodeid))]
    random.Random(seed).shuffle(heaps)
    return [item for heap in heaps for item in heap]
