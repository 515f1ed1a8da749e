"""Fixtures for all tests: real servers, and databases and topics of one's own on them."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from xdist import is_xdist_controller

from sandbox.servers.ports import reach_loopback_directly
from tests.support import coroutines, limits, order, seeds, traces, unit
from tests.support.process_state import State, demand_no_bound_loggers, demand_unchanged, process_state

# What needs servers imports what drives them when it runs: a test that needs none begins in half the time.
if TYPE_CHECKING:
    from sandbox.servers.stack import Stack
    from schemas.registry import WireIds
    from tests.support.servers import Servers

# No deadline: it measures the neighbours. No database: a failure is repeated with the run's seed, not from a folder.
hypothesis.settings.register_profile("tests", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The first hook of all: whatever these have to say, options too, is heard."""
    for plugin in (coroutines, limits, order, seeds, traces, unit):
        pluginmanager.register(plugin, plugin.__name__)


def pytest_sessionstart(session: pytest.Session) -> None:
    """A SIGTERM (from `timeout`, or a CI system) stops the servers and removes their data, as Ctrl-C does.

    A worker that is too slow at that is killed by xdist: its servers end with it, its folder stays. Ctrl-C itself is heard
    again where a shell has started this in its background: what is ignored here is ignored by all commands under test.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    reach_loopback_directly()  # as every start of a stack does: here before anybody looks what the environment was
    if is_xdist_controller(session) and session.config.option.markexpr != "unit":
        download_for_workers()


def download_for_workers() -> None:
    """Here, once, because nobody sees what the workers say."""
    from tests.support.servers import kind_of_servers

    if kind_of_servers() == "embedded":
        download()


def download() -> None:
    """The first start downloads the servers: show it to whoever waits."""
    from sandbox.progress import StateDisplay
    from sandbox.servers import artifacts

    with StateDisplay() as progress:
        artifacts.fetch(artifacts.read_lock(), report=progress)


# The process is everybody's: what a test or a file changes in it, the next one on this worker would meet.

_AT_FILES_BEGIN = pytest.StashKey[tuple[Path, State]]()


@pytest.fixture(autouse=True)
def _test_leaves_the_process_as_it_was() -> Iterator[None]:
    before = process_state()
    yield
    demand_unchanged(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    path, _ = item.session.stash.get(_AT_FILES_BEGIN, (None, None))
    if path != item.path:
        item.session.stash[_AT_FILES_BEGIN] = item.path, process_state()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """After a file's last test its fixtures have put back what they changed; those of the session change nothing."""
    yield
    if nextitem is None or nextitem.path != item.path:
        _, before = item.session.stash[_AT_FILES_BEGIN]
        demand_unchanged(before)
        demand_no_bound_loggers()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> "Iterator[Servers]":
    """All servers, started once per test run."""
    from sandbox.progress import StateDisplay
    from tests.support.servers import running_servers

    capture = request.config.pluginmanager.getplugin("capturemanager")
    manager = running_servers(progress := StateDisplay())
    try:
        # The first start downloads the servers: show it to whoever waits.
        with limits.unlimited(), capture.global_and_fixture_disabled(), progress:
            running = manager.__enter__()
    except Exception as error:
        # Whatever it is, every later test would only hear it again: the run ends here, also where others run it.
        request.session.shouldfail = f"no servers to test against: {error}"
        raise
    try:
        yield running
    finally:
        manager.__exit__(None, None, None)


@pytest.fixture(scope="session")
def own_servers() -> None:
    """For tests that start servers or whole systems by themselves, and so are no unit tests."""


@pytest.fixture(scope="session")
def ledger_template(servers: "Servers") -> Iterator[str]:
    """URL of a migrated, empty ledger database to copy from with `fresh_database`. Never connect to it."""
    from tests.support.servers import migrated_template

    with migrated_template(servers.database_url) as url:
        yield url


@pytest.fixture
def ledger_database(servers: "Servers", ledger_template: str) -> Iterator[str]:
    """URL (as an administrator) of a fresh, migrated ledger database."""
    from tests.support.servers import fresh_database

    with fresh_database(servers.database_url, template=ledger_template) as url:
        yield url


@pytest.fixture(scope="module")
def ledger_database_of_module(servers: "Servers", ledger_template: str) -> Iterator[str]:
    """The same, shared by the tests of a module."""
    from tests.support.servers import fresh_database

    with fresh_database(servers.database_url, template=ledger_template) as url:
        yield url


@pytest.fixture
def empty_database(servers: "Servers") -> Iterator[str]:
    """URL of a fresh database of the ledger's instance, before any migration."""
    from tests.support.servers import fresh_database

    with fresh_database(servers.database_url) as url:
        yield url


@pytest.fixture
def bi_database(servers: "Servers") -> Iterator[str]:
    """URL of a fresh, empty database of the BI instance."""
    from tests.support.servers import fresh_database

    with fresh_database(servers.bi_database_url) as url:
        yield url


@pytest.fixture(scope="module")
def bi_database_of_module(servers: "Servers") -> Iterator[str]:
    """The same, shared by the tests of a module."""
    from tests.support.servers import fresh_database

    with fresh_database(servers.bi_database_url) as url:
        yield url


@pytest.fixture
def stack(servers: "Servers") -> "Iterator[Stack]":
    """The embedded servers, for a test that stops some of them: all run again afterwards."""
    if servers.stack is None:
        pytest.skip("only the embedded servers may be stopped")
    from tests.support.lasting_connection import assert_none_dies_with

    assert_none_dies_with(servers.stack)
    yield servers.stack
    for server in servers.stack.processes:
        server.start()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics and subjects that nobody else uses."""
    from tests.support.servers import fresh_topic_prefix

    return fresh_topic_prefix()


@pytest.fixture
def kafka_bootstrap_servers(servers: "Servers") -> str:
    return servers.kafka_bootstrap_servers


@pytest.fixture
def schema_registry_url(servers: "Servers") -> str:
    return servers.schema_registry_url


@pytest.fixture(scope="session")
def wire_ids(servers: "Servers") -> "Iterator[WireIds]":
    """The ids of all schemas, registered once per run: an id stands for a schema, whatever subjects it is under."""
    from schemas import registry
    from schemas.topics import Topics
    from tests.support.servers import fresh_topic_prefix

    names = Topics(fresh_topic_prefix())
    with registry.connect(servers.schema_registry_url) as client:
        registry.register(client, names)
        yield registry.WireIds(client, names)
