"""What a waiting person sees: a moving line per step on a terminal, plain lines elsewhere."""

import threading
import time
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

DONE = {"ready", "stopped"}


class StateDisplay:
    """Shows `(name, state)` reports. Call it like a function, from any thread, within its `with` block."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._lines: dict[str, tuple[str, float]] = {}
        self._mutex = threading.Lock()
        self._started = time.monotonic()
        self._live = Live(console=self.console, get_renderable=self._table, refresh_per_second=8)

    def __call__(self, name: str, state: str) -> None:
        with self._mutex:
            self._lines[name] = (state, time.monotonic() - self._started)
            if not self.console.is_terminal:
                print(f"{name}: {state}", file=self.console.file, flush=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._mutex:
            for name, (state, elapsed_s) in self._lines.items():
                done = state in DONE
                colour = "green" if done else "red" if state == "failed" else "yellow"
                seconds = f"{elapsed_s:.1f} s" if done else ""
                table.add_row(name, f"[{colour}]{state}", f"[dim]{seconds}")
        return table

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()
