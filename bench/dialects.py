"""Bets per second in the providers' own protocols, each beside the canonical API in the same run: what a dialect costs.

The requests are made by the dialects' drivers, before any clock starts: a signature by a private key takes longer than
all that the gateway does with it.
"""

import json
import random
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.bets import HOT, SPREAD, TABLE_WIDTH, TURNS, WARM_UP_AT_MOST_S, WARM_UP_CLIENTS, Say, environment, job
from bench.cpu import postgres_cpu_s
from bench.load import LOOPBACK, STAKE, Job, load
from bench.report import Cpu, Figure, table
from bench.served_ledger import ServedLedger
from ledger.admin.integrations import CANONICAL
from sandbox.drivers import NAMES, driver_of
from sandbox.drivers.driver import Driver, Request, Seat

ALL = "all"
GOAL = 0.85
"""The share of the canonical API's throughput that a dialect should reach; not for those whose every call carries an
asymmetric signature.
"""
PREPARE_AT_MOST_S = 20.0
"""Requests are no longer made ready for one measurement than this; it may then end early."""


def run(
    *, dialects: Sequence[str], seconds: float, concurrency: Sequence[int], wallets: int, gateways: int, as_json: bool
) -> None:
    """Measure and print. Ends with exit code 1 where an answer was not 200 or the database holds another number of bets
    than was answered.
    """
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    say = Console(stderr=True, style="dim", highlight=False).print
    with tempfile.TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        say(f"starting PostgreSQL and {gateways} gateway(s), opening {wallets:,} wallets for each contestant")
        with ServedLedger(root, wallets, processes=gateways) as ledger:
            bench = _Bench(ledger, root, say)
            found = bench.measure(NAMES if ALL in dialects else dialects, wallets, seconds, concurrency)
    if as_json:
        print(json.dumps(found))
    _show(console, found)
    if found["failures"] or found["bets_in_database"] != found["answered_200"]:
        sys.exit(1)


@dataclass(frozen=True)
class _Contestant:
    """Who bets: the canonical API, or a driver with its players."""

    name: str
    driver: Driver | None = None
    seats: Sequence[Seat] = ()

    @property
    def is_asymmetric(self) -> bool:
        return self.driver is not None and self.driver.setup().secret is None


class _Bench:
    def __init__(self, ledger: ServedLedger, root: Path, say: Say) -> None:
        self._ledger = ledger
        self._root = root
        self._say = say
        self._statuses: Counter[str] = Counter()

    def measure(
        self, dialects: Sequence[str], wallets: int, seconds: float, concurrency: Sequence[int]
    ) -> dict[str, Any]:
        contestants = [_Contestant(CANONICAL), *(self._mounted(name, wallets) for name in dialects)]
        for contestant in contestants:
            self._say(f"warming up {contestant.name} with {2 * wallets:,} bets")
            warm_up = self._job(contestant, SPREAD, WARM_UP_CLIENTS, WARM_UP_AT_MOST_S, most=2 * wallets)
            self._statuses.update(load(warm_up).statuses)
        figures = {
            (case, clients, one.name): Figure(one.name, case, clients)
            for case in (SPREAD, HOT)
            for clients in concurrency
            for one in contestants
        }
        for turn in range(TURNS):
            for (case, clients, name), figure in figures.items():
                self._say(f"turn {turn + 1} of {TURNS}: {case}, {clients} at once, {name}")
                contestant = next(one for one in contestants if one.name == name)
                self._bet(figure, self._job(contestant, case, clients, seconds / TURNS))
        return {
            "environment": environment(self._ledger),
            "figures": [figure.to_dict() for figure in figures.values()],
            "ratios": _ratios(list(figures.values()), contestants),
            "answered_200": self._statuses.pop("200", 0),
            "failures": dict(self._statuses),
            "bets_in_database": self._ledger.count_bets(),
        }

    def _mounted(self, dialect: str, wallets: int) -> _Contestant:
        driver = driver_of(dialect)
        return _Contestant(dialect, driver, self._ledger.mount(driver, wallets))

    def _job(
        self, contestant: _Contestant, case: str, concurrency: int, seconds: float, most: int | None = None
    ) -> Job:
        planned = job(self._ledger, case, concurrency, seconds, self._root / "latencies")
        planned = replace(planned, most=most or planned.most)
        if contestant.driver is None:
            return planned
        path = self._root / "requests"
        seats = contestant.seats[:1] if case == HOT else contestant.seats
        prepare(contestant.driver, seats, planned.most, path)
        return replace(planned, prepared=str(path))

    def _bet(self, figure: Figure, planned: Job) -> None:
        ledger = self._ledger
        gateway_s, postgres_s = ledger.gateway_cpu_s(), postgres_cpu_s(ledger.postgres)
        result = load(planned)
        cpu = Cpu(ledger.gateway_cpu_s() - gateway_s, postgres_cpu_s(ledger.postgres) - postgres_s, result.cpu_s)
        self._statuses.update(result.statuses)
        figure.add(result.answered, result.seconds, array("d", Path(planned.latencies).read_bytes()), cpu)


