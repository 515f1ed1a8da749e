"""The embedded stack: two PostgreSQL instances, Kafka and the schema registry, started and stopped together."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from sandbox.servers import artifacts
from sandbox.servers.file_lock import FileLock
from sandbox.servers.kafka import Kafka
from sandbox.servers.ports import reach_loopback_directly
from sandbox.servers.postgres import BI, LEDGER, Postgres
from sandbox.servers.process import Process, StartError, StateReport, silent
from sandbox.servers.registry import Registry


class Stack:
    """All servers, and what else is added to them, with their data below `root`. Use it in a `with` block.

    `report` hears `(name, state)` of each step, from several threads. A stack on a folder that another one uses is
    refused; what a killed one left running there is stopped first.
    """

    def __init__(self, root: Path, *, report: StateReport = silent) -> None:
        self.root = root.resolve()
        self.report = report
        self.ledger_database = Postgres("postgres", self.root, database="wagerledger", settings=LEDGER)
        # An instance of its own: a writing transaction in any database of an instance holds up the relay.
        self.bi_database = Postgres("postgres-bi", self.root, database="wagerledger_bi", settings=BI)
        self.kafka = Kafka(self.root)
        self.registry = Registry(self.root)
        self.processes: list[Process] = []
        self._lock = FileLock(self.root / "lock")

    def start(self, *, later: Iterable[Process] = ()) -> None:
        """Start all servers at once and wait until each is ready. Raises StartError, with nothing left running; first
        of all where a port that was given to one that is to be added `later` is taken.
        """
        self._acquire()
        try:
            self._stop_leftovers()
            for process in later:
                process.claim_ports()
            artifacts.fetch(artifacts.read_lock(), report=self.report)
            reach_loopback_directly()
            self.add(self.ledger_database, self.bi_database, self.kafka, self.registry)
        except BaseException:
            self.stop()
            raise

    def add(self, *processes: Process) -> None:
        """Start more processes, all at once; they stop before those that were there earlier. Raises StartError."""
        self.processes += processes
        at_once(self._start_one, processes)

    def stop(self) -> None:
        """Stop everything, last come first. Stopping twice is fine."""
        while self.processes:
            process = self.processes[-1]
            self.report(process.name, "stopping")
            process.stop()
            self.report(process.name, "stopped")
            self.processes.pop()
        self._lock.release()

    def clean(self) -> bool:
        """Stop what a killed stack left running on the folder; gives whether there was anything. Raises StartError."""
        self._acquire()
        try:
            return self._stop_leftovers()
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._lock.acquire(wait=False):
            raise StartError(f"{self.root} is in use by another running stack; stop that one or choose another folder")

    def _start_one(self, process: Process) -> None:
        self.report(process.name, "starting")
        try:
            process.start()
        except BaseException:
            self.report(process.name, "failed")
            raise
        self.report(process.name, "ready")

    def _stop_leftovers(self) -> bool:
        """Everything that a killed stack left here, also what this one may not start again."""
        servers = [self.ledger_database, self.bi_database, self.kafka, self.registry]
        known = {server.name for server in servers}
        others = [path.stem for path in (self.root / "run").glob("*.json") if path.stem not in known]
        left = [process.stop_leftovers() for process in (*servers, *(Process(name, self.root) for name in others))]
        return any(left)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def at_once(action: Callable[[Process], None], items: Iterable[Process]) -> None:
    """Do it to all items in parallel, wait for all, then raise the first error."""
    with ThreadPoolExecutor() as pool:
        for result in [pool.submit(action, item) for item in items]:
            result.result()
