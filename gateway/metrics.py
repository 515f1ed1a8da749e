"""What the gateway counts."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from schemas.errors import ERRORS

CALLBACKS = Counter("wagerledger_callbacks_total", "Callbacks answered.", ("operation", "outcome"))
CALLBACK_SECONDS = Histogram(
    "wagerledger_callback_seconds",
    "From the head of a callback to its answer.",
    ("operation",),
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
REFUSALS = Counter("wagerledger_refusals_total", "Answers that said no, by code of the catalogue.", ("code",))
SIGNATURE_REFUSALS = Counter(
    "wagerledger_signature_refusals_total", "Callbacks refused for their signature.", ("reason",)
)
LEFT_OUT = Counter(
    "wagerledger_fields_left_out_total",
    "Fields of callbacks that only inform and could not be read, by dialect and field.",
    ("dialect", "field"),
)
CREDITS_UNREADABLE = Counter(
    "wagerledger_credits_unreadable_total",
    "Wins, refunds and round ends that could not be read and were asked for again, by operation and field.",
    ("operation", "field"),
)
CONNECTIONS_REFUSED = Counter(
    "wagerledger_connections_refused_total", "Connections closed at once, because as many as allowed were open."
)
KEYS_LOADED = Gauge("wagerledger_keys_loaded", "Keys that callbacks may be signed with.")

# Looking a child up costs more than counting does, and there are few of them.
_refusals = cache(REFUSALS.labels)
_callbacks = cache(CALLBACKS.labels)
_seconds = cache(CALLBACK_SECONDS.labels)


def count(operation: str, outcome: str, seconds: float) -> None:
    """Count one callback; `outcome` is accepted, repeated, or a code of the catalogue."""
    error = ERRORS.get(outcome)
    if error is not None:
        _refusals(outcome).inc()
        outcome = "failed" if error.status >= 500 else "refused"
    _callbacks(operation, outcome).inc()
    _seconds(operation).observe(seconds)
