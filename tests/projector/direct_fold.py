"""A history folded straight into read models, without topics: in batches and an order across streams that chance makes."""

import contextlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from pydantic import SecretStr

from projector import database, models
from projector.projection import Admitted, apply
from projector.projections import PROJECTIONS
from tests.support import reference
from tests.support.lasting_connection import LastingConnection

PACE_US = 150 * 10**6
"""A command every two and a half minutes: 1500 of them are two and a half days."""
PARTITIONS = 3

Record = dict[str, Any]


@dataclass
class Folded:
    """Read models, and the events that they were folded from, in the order in which they happened."""

    url: str
    records: list[Record]
    lasting: LastingConnection

    @property
    def connection(self) -> Connection:
        return self.lasting()

    def rows(self, view: str) -> list[dict[str, Any]]:
        """The rows of `bi.<view>`, in minor units; the decimals were checked."""
        return reference.selected(self.connection, view)

    def by(self, view: str, *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The same, by the values of their keys, which are left out of them."""
        rows = self.rows(view)
        found = {tuple(row.pop(key) for key in keys): row for row in rows}
        assert len(found) == len(rows), f"{keys} do not tell the rows of {view} apart"
        return found

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, parameters or None).fetchall()


@contextlib.contextmanager
def fold(url: str, records: Sequence[Record], rng: random.Random) -> Iterator[Folded]:
    """Fold events into the empty database of `url`."""
    folded = Folded(url, list(records), LastingConnection(lambda: database.connect(SecretStr(url))))
    try:
        assert models.ensure(folded.connection) == PROJECTIONS
        fold_more(folded.connection, records, rng)
        yield folded
    finally:
        folded.connection.close()


def fold_more(connection: Connection, records: Iterable[Record], rng: random.Random) -> None:
    events = list(shuffled(records, rng))
    while events:
        size = rng.choice((1, 7, 60, 250))
        batch, events = events[:size], events[size:]
        with database.transaction(connection) as tables:
            apply(PROJECTIONS, batch, tables)


def shuffled(records: Iterable[Record], rng: random.Random) -> Iterator[Admitted]:
    """Each stream in its order, the streams in none."""
    streams: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        streams[record["tenant_id"], record["stream_type"], record["stream_id"]].append(record)
    partitions = {stream: rng.randrange(PARTITIONS) for stream in streams}
    turns = [stream for stream, events in streams.items() for _ in events]
    rng.shuffle(turns)
    waiting = {stream: iter(events) for stream, events in streams.items()}
    for stream in turns:
        yield Admitted(next(waiting[stream]), partitions[stream])


def of_real_money(record: Record) -> bool:
    return record["payload"].get("mode") != "demo"


def day(record_or_time: Record | int) -> Any:
    """The UTC day of an event or a time."""
    return _moment(record_or_time).date()


def hour(record_or_time: Record | int) -> datetime:
    return _moment(record_or_time).replace(minute=0, second=0, microsecond=0)


def _moment(record_or_time: Record | int) -> datetime:
    return reference.moment(record_or_time if isinstance(record_or_time, int) else record_or_time["occurred_at"])
