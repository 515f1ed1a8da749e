"""Logs and metrics of every process: JSON lines on standard output, Prometheus on an internal port."""

import asyncio
import atexit
import json
import logging
import sys
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TextIO

import structlog
from prometheus_client import start_http_server
from pydantic_core import to_json
from structlog.types import EventDict, Processor

from runtime.settings import Settings

# Without the local variables: among them are connection strings and secrets.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure_logging(settings: Settings, process: str) -> None:
    """Send our log lines and those of the libraries to standard output, each with time, level and the process's
    name.
    """

    def stamp(_: Any, method: str, event: EventDict) -> EventDict:
        # One function instead of three processors of the library: this runs for every callback.
        event["level"] = "error" if method == "exception" else method
        event["process"] = process
        event["ts"] = datetime.now(UTC).isoformat()
        return event

    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [stamp]
    tail: list[Processor] = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    if settings.log_format == "json":
        tail = [
            _tracebacks,
            _to_json_line,
        ]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_LoopTurn(sys.stdout)),  # type: ignore[arg-type]  # writes and flushes
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail]
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


class _LoopTurn:
    """Lines on their way to `stream`: those of one turn of the event loop in one write, others at once. A write for
    each of fifty callbacks that are answered together costs more than making the lines. Killed in between, a process
    leaves them out; what they tell of is committed by then.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._turn: asyncio.AbstractEventLoop | None = None
        """The loop whose turn is waited for."""
        self._lock = Lock()
        atexit.register(self._write)

    def write(self, line: str) -> None:
        """Take a line; `flush` follows."""
        with self._lock:
            self._lines.append(line)

    def flush(self) -> None:
        """Write now, or at the end of this turn."""
        loop = asyncio._get_running_loop()  # noqa: SLF001  # documented, and without the price of an exception
        if loop is None:
            self._write()
        elif loop is not self._turn:  # an earlier loop may have ended before its turn came
            self._turn = loop
            loop.call_soon(self._write)

    def _write(self) -> None:
        with self._lock:
            self._turn = None
            if self._lines:
                self._stream.write("".join(self._lines))
                self._lines.clear()
                self._stream.flush()


def _to_json_line(_: Any, __: str, event: EventDict) -> str:
    return to_json(event, fallback=str).decode()


def announce(event: str, **fields: object) -> None:
    """One JSON line on standard output whatever the log settings are: a supervisor waits for it."""
    print(json.dumps({"event": event, **fields}), flush=True)


def serve_metrics(settings: Settings) -> str | None:
    """Serve /metrics from a thread; gives its URL, or None where no port is set. Raises OSError when the port is
    taken.
    """
    if settings.metrics_port is None:
        return None
    server, _ = start_http_server(settings.metrics_port, settings.metrics_host)
    return f"http://{settings.metrics_host}:{server.server_port}/metrics"
