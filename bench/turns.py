"""Two ledgers that both run, measured in turns: a machine that gets slower or faster does so for either."""

import statistics
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from bench.bets import SPREAD, WARM_UP_AT_MOST_S, WARM_UP_CLIENTS, Say, job
from bench.contestant import Contestant
from bench.load import load
from bench.report import Cpu, Figure

TURNS = 4
WAL_BYTES = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"

WAL = "wal_bytes"
"""Most of it comes in the turn after a checkpoint, so it is told by the mean."""

Turn = dict[str, float]


@dataclass(frozen=True)
class Duel:
    """The first of two is told by the other one."""

    first: Contestant
    other: Contestant
    folder: Path
    """For what is needed meanwhile."""
    say: Say

    def warm_up(self, wallets: int) -> None:
        """Two bets a session, so that the gateways know nearly all of them."""
        for one in (self.first, self.other):
            load(replace(job(one, SPREAD, WARM_UP_CLIENTS, WARM_UP_AT_MOST_S, self._latencies), most=2 * wallets))

    def rows(self, cases: Sequence[str], concurrency: Sequence[int], seconds: float) -> Iterator[dict[str, Any]]:
        """For each case and number of clients: both medians, and the median of the ratios, which are taken turn by
        turn; means for the write-ahead log.
        """
        turns: dict[tuple[str, int], dict[str, list[Turn]]] = defaultdict(lambda: defaultdict(list))
        for turn in range(TURNS):
            self.say(f"turn {turn + 1} of {TURNS}")
            for case in cases:
                for clients in concurrency:
                    for one in (self.first, self.other) if turn % 2 else (self.other, self.first):
                        turns[case, clients][one.name].append(self._measure(one, case, clients, seconds / TURNS))
        for (case, clients), found in turns.items():
            yield {"case": case, "clients": clients} | _medians(found[self.first.name], found[self.other.name])

    @property
    def _latencies(self) -> Path:
        return self.folder / "latencies"

    def _measure(self, one: Contestant, case: str, clients: int, seconds: float) -> Turn:
        with psycopg.connect(one.database_url, autocommit=True) as connection:
            gateway_s, postgres_s, wal_bytes = one.gateway_cpu_s(), one.postgres_cpu_s(), _wal_bytes(connection)
            result = load(job(one, case, clients, seconds, self._latencies))
            wal_bytes = _wal_bytes(connection) - wal_bytes
            cpu = Cpu(one.gateway_cpu_s() - gateway_s, one.postgres_cpu_s() - postgres_s, result.cpu_s)
        if result.failures:
            raise RuntimeError(f"{one.name} answered {result.failures}: only ledgers that take bets can be compared")
        figure = Figure(one.name, case, clients)
        figure.add(result.answered, result.seconds, array("d", self._latencies.read_bytes()), cpu)
        row = figure.to_dict()
        names = "bets_per_s", "p50_ms", "gateway_cpu_us", "postgres_cpu_us"
        return {name: row[name] for name in names} | {WAL: round(wal_bytes / max(result.answered, 1))}


def _medians(ours: Sequence[Turn], theirs: Sequence[Turn]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in ours[0]:
        ratios = [a[name] / b[name] for a, b in zip(ours, theirs, strict=True) if b[name]]
        middle = statistics.mean if name == WAL else statistics.median
        row[name] = " / ".join(f"{middle([turn[name] for turn in one]):,.6g}" for one in (ours, theirs))
        row[f"ratio of {name}"] = round(middle(ratios), 3) if ratios else None
    return row


def _wal_bytes(connection: psycopg.Connection) -> int:
    """What the server has written ahead since it was made."""
    ((written,),) = connection.execute(WAL_BYTES).fetchall()
    return int(written)
