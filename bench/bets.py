"""Bets per second and their latency through real HTTP, with verified signatures and durable commits, beside two pgbench
yardsticks on the same PostgreSQL.

Only what the write path needs is started: PostgreSQL and one gateway; no Kafka, which answers no bet. All measurements
are taken in turns, so that a machine that gets slower or faster does so for every contestant.
"""

import json
import os
import platform
import pstats
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.contestant import Contestant
from bench.cpu import postgres_cpu_s
from bench.load import Job, Result, load, trivial_responder
from bench.report import Cpu, Figure, table
from bench.served_ledger import CURRENCY, PROVIDER, REGION, TENANT, ServedLedger
from bench.stages import Profile, stages
from bench.yardsticks import Yardsticks

OURS, TRANSACTION, FUNCTION = "wagerledger over HTTP", "pgbench: transaction", "pgbench: function"
SCRIPTS = {TRANSACTION: "transaction.sql", FUNCTION: "function.sql"}
TABLE_WIDTH = 140
SPREAD, HOT = "spread", "hot wallet"
GOALS = {(SPREAD, TRANSACTION): 2.0, (SPREAD, FUNCTION): 1.2, (HOT, TRANSACTION): 6.5, (HOT, FUNCTION): 4.0}
TURNS = 2
WARM_UP_CLIENTS, WARM_UP_AT_MOST_S = 64, 20
CEILING_S = 1.0
BACKENDS_END_S = 0.5
"""Until the backends of pgbench are gone and their CPU time is counted with their parent."""
PROFILE_S = 5.0
YARDSTICK_CONNECTIONS = 64
"""Most connections of a yardstick: with more of them pgbench only gets slower."""
BETS_PER_S, BETS_PER_S_AND_CLIENT = 20_000, 3_000
"""More than any run reaches: so many requests are made ready for each second."""
SETTINGS = (
    "server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers",
    "max_wal_size", "max_connections",
)  # fmt: skip

Say = Callable[[str], None]


def run(
    *, seconds: float, concurrency: Sequence[int], wallets: int, gateways: int, profile: bool, as_json: bool
) -> None:
    """Measure and print.

    Ends with exit code 1 where an answer was not 200 or the database holds another number of bets than was answered.
    """
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    say = Console(stderr=True, style="dim", highlight=False).print
    with tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        say(f"starting PostgreSQL and {gateways} gateway(s) (no Kafka: it answers no bet), opening {wallets:,} wallets")
        with ServedLedger(root, wallets, processes=gateways) as ledger:
            bench = _Bench(ledger, root, say)
            found = bench.measure(wallets, seconds, concurrency)
        if profile:
            found |= _profile(root / "profiled", wallets, max(concurrency), found["figures"], say)
    if as_json:
        print(json.dumps(found))
    _show(console, found)
    if found["failures"] or found["bets_in_database"] != found["answered_200"]:
        sys.exit(1)


class _Bench:
    def __init__(self, ledger: ServedLedger, root: Path, say: Say) -> None:
        self._ledger = ledger
        self._latencies = root / "latencies"
        self._say = say
        self._answered = 0
        self._failures: dict[str, int] = {}

    def measure(self, wallets: int, seconds: float, concurrency: Sequence[int]) -> dict[str, Any]:
        ledger = self._ledger
        self._warm_up(wallets)
        yardsticks = Yardsticks(ledger.postgres, wallets, ledger.row_sizes())
        figures = [
            Figure(who, case, clients)
            for case in (SPREAD, HOT)
            for who in (OURS, *SCRIPTS)
            for clients in concurrency
            if who == OURS or clients <= YARDSTICK_CONNECTIONS
        ]
        in_turns = sorted(figures, key=lambda figure: (figure.case, figure.concurrency))
        for turn in range(TURNS):
            for figure in in_turns:
                self._say(f"turn {turn + 1} of {TURNS}: {figure.case}, {figure.concurrency} at once, {figure.who}")
                if figure.who == OURS:
                    self._bet(figure, seconds / TURNS)
                else:
                    self._yardstick(yardsticks, figure, seconds / TURNS)
        return {
            "environment": environment(ledger),
            "figures": [figure.to_dict() for figure in figures],
            "ratios": _ratios(figures),
            "load_ceiling": self._ceiling(concurrency),
            "answered_200": self._answered,
            "failures": self._failures,
            "bets_in_database": ledger.count_bets(),
        }

    def _warm_up(self, wallets: int) -> None:
        """Two bets a session, so that the gateway knows nearly all of them, as one that runs for a while does."""
        self._say(f"warming up with {2 * wallets:,} bets")
        warm_up = self._job(SPREAD, WARM_UP_CLIENTS, WARM_UP_AT_MOST_S)
        self._count(load(replace(warm_up, most=2 * wallets)))

    def _bet(self, figure: Figure, seconds: float) -> None:
        ledger = self._ledger
        gateway_s, postgres_s = ledger.gateway_cpu_s(), postgres_cpu_s(ledger.postgres)
        result = load(self._job(figure.case, figure.concurrency, seconds))
        cpu = Cpu(ledger.gateway_cpu_s() - gateway_s, postgres_cpu_s(ledger.postgres) - postgres_s, result.cpu_s)
        self._count(result)
        figure.add(result.answered, result.seconds, array("d", self._latencies.read_bytes()), cpu)

    def _yardstick(self, yardsticks: Yardsticks, figure: Figure, seconds: float) -> None:
        postgres_s = postgres_cpu_s(self._ledger.postgres)
        result = yardsticks.measure(SCRIPTS[figure.who], figure.concurrency, seconds, one_wallet=figure.case == HOT)
        time.sleep(BACKENDS_END_S)
        figure.add(
            result.bets,
            result.seconds,
            result.latencies_s,
            Cpu(postgres_s=postgres_cpu_s(self._ledger.postgres) - postgres_s),
        )

    def _count(self, result: Result) -> None:
        self._answered += result.answered
        for status, count in result.failures.items():
            self._failures[status] = self._failures.get(status, 0) + count

    def _job(self, case: str, concurrency: int, seconds: float) -> Job:
        return job(self._ledger, case, concurrency, seconds, self._latencies)

    def _ceiling(self, concurrency: Sequence[int]) -> dict[str, int]:
        """What the load generator itself can do, by concurrency."""
        self._say("the load generator's own ceiling")
        with trivial_responder() as port:
            results = {
                clients: load(replace(self._job(SPREAD, clients, CEILING_S), port=port)) for clients in concurrency
            }
        return {str(clients): round(result.answered / result.seconds) for clients, result in results.items()}


