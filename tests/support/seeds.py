"""Random tests that can be run again: one seed for the whole run, from which each test's own follows by its id.

So a test hears the same numbers alone, in any order and on any worker. pytest's header shows the run's seed, a failure
shows the command that repeats it.
"""

import contextlib
import hashlib
import os
import random
import shlex
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis.core
import pytest

VARIABLE = "WAGERLEDGER_TEST_SEED"


class Draws:
    """What one test, or the set-up of one fixture, draws: each time another generator, in each run the same ones."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    def seed(self) -> int:
        self.count += 1
        drawn = hashlib.sha256(f"{os.environ[VARIABLE]} {self.name} {self.count}".encode()).digest()
        return int.from_bytes(drawn[:4])


_running: list[Draws] = []
"""The test that runs now, and above it the fixtures that are being set up, the innermost last."""


def seeded_random() -> random.Random:
    """A generator whose numbers follow from the run's seed and the test, or the fixture, that asks.

    A fixture's are those of its own place (the file, for the fixture of a module), not of the test that asked first.
    """
    assert _running, "only a test or a fixture draws: what is drawn while tests are collected differs between workers"
    return random.Random(_running[-1].seed())


@contextlib.contextmanager
def drawing(name: str) -> Iterator[None]:
    """What is drawn meanwhile belongs to `name`; also what Hypothesis draws, wherever `@given` stands."""
    _running.append(draws := Draws(name))
    before, hypothesis.core.global_force_seed = hypothesis.core.global_force_seed, draws.seed()
    try:
        yield
    finally:
        hypothesis.core.global_force_seed = before
        _running.pop()


def command_for(test_id: str) -> str:
    """The one command that repeats a test with the numbers of this run."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{VARIABLE}={os.environ[VARIABLE]} {shlex.quote(str(python))} -m pytest {shlex.quote(test_id)}"


def pytest_configure(config: pytest.Config) -> None:
    """Given, or drawn once: workers inherit it."""
    os.environ[VARIABLE] = os.environ.get(VARIABLE) or str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {VARIABLE}={os.environ[VARIABLE]}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    with drawing(f"{request.node.nodeid}::{fixturedef.argname} {getattr(request, 'param_index', '')}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with drawing(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.append(("Repeat it", command_for(item.nodeid)))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: object) -> None:
    report.sections.append(("Repeat it", command_for(crashitem)))
