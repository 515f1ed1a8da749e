"""Partitions that somebody's open Kafka transaction holds up: readers of committed records stand still before it."""

import struct
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from patience.kafka import LATEST, QUIET, offsets
from projector.checkpoint import Source
from projector.producers import producer_at

HELD_AFTER_S, AGAIN_AFTER_S = 5.0, 60.0
"""Our own transactions are shorter than the first; so often it is said again."""
LOOK_AGAIN_S = 0.5

log = structlog.get_logger()


class _Hold(NamedTuple):
    offset: int
    since: float
    said_at: float | None = None


class HeldPartitions:
    """Says in the log which partitions are held up, and what ends it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._admin = AdminClient({**QUIET, "bootstrap.servers": bootstrap_servers})
        self._holds: dict[Source, _Hold] = {}

    def look(self, read_up_to: Mapping[Source, int | None], ends: Mapping[Source, int]) -> None:
        """`read_up_to` is where nothing committed is left, None where something is; `ends` is where the records end."""
        now = time.monotonic()
        for source, offset in read_up_to.items():
            if offset is None or ends.get(source, offset) <= offset:
                if (gone := self._holds.pop(source, None)) and gone.said_at:
                    log.info("topic_released", **source._asdict(), offset=gone.offset)
                continue
            hold = self._holds.get(source)
            if hold is None or hold.offset != offset:
                self._holds[source] = _Hold(offset, now)
            elif now - hold.since >= HELD_AFTER_S and (hold.said_at is None or now - hold.said_at >= AGAIN_AFTER_S):
                self._holds[source] = hold._replace(said_at=now)
                log.warning(
                    "topic_held_up", **source._asdict(), offset=offset, waiting_records=ends[source] - offset,
                    producer_id=known_producer(self._admin, *source, offset),
                    **ways_out(self._servers, *source, offset),
                )  # fmt: skip


def known_producer(admin: AdminClient, topic: str, partition: int, offset: int) -> int | None:
    """Whose transaction begins there; None where nobody says."""
    try:
        return producer_at(admin, topic, partition, offset)
    except (KafkaException, OSError, LookupError, struct.error):
        return None


def ways_out(bootstrap_servers: str, topic: str, partition: int, offset: int) -> dict[str, str]:
    """The commands, of Kafka's own, that name the producer of the transaction that begins there, and that end it."""
    tool = f"kafka-transactions.sh --bootstrap-server {bootstrap_servers}"
    place = f"--topic {topic} --partition {partition}"
    return {
        "named_by": f"{tool} describe-producers {place}",
        "ended_by": f"{tool} abort {place} --start-offset {offset}",
    }


def held_up(
    admin: AdminClient, topics: Collection[str], *, watch_s: float, timeout_s: float = 5.0
) -> dict[Source, int]:
    """Partitions whose records cannot be read from an offset on, and could not for `watch_s`. Raises KafkaException."""
    partitions = [
        Source(name, number)
        for name, topic in admin.list_topics(timeout=timeout_s).topics.items()
        if name in topics
        for number in topic.partitions
    ]
    deadline = time.monotonic() + watch_s
    held = _undecided(admin, partitions, timeout_s)
    while held and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_S)
        now = _undecided(admin, list(held), timeout_s)
        held = {source: offset for source, offset in held.items() if now.get(source) == offset}
    return held


def _undecided(admin: AdminClient, partitions: Collection[Source], timeout_s: float) -> dict[Source, int]:
    """Where the first transaction begins that has not ended, in the partitions that have one."""
    decided = offsets(admin, partitions, LATEST, timeout_s=timeout_s, committed=True)
    ends = offsets(admin, partitions, LATEST, timeout_s=timeout_s)
    return {Source(*at): decided[at] for at, end in ends.items() if decided[at] < end}
