"""What a measurement gave, and how it is shown."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.table import Table


class Cpu(NamedTuple):
    """The CPU seconds that a measurement took, by process."""

    gateway_s: float = 0.0
    postgres_s: float = 0.0
    load_s: float = 0.0


@dataclass
class Figure:
    """One row: a contestant at one case and concurrency, summed over all turns."""

    who: str
    case: str
    concurrency: int
    bets: int = 0
    seconds: float = 0.0
    cpu: Cpu = field(default_factory=Cpu)
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, bets: int, seconds: float, latencies_s: Sequence[float], cpu: Cpu) -> None:
        self.bets += bets
        self.seconds += seconds
        self.latencies_s.extend(latencies_s)
        self.cpu = Cpu(*(before + more for before, more in zip(self.cpu, cpu, strict=True)))

    @property
    def per_s(self) -> float:
        return self.bets / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: int) -> float | None:
        ordered = sorted(self.latencies_s)
        return round(ordered[len(ordered) * percent // 100] * 1000, 2) if ordered else None

    def to_dict(self) -> dict[str, Any]:
        """Rounded; CPU time in microseconds per bet."""
        latencies = {f"p{percent}_ms": self.percentile_ms(percent) for percent in (50, 95, 99)}
        us_per_bet = 1e6 / max(self.bets, 1)
        return {
            "case": self.case,
            "who": self.who,
            "concurrency": self.concurrency,
            "bets": self.bets,
            "bets_per_s": round(self.per_s),
            **latencies,
            "gateway_cpu_us": round(self.cpu.gateway_s * us_per_bet, 1),
            "postgres_cpu_us": round(self.cpu.postgres_s * us_per_bet, 1),
            "load_cpu_us": round(self.cpu.load_s * us_per_bet, 1),
        }


def table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Rows with the same names, as columns of those names."""
    grid = Table(title=title, title_justify="left")
    for name in rows[0]:
        grid.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        grid.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    return grid
