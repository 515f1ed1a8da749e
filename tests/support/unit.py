"""Which tests are `unit`: those that need no server. What a test uses says it, nobody writes it by hand.

A test without a fixture of `SERVERS` below it is marked `unit`. One that starts a server all the same fails, so that the
mark can be believed; a test that starts servers or whole systems by itself says so by the fixture `own_servers`.
"""

import contextlib
import itertools
import subprocess
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

SERVERS = frozenset({"servers", "own_servers"})
PROGRAMS = frozenset({"initdb", "postgres", "java"})
COMMANDS = frozenset({"up", "demo", "bench"})
"""Of ours, which start servers in a process of their own."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("unit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with without_servers() if item.get_closest_marker("unit") else contextlib.nullcontext():
        return (yield)


@contextlib.contextmanager
def without_servers() -> Iterator[None]:
    """Whoever starts a server inside fails, in whichever thread."""
    start = subprocess.Popen.__init__

    def refuse_servers(self: subprocess.Popen[Any], args: Any, *more: Any, **named: Any) -> None:
        if server := server_of(args):
            pytest.fail(
                f"a unit test starts {server}: let it use the fixture `servers`, or `own_servers` if it starts its own"
            )
        start(self, args, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse_servers)
        yield


def server_of(args: str | Path | Sequence[str | Path]) -> str | None:
    """The server that a command line starts, whoever launches it."""
    names = [Path(arg).name for arg in ([args] if isinstance(args, str | Path) else args)]
    if program := next((name for name in names if name in PROGRAMS), None):
        return program
    before = {"cli", "wagerledger"}
    pairs = itertools.pairwise(names)
    return next((f"{one} {two}" for one, two in pairs if one in before and two in COMMANDS), None)
