"""What the relay shows on /metrics.

Lag is measured by a thread with a connection of its own, so that it goes on growing while Kafka is down.
"""

import threading
import time

import psycopg
from prometheus_client import Counter, Gauge, Histogram

from ledger.relay_position import Cursor
from outbox_relay import log

EVENTS = Counter("wagerledger_relay_events", "Events published, each to both of its topics.", ["event_type"])
REFUSALS = Counter("wagerledger_relay_refusals", "Refused commands published.")
BATCH_SIZE = Histogram(
    "wagerledger_relay_batch_events",
    "Events of a Kafka transaction.",
    buckets=[1, 2, 5, 10, 50, 100, 500, 1000, 2000, 5000],
)
COMMIT_SECONDS = Histogram(
    "wagerledger_relay_commit_seconds",
    "Time to flush and commit a Kafka transaction.",
    buckets=[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
)
FENCED = Counter("wagerledger_relay_fenced", "Times that another relay took the shard over.")
RESTARTS = Counter("wagerledger_relay_restarts", "Times that the relay began anew after an error.", ["error"])
PUBLISHING = Gauge("wagerledger_relay_publishing", "1 while the relay holds its shard and reads the log, else 0.")
LAG_ROWS = Gauge("wagerledger_relay_lag_rows", "Committed events that are not published yet; counted up to a bound.")
LAG_SECONDS = Gauge("wagerledger_relay_lag_seconds", "Age of the oldest committed event that is not published yet.")
HORIZON_AGE_SECONDS = Gauge(
    "wagerledger_relay_horizon_age_seconds", "How long the same oldest running transaction has held the horizon."
)

LAG = f"""
select count(*), coalesce(extract(epoch from clock_timestamp() - min(pending.recorded_at)), 0)::float8,
    pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot())
from (
    select e.recorded_at from wagerledger.event_log e
    where (e.xid, e.position) > (%(xid)s::xid8, %(position)s::bigint) and {log.MINE}
    order by e.xid, e.position limit 100000
) pending
"""  # noqa: S608, made of constants
MEASURE_EVERY_S = 1.0


class LagWatch(threading.Thread):
    """Measures how far the published position is behind the event log."""

    def __init__(self, database_url: str, shard: int, shards: int) -> None:
        super().__init__(name="lag-watch", daemon=True)
        self.cursor: Cursor | None = None
        """Set by the relay; nothing is known before it has read its position."""
        self._database_url = database_url
        self._shard = {"shard": str(shard), "shards": str(shards)}
        self._stopped = threading.Event()
        self._measured_at = time.monotonic()
        self._lag_seconds = 0.0
        self._horizon = (0, time.monotonic())

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                with log.connect(self._database_url) as connection:
                    while not self._stopped.wait(MEASURE_EVERY_S):
                        self._measure(connection)
            except psycopg.Error:  # whatever it is, the gauge must not freeze for good
                # What cannot be measured is not small: the lag grows with the time since it last was.
                LAG_SECONDS.set(self._lag_seconds + time.monotonic() - self._measured_at)
                self._stopped.wait(MEASURE_EVERY_S)

    def _measure(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        cursor = self.cursor
        if cursor is None:
            return
        parameters = {"xid": str(cursor.xid), "position": str(cursor.position), **self._shard}
        row = connection.execute(LAG, parameters, binary=True, prepare=True).fetchone()
        rows, seconds, xmin, xmax = map(float, row)  # type: ignore[arg-type]  # one row of numbers
        now = time.monotonic()
        self._measured_at, self._lag_seconds = now, max(0.0, seconds)
        LAG_ROWS.set(rows)
        LAG_SECONDS.set(self._lag_seconds)
        if xmin == xmax or xmin != self._horizon[0]:  # nothing runs, or the oldest is another one than before
            self._horizon = (int(xmin), now)
        HORIZON_AGE_SECONDS.set(now - self._horizon[1])

    def stop(self) -> None:
        """Stop, and wait for the end."""
        self._stopped.set()
        self.join()
