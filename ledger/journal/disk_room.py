"""Whether the database has room for what bets write. A disk that is full still answers reads, and a commit here and
there: so it is remembered that a write was refused for want of room, until one of our own finds it.
"""

import asyncio
import contextlib
import time

import psycopg
import structlog
from prometheus_client import Gauge

from ledger.journal import writing_session
from ledger.store import proofs
from patience import Backoff
from patience.trouble import is_out_of_room
from runtime.settings import Settings

log = structlog.get_logger("journal")

DISK_FULL = Gauge(
    "wagerledger_journal_disk_full", "1 from a write that found no room on the database's disk to one that does."
)

_FIRST_TRY_S, _LONGEST_PAUSE_S = 0.5, 30.0


class DiskRoom:
    """Whether the database's disk has room, as one process knows it. Used in its event loop only."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._backoff = Backoff(_FIRST_TRY_S, _LONGEST_PAUSE_S)
        self._found_at = 0.0
        self._trying: asyncio.Task[None] | None = None
        self.lacking = ""
        """In the server's words, as long as there is none."""

    def note(self, error: BaseException) -> None:
        """A write failed: if it was for want of room, our own are tried from now on, with longer and longer pauses."""
        if not is_out_of_room(error) or self._trying is not None:
            return
        self.lacking = str(error)
        DISK_FULL.set(1)
        log.error("disk full", error=self.lacking)
        self._trying = asyncio.create_task(self._try_until_found())

    async def close(self) -> None:
        """Stop looking for room."""
        if self._trying is not None:
            self._trying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._trying

    async def _try_until_found(self) -> None:
        lasted_s = time.monotonic() - self._found_at
        while True:
            await asyncio.sleep(self._backoff.after(lasted_s))
            try:
                await self._write()
            except (psycopg.Error, OSError) as error:  # who gives up here stays unready for ever
                self.lacking, lasted_s = str(error), 0.0
            else:
                break
        self.lacking, self._trying, self._found_at = "", None, time.monotonic()
        DISK_FULL.set(0)
        log.info("disk has room again")

    async def _write(self) -> None:
        """As much as takes new pages, and undone at once."""
        connection = await writing_session.connect(self._settings, application_name="wagerledger room")
        async with connection, connection.transaction(force_rollback=True):
            await connection.execute(proofs.FILL)
