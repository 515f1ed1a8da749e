"""The projector under test, and a look at the read models that it made."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from projector.consumer import project
from runtime.settings import Settings
from tests.support import reference
from tests.support.random_ledger import Ledger, decoded

PARTITIONS = 3


@dataclass
class ReadModels:
    """The projector under test, and a look at what it made."""

    settings: Settings

    def catch_up(self) -> None:
        project(self.settings, threading.Event(), until_caught_up=True)

    @contextlib.contextmanager
    def kept_up(self, **changes: Any) -> Iterator[None]:
        """A projector that runs meanwhile. What it raises is raised here."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(project, self.settings.model_copy(update=changes), stop)
            try:
                yield
            finally:
                stop.set()
            running.result()

    def wait_until(self, statement: str, *, timeout_s: float = 60) -> None:
        """Wait until a query gives true."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable):
                if self.query(statement) == [(True,)]:
                    return
            assert time.monotonic() < deadline, statement
            time.sleep(0.05)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.bi_database_url.get_secret_value()) as connection:
            return connection.execute(statement, parameters).fetchall()

    def views(self) -> dict[str, reference.Rows]:
        with psycopg.connect(self.settings.bi_database_url.get_secret_value()) as connection:
            return reference.stored(connection)

    def parked(self) -> list[tuple[Any, ...]]:
        return self.query("select stream_id, stream_version, reason from bi.parked_streams order by stream_id")

    def must_equal(self, ledger: Ledger, *, without: Callable[[dict[str, Any]], bool] = lambda _: False) -> None:
        """The views are the fold of the ledger's events, but for those left out on purpose."""
        expected = reference.fold(record for record in decoded(ledger.recorded) if not without(record))
        found = self.views()
        for rows in expected["rounds"].values():
            del rows["last"]
        for view, rows in expected.items():
            assert found[view] == rows, view
