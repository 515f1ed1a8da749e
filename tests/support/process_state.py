"""What all tests of a worker share because it belongs to the process. Whoever changes it puts it back."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog
from structlog._config import BoundLoggerLazyProxy

_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD

_ABSENT = object()

State = dict[str, dict[str, object]]


def process_state() -> State:
    """To be compared with what it is later. Taking it costs some 30 µs."""
    level, handlers = _root_logger()
    return {
        "structlog": structlog.get_config(),
        "root logger": {"level": level, "handlers": handlers},
        "os.environ": {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "process": {"working directory": Path.cwd()},
        "signal handlers": {number.name: signal.getsignal(number) for number in _SIGNALS},
    }


def demand_unchanged(before: State) -> None:
    """Fail for everything that is not as it was. Values are not shown: there are secrets in the environment."""
    changed = [
        f"{of}: {name}"
        for of, now in process_state().items()
        for name in before[of] | now
        if before[of].get(name, _ABSENT) != now.get(name, _ABSENT)
    ]
    assert not changed, f"changed and not put back: {'; '.join(changed)}"


def demand_no_bound_loggers() -> None:
    """Fail where `cache_logger_on_first_use` has bound a logger for good: no later configuration reaches it."""
    bound = [*_bound_loggers()]
    assert not bound, f"loggers of these modules are bound for good (see logging_put_back): {', '.join(bound)}"


@contextlib.contextmanager
def logging_put_back() -> Iterator[None]:
    """What is configured inside, for structlog and for the standard library, holds inside only."""
    before, configured, (level, handlers) = structlog.get_config(), structlog.is_configured(), _root_logger()
    try:
        yield
    finally:
        structlog.reset_defaults()
        if configured:
            structlog.configure(**before)
        for logger in _bound_loggers().values():
            del logger.__dict__["bind"]
        root = logging.getLogger()
        root.handlers[:] = [one for one in root.handlers if _is_pytests(one)] + handlers
        root.setLevel(level)


def _root_logger() -> tuple[int, list[logging.Handler]]:
    root = logging.getLogger()
    return root.level, [one for one in root.handlers if not _is_pytests(one)]


def _is_pytests(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest.")


def _bound_loggers() -> dict[str, BoundLoggerLazyProxy]:
    """By their module's name."""
    loggers = {name: vars(module).get("log") for name, module in sys.modules.items()}
    return {name: one for name, one in loggers.items() if type(one) is BoundLoggerLazyProxy and "bind" in one.__dict__}
