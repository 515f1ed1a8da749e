"""Waiting for what can be observed. A test never sleeps for a time in the hope that something has happened by then."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02
"""Between two looks: short against all that is waited for, long enough to leave the processor to it."""


def until(condition: Callable[[], T], what: str, *, limit_s: float = 60.0) -> T:
    """What the condition gives, as soon as that is truthy. `what` is waited for: a failure names it and the last value.

    The limit is there for what never comes, not for what is slow: leave it generous. The last look begins after the
    limit, so that whoever was kept waiting for a processor looks once more. What the condition raises is not caught.
    """
    deadline = time.monotonic() + limit_s
    while True:
        late = time.monotonic() > deadline
        if seen := condition():
            return seen
        assert not late, f"waited {limit_s:g} s in vain for {what}; last seen: {seen!r}"
        time.sleep(PAUSE_S)
