"""How far long work has come, for whoever waits for it."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is: 0 where nobody knows."""

StageProgress = Callable[[int, int], None]
"""Called with how much of the one stage that there is is done, and how much there is."""


def silent(_stage: str, _done: int, _total: int) -> None:
    """Progress where nobody waits: nothing is shown."""
