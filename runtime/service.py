"""How a process goes on until it is stopped: by signals, through trouble that may pass, in turns."""

import asyncio
import contextlib
import gc
import signal
import threading
import time
from collections.abc import Awaitable, Callable

from patience import Backoff

STOPPED, REFUSED = 0, 2
"""Exit codes of every process: a signal ended it; or it cannot prove that going on is right, and people must decide."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
STANDBY_S = 1.0
LONGEST_PAUSE_S = 5.0


class RefusedError(Exception):
    """The process cannot prove that going on is right: it could lose, double or sign what is not true."""


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Only the main thread may ask for it."""
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return stop


def stop_event_of_loop() -> asyncio.Event:
    """An event of the running loop that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def collect_garbage_seldom(objects: int) -> None:
    """Let Python look for cycles only when `objects` more were made than went away, instead of 700. What was made by
    now lives as long as the process and need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects)


def keep_trying(
    attempt: Callable[[], str | None],
    stop: threading.Event,
    *,
    retryable: tuple[type[Exception], ...],
    on_retry: Callable[[Exception, float], None],
    on_standby: Callable[[str], None] = lambda reason: None,
    longest_pause_s: float = LONGEST_PAUSE_S,
) -> None:
    """Attempt after attempt until one has done its work or `stop` is set.

    An attempt that gives a text has to wait for another process, and the text is the reason: `on_standby` hears each
    new one once, however long it takes. After what is `retryable` the pauses grow up to `longest_pause_s`: `on_retry`
    hears the error and the pause in seconds. Raises whatever else an attempt raises.
    """
    backoff, waits_for = Backoff(longest_s=longest_pause_s), ""
    while not stop.is_set():
        started = time.monotonic()
        try:
            reason = attempt()
        except retryable as error:
            pause_s = backoff.after(time.monotonic() - started)
            on_retry(error, pause_s)
            stop.wait(pause_s)
            continue
        if reason is None:
            return
        if reason != waits_for:
            waits_for = reason
            on_standby(reason)
        stop.wait(STANDBY_S)


async def take_turns(turn: Callable[[], Awaitable[None]], stop: asyncio.Event, *, pause_s: float) -> None:
    """One turn after the other, with a pause after each, until `stop` is set. Raises what a turn raises."""
    while not stop.is_set():
        await turn()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)
