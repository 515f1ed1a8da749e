"""Waiting for PostgreSQL without asking the event loop anew each time.

psycopg adds a reader to the loop, sets a timer, and takes both away, at each wait: a lone bet waits three times. Here
the reader stays as long as the connection lives, and goes on with what waits as soon as bytes are there.
"""

import asyncio
from typing import Any, TypeVar

from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

RV = TypeVar("RV")


class KeptReader:
    """Runs libpq's generators, one at a time, on the connection whose socket is `fileno`."""

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._loop = asyncio.get_running_loop()
        self._reads = self._writes = False
        self._work: PQGen[Any] | None = None
        self._result: asyncio.Future[Any]

    async def run(self, work: PQGen[RV]) -> RV:
        """What `work` comes to. Raises what it raises. Whoever is cancelled here leaves the connection in its midst."""
        try:
            wanted = next(work)
        except StopIteration as end:
            result: RV = end.value
            return result
        self._work, self._result = work, self._loop.create_future()
        self._wait_for(wanted)
        try:
            result = await self._result
        finally:
            self._work = None
        return result

    def close(self) -> None:
        """Let go of the socket. Comes before it is closed: its number may be another's in the next moment."""
        if self._reads:
            self._loop.remove_reader(self._fileno)
        self._stop_writing()
        self._reads = False

    def _wait_for(self, wanted: Wait) -> None:
        if not self._reads:
            self._loop.add_reader(self._fileno, self._go_on, Ready.R)
            self._reads = True
        if wanted & Wait.W and not self._writes:
            self._loop.add_writer(self._fileno, self._go_on, Ready.W)
            self._writes = True
        elif not wanted & Wait.W:
            self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writes:
            self._loop.remove_writer(self._fileno)
            self._writes = False

    def _go_on(self, ready: Ready) -> None:
        if self._work is None:  # nobody waits: the server has ended the connection, and who writes next finds out
            self.close()
            return
        try:
            wanted = self._work.send(ready)
        except StopIteration as end:
            self._end(end.value, None)
        except Exception as error:  # noqa: BLE001  # handed to who waits
            self.close()  # libpq may have closed the socket
            self._end(None, error)
        else:
            self._wait_for(wanted)

    def _end(self, value: object, error: Exception | None) -> None:
        self._work = None
        if self._result.done():  # who waited was cancelled in this turn of the loop
            return
        if error is None:
            self._result.set_result(value)
        else:
            self._result.set_exception(error)
