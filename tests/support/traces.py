"""What is left of a failure, below one folder that the summary names: for each worker that had one the order of its
tests, and the logs of its servers. After a green run nothing is left.

WAGERLEDGER_TEST_LOGS names the folder; by default it is a new one below the system's temporary folder.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest
from xdist import is_xdist_controller

VARIABLE = "WAGERLEDGER_TEST_LOGS"
GREEN = pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED


def folder_of_run() -> Path:
    return Path(os.environ[VARIABLE])


def folder_of_worker() -> Path:
    return folder_of_run() / os.environ.get("PYTEST_XDIST_WORKER", "alone")


def keep_logs(root: Path) -> None:
    """Let everything below `root` write its logs where they stay after a failure, whatever becomes of `root`."""
    logs = folder_of_worker() / f"logs-{root.name}"
    logs.mkdir(parents=True, mode=0o700)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    (root / "log").symlink_to(logs, target_is_directory=True)


def pytest_configure(config: pytest.Config) -> None:
    """Given, or chosen once: workers inherit it."""
    given = os.environ.get(VARIABLE) or f"{tempfile.gettempdir()}/wagerledger-test-logs-{secrets.token_hex(4)}"
    os.environ[VARIABLE] = str(Path(given).resolve())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Written before each test, so that it is there even when the test ends its worker."""
    folder_of_worker().mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder_of_worker() / "order.txt").open("a") as order:
        order.write(f"{item.nodeid}\n")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus in GREEN and not is_xdist_controller(session):
        shutil.rmtree(folder_of_worker(), ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not there, or somebody left something in it
        folder_of_run().rmdir()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    orders = sorted(folder_of_run().glob("*/order.txt"))
    if not orders:
        return
    terminalreporter.section("what is left of it")
    terminalreporter.write_line(f"order of tests and servers' logs: {folder_of_run()}")
    for order in orders:
        terminalreporter.write_line(f"the same tests in the same order: pytest @{order}")
