"""Progress on standard error while somebody looks, and nothing where nobody does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.output import errors


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Hears (stage, done, in all); each stage has a bar of its own. Where nobody knows how much there is, `done` may
    pass what it says.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=None)
            bar.update(tasks[stage], completed=done, total=max(done, total) or None)

        yield progress


@contextmanager
def stage(name: str) -> Iterator[Callable[[int, int], None]]:
    """Progress of one stage by `name`; gives a function that takes how much is done, and how much there is in all."""
    with stages() as progress:
        yield lambda done, total: progress(name, done, total)
