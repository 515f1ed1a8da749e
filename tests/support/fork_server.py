"""`wagerledger` commands as processes of their own, forked from one that has imported everything: dozens cost seconds."""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.preload"])
LIMIT_S = 200.0
"""Less than a test may take: so that the report names the command and what it has said."""


@dataclass
class Command:
    """One run of the command, and what it has said so far."""

    arguments: Sequence[str]
    process: multiprocessing.Process
    folder: Path

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text("utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text("utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        return not self.process.is_alive()

    @property
    def waits(self) -> bool:
        return "trying again" in self.stderr + self.stdout  # processes log to standard output

    def wait(self) -> int:
        self.process.join(LIMIT_S)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"{self.arguments} has not ended within {LIMIT_S:.0f} s: {self.stderr}")
        return self.process.exitcode


def start(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Command:
    """Run `wagerledger` with these arguments and exactly this environment; what it says goes to files in `folder`."""
    folder.mkdir(exist_ok=True)
    for name in ("stdout", "stderr"):
        (folder / name).touch()
    process = CONTEXT.Process(target=_run, args=(list(arguments), dict(environment), folder), daemon=True)
    process.start()
    return Command(arguments, process, folder)


def _run(arguments: list[str], environment: dict[str, str], folder: Path) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_APPEND), number)
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["wagerledger", *arguments]
    from cli.main import app

    app(arguments)
