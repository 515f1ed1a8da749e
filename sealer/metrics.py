"""What the sealer shows on /metrics."""

import time

from prometheus_client import Counter, Gauge, Histogram

TREE_SIZE = Gauge("wagerledger_sealer_tree_size", "Entries of the log that are sealed.")
HEADS = Counter("wagerledger_sealer_heads", "Tree heads signed.")
PASS_SECONDS = Histogram(
    "wagerledger_sealer_pass_seconds",
    "Time to seal what is new and to publish the head.",
    buckets=[0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300],
)
RESTARTS = Counter("wagerledger_sealer_restarts", "Times that the sealer began anew after an error.", ["error"])
SEALING = Gauge("wagerledger_sealer_sealing", "1 while the sealer has the log's lock and seals, else 0.")
ANCHOR_AGE_SECONDS = Gauge(
    "wagerledger_sealer_anchor_age_seconds", "Age of the newest signed head; grows also while nothing happens."
)
LAG_SECONDS = Gauge(
    "wagerledger_sealer_lag_seconds", "How long ago all that was committed then was sealed and published."
)

_started_at = time.time()


class Times:
    """Ages that grow by themselves, also while nothing can be done."""

    anchored_at = sealed_at = _started_at


ANCHOR_AGE_SECONDS.set_function(lambda: time.time() - Times.anchored_at)
LAG_SECONDS.set_function(lambda: time.time() - Times.sealed_at)
