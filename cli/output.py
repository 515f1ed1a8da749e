"""What commands print and how they end: text for people, JSON with `--json`, exit codes for scripts."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table

OK, FINDING, COULD_NOT = 0, 1, 2
"""Done or in order; refused or something was found; could not be tried."""

WIDTH_IN_PIPES = 160

errors_as_json = ContextVar("errors_as_json", default=False)
"""Whether the command that runs was given --json."""

console = Console(width=None if sys.stdout.isatty() else WIDTH_IN_PIPES)
errors = Console(stderr=True)


def show(content: Any, *, as_json: bool, text: str | Table | None = None) -> None:
    """Print `content` as JSON, or `text` (without one, `content` itself) for people."""
    if as_json:
        print(json.dumps(content, default=str))
    else:
        console.print(content if text is None else text, soft_wrap=True, highlight=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """Cells that are too long for the terminal go on in the next line: an id that is cut is none."""
    columns = (Column(heading, overflow="fold") for heading in headings)
    grid = Table(*columns, title=title, title_justify="left")
    for row in rows:
        grid.add_row(*("" if value is None else str(value) for value in row))
    return grid


def write_or_fail(path: Path, text: str) -> None:
    """A file that was asked for besides; that it is written is said on standard error."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    errors.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """What is logged inside goes to standard error, so that an answer on standard output stays whole. Processes
    configure their own logging after that.
    """
    import structlog

    before = structlog.get_config()["logger_factory"]
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(logger_factory=before)


def fail(message: str, code: int = COULD_NOT) -> NoReturn:
    """End with a message on standard error; as JSON where the command was asked for JSON."""
    if errors_as_json.get():
        print(json.dumps({"error": message, "exit_code": code}), file=sys.stderr)
        raise typer.Exit(code)
    errors.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)