def prepare(driver: Driver, seats: Sequence[Seat], most: int, path: Path) -> None:
    """Write signed bets for players chosen by chance, in the form that `bench.load` reads."""
    until = time.monotonic() + PREPARE_AT_MOST_S
    with path.open("wb") as file:
        for _ in range(most):
            name = f"{random.getrandbits(128):032x}"
            bet = driver.bet(random.choice(seats), driver.id(f"bet-{name}"), STAKE, driver.id(f"round-{name}"))
            whole = _http(driver.signed(bet), driver.base_path)
            file.write(len(whole).to_bytes(4, "big") + whole)
            if time.monotonic() > until:
                break


def _http(request: Request, base_path: str) -> bytes:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")}
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{request.method} {request.target(base_path)} HTTP/1.1\r\nHost: {LOOPBACK}\r\n{fields}"
    return f"{head}Content-Length: {len(request.body)}\r\n\r\n".encode("latin-1") + request.body


def _ratios(figures: Sequence[Figure], contestants: Sequence[_Contestant]) -> list[dict[str, Any]]:
    """Best against best, whatever the concurrency of each; and, since a machine has other work too, the CPU time of
    gateway and PostgreSQL per bet likewise.
    """
    best: dict[tuple[str, str], Figure] = {}
    for figure in figures:
        found = best.setdefault((figure.case, figure.who), figure)
        if figure.per_s > found.per_s:
            best[figure.case, figure.who] = figure
    return [
        {
            "dialect": one.name,
            "case": case,
            "bets_per_s": round(best[case, one.name].per_s),
            "of_canonical": _ratio(best[case, one.name].per_s, best[case, CANONICAL].per_s),
            "by_cpu_time": _ratio(_cpu_s(best[case, CANONICAL]), _cpu_s(best[case, one.name])),
            "goal": "none: asymmetric" if one.is_asymmetric else str(GOAL),
        }
        for one in contestants
        if one.driver is not None
        for case in (SPREAD, HOT)
    ]


def _cpu_s(figure: Figure) -> float:
    """The gateway's CPU seconds for each bet."""
    return (figure.cpu.gateway_s + figure.cpu.postgres_s) / max(figure.bets, 1)


def _ratio(one: float, other: float) -> float:
    return round(one / other, 2) if other else 0.0


def _show(console: Console, found: dict[str, Any]) -> None:
    console.print(", ".join(f"{name} {value}" for name, value in found["environment"].items()))
    console.print(table("Bets (CPU time per bet in microseconds)", found["figures"]))
    console.print(table("Best against the canonical API's best", found["ratios"]))
    console.print(
        f"Answered 200: {found['answered_200']:,}. Other answers: {found['failures'] or 'none'}. "
        f"Bets in the database: {found['bets_in_database']:,}."
    )
