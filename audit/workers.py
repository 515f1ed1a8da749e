"""Units of an audit's work in processes of their own, as many as there are cores."""

import gc
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from audit.findings import CannotCheckError

WorkUnit = TypeVar("WorkUnit")
WorkResult = TypeVar("WorkResult")

Tick = Callable[[int], None]
"""Is called with how much more was done."""

SHOWN_EVERY_S = 0.2

_done: Any = None
"""In a worker: how much of each unit is done, shared with the parent; and last, whether to stop."""


class StoppedError(Exception):
    """Another unit has failed."""


def cores() -> int:
    """How many processes can work at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work(
    do: Callable[[WorkUnit, Tick], WorkResult],
    units: Sequence[WorkUnit],
    progress: Callable[[int], None],
    *,
    apart: bool,
) -> list[WorkResult]:
    """`do` each unit, one after the other or `apart`, in a process for each; `progress` is called with how much is
    done in all.

    Processes are started afresh, never forked: a client of Kafka or PostgreSQL does not survive a fork. Raises what
    `do` raises; CannotCheckError where a process dies.
    """
    if not apart or len(units) == 1:
        tick = adding_up(progress)
        return [do(unit, tick) for unit in units]
    context = get_context("spawn")
    done = context.Array("q", len(units) + 1, lock=False)
    with ProcessPoolExecutor(len(units), context, _begin, (done,)) as pool:
        futures = [pool.submit(_work, do, unit, index) for index, unit in enumerate(units)]
        try:
            while (left := wait(futures, SHOWN_EVERY_S, FIRST_EXCEPTION)).not_done and not any(map(_failed, left.done)):
                progress(sum(done[:-1]))
            for failed in filter(_failed, left.done):
                failed.result()
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise CannotCheckError(f"a process of the audit died: {error}; is there enough memory?") from error
        finally:
            done[len(units)] = True


def _failed(future: Future[Any]) -> bool:
    return future.exception() is not None


def adding_up(progress: Callable[[int], None]) -> Tick:
    done = 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        progress(done)

    return tick


def _begin(done: Any) -> None:
    global _done  # noqa: PLW0603, a worker has this one thing, and gets it before it has anything else
    _done = done
    gc.disable()  # millions of small objects and no cycles among them: looking for some takes a fifth of the time


def _work(do: Callable[[WorkUnit, Tick], WorkResult], unit: WorkUnit, index: int) -> WorkResult:
    def tick(more: int) -> None:
        _done[index] += more
        if _done[len(_done) - 1]:
            raise StoppedError

    return do(unit, tick)