def job(ledger: ServedLedger | Contestant, case: str, concurrency: int, seconds: float, latencies: Path) -> Job:
    assert ledger.issued.secret
    return Job(
        port=ledger.port,
        concurrency=concurrency,
        seconds=seconds,
        most=int(seconds * min(BETS_PER_S, BETS_PER_S_AND_CLIENT * concurrency)),
        headers={"X-Brand-Id": TENANT, "X-Region": REGION, "X-Provider-Id": PROVIDER},
        kid=ledger.issued.kid,
        secret=ledger.issued.secret,
        currency=CURRENCY,
        sessions=ledger.sessions[:1] if case == HOT else ledger.sessions,
        latencies=str(latencies),
    )


def _profile(
    root: Path, wallets: int, concurrency: int, figures: Sequence[dict[str, Any]], say: Say
) -> dict[str, list[dict[str, Any]]]:
    """Where the gateway's time goes: by stage, and functions by own time. A profiler slows calls down, so the shares
    are a hint.
    """
    say("profiling a gateway")
    path = root / "gateway.profile"
    with ServedLedger(root, wallets, profile=path) as ledger:
        bets = load(job(ledger, SPREAD, concurrency, PROFILE_S, root / "latencies")).answered
        profiled_cpu_s = ledger.gateway_cpu_s()
    stats: Profile = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    by_time = sorted(stats.items(), key=lambda item: -item[1][2])[:40]
    cpu_us = next(
        row["gateway_cpu_us"]
        for row in figures
        if (row["who"], row["case"], row["concurrency"]) == (OURS, SPREAD, concurrency)
    )
    functions = [
        {
            "function": f"{Path(file).parent.name}/{Path(file).name}:{line} {name}" if line else name,
            "calls_per_bet": round(calls / bets, 2),
            "own_us_per_bet": round(own / bets * 1e6, 2),
            "whole_us_per_bet": round(whole / bets * 1e6, 2),
        }
        for (file, line, name), (_, calls, own, whole, _) in by_time
    ]
    return {"stages": stages(stats, profiled_cpu_s, cpu_us), "profile": functions}


def _ratios(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Best against best, whatever the concurrency of each."""
    best: dict[tuple[str, str], float] = {}
    for figure in figures:
        best[figure.case, figure.who] = max(figure.per_s, best.get((figure.case, figure.who), 0.0))
    return [
        {"case": case, "against": who, "ratio": round(best[case, OURS] / best[case, who], 2), "goal": goal}
        for (case, who), goal in GOALS.items()
        if best.get((case, who))
    ]


def environment(ledger: ServedLedger) -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **ledger.database_settings(SETTINGS),
    }


def _show(console: Console, found: dict[str, Any]) -> None:
    console.print(", ".join(f"{name} {value}" for name, value in found["environment"].items()))
    console.print(table("Bets (CPU time per bet in microseconds)", found["figures"]))
    if found["ratios"]:  # yardsticks have no cell where there are many clients only
        console.print(table("Best against best", found["ratios"]))
    ceilings = ", ".join(f"{per_s:,}/s at {clients}" for clients, per_s in found["load_ceiling"].items())
    console.print(f"The load generator alone reaches {ceilings}.")
    console.print(
        f"Answered 200: {found['answered_200']:,}. Other answers: {found['failures'] or 'none'}. "
        f"Bets in the database: {found['bets_in_database']:,}."
    )
    if "profile" in found:
        console.print(table("Where a bet's time goes in the gateway", found["stages"]))
        console.print(table("The gateway's time", found["profile"]))
