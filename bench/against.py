"""This code beside that of another commit, both at once and measured in turns: what a change did for a bet."""

import json
import statistics
from array import array
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from bench.bets import HOT, SPREAD, TABLE_WIDTH, WARM_UP_AT_MOST_S, WARM_UP_CLIENTS, job
from bench.contestant import CHECKOUT, Contestant, unpacked
from bench.load import load
from bench.report import Cpu, Figure, table

TURNS = 4
THIS = "this code"

Turn = dict[str, float]
Turns = dict[tuple[str, int], dict[str, list[Turn]]]
"""What each contestant came to in each turn, by case and clients."""


def run(
    *, revision: str, seconds: float, concurrency: Sequence[int], wallets: int, gateways: int, as_json: bool
) -> None:
    """Measure and print. The ratios are taken turn by turn, ours by the other's, and their median is shown."""
    say = Console(stderr=True, style="dim", highlight=False).print
    with TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        checkouts = {THIS: CHECKOUT, revision: unpacked(revision, Path(folder) / "code")}
        contestants = []
        for name, checkout in checkouts.items():
            say(f"starting {name}")
            contestants.append(stack.enter_context(Contestant(name, checkout, wallets, gateways, Path(folder))))
        latencies = Path(folder) / "latencies"
        for one in contestants:
            load(replace(job(one, SPREAD, WARM_UP_CLIENTS, WARM_UP_AT_MOST_S, latencies), most=2 * wallets))
        turns: Turns = defaultdict(lambda: defaultdict(list))
        for turn in range(TURNS):
            say(f"turn {turn + 1} of {TURNS}")
            for case in (SPREAD, HOT):
                for clients in concurrency:
                    for one in contestants if turn % 2 else reversed(contestants):
                        turns[case, clients][one.name].append(_measure(one, case, clients, seconds / TURNS, latencies))
    found = [_row(case, clients, turns[case, clients], revision) for case, clients in turns]
    if as_json:
        print(json.dumps(found))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    console.print(
        table(f"This code by {revision}: medians of the ratios of {TURNS} turns (CPU in microseconds per bet)", found)
    )


def _measure(one: Contestant, case: str, clients: int, seconds: float, latencies: Path) -> Turn:
    gateway_s, postgres_s = one.gateway_cpu_s(), one.postgres_cpu_s()
    result = load(job(one, case, clients, seconds, latencies))
    cpu = Cpu(one.gateway_cpu_s() - gateway_s, one.postgres_cpu_s() - postgres_s, result.cpu_s)
    if result.failures:
        raise RuntimeError(f"{one.name} answered {result.failures}: only ledgers that take bets can be compared")
    figure = Figure(one.name, case, clients)
    figure.add(result.answered, result.seconds, array("d", latencies.read_bytes()), cpu)
    row = figure.to_dict()
    return {name: row[name] for name in ("bets_per_s", "p50_ms", "gateway_cpu_us", "postgres_cpu_us")}


def _row(case: str, clients: int, turns: dict[str, list[Turn]], revision: str) -> dict[str, Any]:
    ours, theirs = turns[THIS], turns[revision]
    row: dict[str, Any] = {"case": case, "clients": clients}
    for name in ours[0]:
        ratios = [a[name] / b[name] for a, b in zip(ours, theirs, strict=True) if b[name]]
        medians = (statistics.median(turn[name] for turn in one) for one in (ours, theirs))
        row[name] = " / ".join(f"{one:,.6g}" for one in medians)
        row[f"ratio of {name}"] = round(statistics.median(ratios), 3) if ratios else None
    return row
