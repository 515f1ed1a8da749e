"""What the projector tells Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("wagerledger_projector_events_total", "Events folded into the read models.")
DUPLICATES = Counter("wagerledger_projector_duplicates_total", "Events dropped because the read models had them.")
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
RESTARTS = Counter(
    "wagerledger_projector_restarts_total", "Times that the projector began again at its checkpoint.", ["cause"]
)
STAGE_SECONDS = Counter("wagerledger_projector_stage_seconds_total", "Where the time goes.", ["stage"])


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of a block as that stage's."""
    begun = perf_counter()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(name).inc(perf_counter() - begun)
