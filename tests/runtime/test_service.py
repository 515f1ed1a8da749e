"""How a process goes on until it is stopped."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from runtime import service


class Trying:
    """Attempts that end as they are told to, and what is said of them."""

    def __init__(self, *ends: Exception | str | None) -> None:
        self.left = list(ends)
        self.said: list[object] = []
        self.stop = threading.Event()

    def run(self, on_retry: Callable[[Exception, float], None] | None = None) -> None:
        service.keep_trying(
            self.attempt,
            self.stop,
            retryable=(ConnectionError,),
            on_retry=on_retry or (lambda error, pause_s: self.said.append((str(error), pause_s > 0))),
            on_standby=self.said.append,
        )

    def attempt(self) -> str | None:
        end = self.left.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def test_what_may_pass_is_tried_again_and_said_each_time() -> None:
    """Trouble of a server is said with its pause, and the work is done once it is over."""
    trying = Trying(ConnectionError("one"), ConnectionError("two"), None, "never reached")
    trying.run()
    assert trying.said == [("one", True), ("two", True)]
    assert trying.left == ["never reached"]


def test_what_does_not_pass_is_raised() -> None:
    """A bug ends the process instead of being tried again for ever."""
    with pytest.raises(ZeroDivisionError):
        Trying(ZeroDivisionError()).run()


def test_a_wait_for_another_process_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standing by may take days: each reason is said when it is new, and trouble in between does not repeat it."""
    monkeypatch.setattr(service, "STANDBY_S", 0)
    trying = Trying("another has it", "another has it", ConnectionError("gone"), "another has it", "too early", None)
    trying.run()
    assert trying.said == ["another has it", ("gone", True), "too early"]


def test_a_process_that_is_stopped_pauses_no_longer() -> None:
    """Whoever is asked to stop in the middle of a pause stops at once."""
    trying = Trying(ConnectionError("down"))
    trying.run(on_retry=lambda error, pause_s: trying.stop.set())
    assert trying.left == []


@pytest.mark.parametrize("number", service.SIGNALS)
def test_signals_stop_a_process_in_threads_and_in_turns(number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C both end the loop after the turn that runs."""
    before = {one: signal.getsignal(one) for one in service.SIGNALS}
    try:
        stop = service.stop_event()
        os.kill(os.getpid(), number)
        assert stop.wait(10)
        assert asyncio.run(_turns_until(number)) == 3
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


async def _turns_until(number: signal.Signals) -> int:
    stop, turns = service.stop_event_of_loop(), 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            os.kill(os.getpid(), number)
            await stop.wait()

    await service.take_turns(turn, stop, pause_s=0.01)
    return turns
