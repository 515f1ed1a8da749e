"""The projector's metrics, for Prometheus."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from time import perf_counter, time_ns

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

EVENTS = Counter("wagerledger_projector_events_total", "Events folded into the read models.")
DUPLICATES = Counter("wagerledger_projector_duplicates_total", "Events dropped because the read models had them.")
REFUSALS = Counter("wagerledger_projector_refusals_total", "Refused commands folded into the read models.")
PARKED = Counter("wagerledger_projector_parked_total", "Streams parked: their later events are kept back.", ["reason"])
RELEASED = Counter("wagerledger_projector_released_total", "Parked streams that go on, with all their events in order.")
PARKED_STREAMS = Gauge("wagerledger_projector_parked_streams", "Streams that are parked now. Alarm above 0.")
DEAD_LETTERS = Counter("wagerledger_projector_dead_letters_total", "Records that could not be read. Alarm on any.")
LAG_ROWS = Gauge(
    "wagerledger_projector_lag_rows", "Records of our partitions that wait (upper bound: transaction markers count)."
)
LAG_SECONDS = Gauge(
    "wagerledger_projector_lag_seconds", "Age of the last folded event while others wait; 0 when none does."
)
TRANSACTION_SECONDS = Histogram(
    "wagerledger_projector_transaction_seconds",
    "Duration of a projection transaction.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
MODELS_STOPPED = Gauge(
    "wagerledger_projector_models_stopped", "Read models that stand still until they are rebuilt. Alarm above 0."
)
RESTARTS = Counter(
    "wagerledger_projector_restarts_total", "Times that the projector began again at its checkpoint.", ["cause"]
)
PAGE_WATCH_FAILURES = Counter(
    "wagerledger_projector_page_watch_failures_total", "Looks of the page's watch that failed by a fault of ours."
)
STAGE_SECONDS = Counter("wagerledger_projector_stage_seconds_total", "Where the time goes.", ["stage"])


class Freshness(Collector):
    """Time from an event's record in the ledger to its row here. Of every event, so it must cost next to nothing: the
    client's own histogram takes a lock for each.
    """

    BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

    def __init__(self) -> None:
        self._bounds_us = [int(bound * 1_000_000) for bound in self.BOUNDS_S]
        self._counts = [0] * (len(self.BOUNDS_S) + 1)
        self._sum_us = 0

    def observe(self, recorded_at: Iterable[int]) -> None:
        """Note events that can be queried from now on, by their times in microseconds since the epoch."""
        now = time_ns() // 1000
        for moment in recorded_at:
            self._counts[bisect_left(self._bounds_us, now - moment)] += 1
            self._sum_us += now - moment

    def collect(self) -> Iterator[HistogramMetricFamily]:
        labels = [*map(str, map(float, self.BOUNDS_S)), "+Inf"]
        yield HistogramMetricFamily(
            "wagerledger_projector_freshness_seconds",
            "Time from an event's record in the ledger to its rows in the read models.",
            list(zip(labels, accumulate(self._counts), strict=True)),
            self._sum_us / 1e6,
        )


FRESHNESS = Freshness()
REGISTRY.register(FRESHNESS)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of a block as that stage's."""
    begun = perf_counter()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(name).inc(perf_counter() - begun)
