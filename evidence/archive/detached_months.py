"""Months of the event log that are only in an archive: letting them go, and reading the log as if they were there.

A month goes when each of its events was found in the archive, byte for byte and in order.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from heapq import merge
from typing import Any, Self

from psycopg import Connection, IsolationLevel, sql

from evidence import anchors
from evidence.archive import segment
from evidence.archive.reader import Archive
from evidence.archive.segment import ArchiveError, Segment
from ledger.admin.actions import Actor, AdminAction, record
from ledger.core.chain import hash_of
from ledger.entry import EVENT, Entry
from ledger.store.event_log import BY_STREAM
from ledger.streams import StreamKey
from patience.session import connect_as_is
from runtime.arrays import POSTGRES_EPOCH_US
from runtime.clock import to_us

SPANS = """
select month, first_leaf, last_leaf + 1 from wagerledger.archived a
where not exists (
    select from pg_inherits
    where inhparent = 'wagerledger.event_log'::regclass
        and inhrelid = to_regclass('wagerledger.event_log_' || to_char(a.month, 'YYYY_MM'))
)
"""
MONTHS = f"select distinct month from ({SPANS}) gone order by month"  # noqa: S608  # our own constant
IS_ATTACHED = "select exists (select from pg_inherits where inhrelid = to_regclass(%s))"
ROWS = "select xid::text::bigint, position, schema_fingerprint, body from {} order by xid, position"
ARCHIVED = """
insert into wagerledger.archived (month, last_xid, first_leaf, last_leaf, manifest_sha256, actor)
values (%s, %s, %s, %s, %s, %s)
"""
DETACH = "select wagerledger.detach_event_log_partition(%s)"

# A long read of the log keeps the detaching waiting, and that would keep every bet waiting.
DO_NOT_QUEUE = "set local lock_timeout = '2s'"
BECOME_OWNER = "set local role wagerledger_owner"


@dataclass(frozen=True)
class ProvenMonth:
    """A month of the event log whose every event was found in an archive: what `detach` demands."""

    events: int
    first_leaf: int
    last_leaf: int
    last_place: tuple[int, int]
    """xid and position of its last event in the database."""


def prove(url: str, archive: Archive, month: date, published: tuple[int, int]) -> ProvenMonth:
    """Prove that the archive has each event of a month, byte for byte, and that no relay needs the month any more.

    `published` is the place (xid, position) up to which every relay has come. Raises ArchiveError where an event is not
    in the archive, or a relay would lose its place; psycopg.Error; OSError.
    """
    with connect_as_is(url) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        _check_same_log(connection, archive)
        proven = _prove(connection, archive, month)
    if published <= proven.last_place:
        raise ArchiveError(
            f"a relay's last published event is of {month:%Y-%m} or earlier: it finds its place by that event; detach "
            "the month when every shard has published a later one"
        )
    return proven


def detach(connection: Connection[Any], archive: Archive, month: date, by: Actor, proven: ProvenMonth) -> None:
    """Take a month that is over and `proven` out of the log, in the caller's transaction (of a role that may become
    wagerledger_owner). Its table stays, with all its rows, outside of the log; an act says who did it.

    Raises AdminActionError; psycopg.Error.
    """
    by = by.checked()
    connection.execute(BECOME_OWNER)
    connection.execute(DO_NOT_QUEUE)
    sha256 = bytes.fromhex(archive.last_sha256 or "")
    row = [month, proven.last_place[0], proven.first_leaf, proven.last_leaf, sha256, by.actor]
    connection.execute(ARCHIVED, row)
    content = {"events": proven.events, "manifest_sha256": archive.last_sha256}
    record(connection, AdminAction(by, "log.month_detached", f"{month:%Y-%m}", content))
    connection.execute(DETACH, [month])


def _check_same_log(connection: Connection[Any], archive: Archive) -> None:
    anchor = anchors.last_up_to(connection, archive.tree_size)
    if anchor is None or (anchor.tree_size, anchor.head.root) != (archive.tree_size, archive.root):
        raise ArchiveError(f"{archive.folder} is the archive of another log, or this log was changed")


def _prove(connection: Connection[Any], archive: Archive, month: date) -> ProvenMonth:
    """Each row of the month is the next such event of the archive: its order is the log's."""
    name = f"event_log_{month:%Y_%m}"
    if connection.execute(IS_ATTACHED, [f"wagerledger.{name}"]).fetchone() != (True,):
        raise ArchiveError(f"{month:%Y-%m} is no month of the event log, or is detached already")
    archived = _numbered_events(archive, _segments_of(archive, [month]))
    events = first_leaf = last_leaf = 0
    place = (0, 0)
    with connection.cursor("rows_of_month", binary=True) as cursor:
        cursor.itersize = 2000
        cursor.execute(sql.SQL(ROWS).format(sql.Identifier("wagerledger", name)))
        for xid, position, fingerprint, body in cursor:
            wanted = (fingerprint, body)
            last_leaf = next((leaf for leaf, entry in archived if (entry.fingerprint, entry.body) == wanted), -1)
            if last_leaf < 0:
                raise ArchiveError(
                    f"the event at xid {xid}, position {position} (hash {hash_of(body).hex()}) is not in its place in "
                    f"{archive.folder}: nothing is detached; run `wagerledger audit export`, then `audit verify`"
                )
            first_leaf = first_leaf if events else last_leaf
            events, place = events + 1, (xid, position)
    if not events:
        raise ArchiveError(f"{month:%Y-%m} has no events: there is nothing to detach")
    return ProvenMonth(events, first_leaf, last_leaf, place)


def _numbered_events(archive: Archive, segments: Iterable[Segment]) -> Iterator[tuple[int, Entry]]:
    for one in segments:
        for leaf, entry in enumerate(archive.read(one), start=one.first_leaf):
            if entry.kind == EVENT:
                yield leaf, entry


def _segments_of(archive: Archive, months: Collection[date]) -> Iterator[Segment]:
    """The segments that may have events of the months."""
    spans = [_span_us(month) for month in months]
    for one in archive.segments:
        first, last = one.first_recorded_at, one.last_recorded_at
        if first is not None and last is not None and any(first < end and last >= begin for begin, end in spans):
            yield one


def _span_us(month: date) -> tuple[int, int]:
    """When a month begins and ends, UTC, in microseconds since the epoch."""
    begin = datetime(month.year, month.month, 1, tzinfo=UTC)
    following = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    return to_us(begin), to_us(following)


def _is_of(record: dict[str, Any], spans: Iterable[tuple[int, int]]) -> bool:
    return any(begin <= record["occurred_at"] < end for begin, end in spans)


# Reading the log as if it were whole ---------------------------------------------------------------------------------

ORDER = "tenant_id", "stream_type", "stream_id", "stream_version", "recorded_at"
_place = BY_STREAM.picker(*ORDER)

MAKE = f"create table events ({BY_STREAM}, primary key ({', '.join(ORDER)})) without rowid"
ADD = f"insert into events values ({', '.join('?' for _ in BY_STREAM)})"  # noqa: S608  # our own constants
IN_ORDER = f"select * from events order by {', '.join(ORDER)}"  # noqa: S608  # our own constants
AT = "select body from events where (tenant_id, stream_type, stream_id, stream_version) = (?, ?, ?, ?)"


class DetachedEvents:
    """The events of detached months, sorted by stream in a temporary file."""

    def __init__(self, archive: Archive, months: Collection[date]) -> None:
        """Read the events of `months` from the archive and sort them. Raises ArchiveError; OSError."""
        self._database = sqlite3.connect("")  # a file of its own, which is gone when it is closed
        self._database.execute(MAKE)
        self._database.executemany(ADD, _rows(archive, months))

    def merged(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The `rows` of the event log (as `audit.tables.EVENTS` has them), with the detached events in their places
        among them.
        """
        return merge(rows, self._database.execute(IN_ORDER), key=_place)

    def hash_at(self, stream: StreamKey, version: int) -> bytes | None:
        row = self._database.execute(AT, [*stream, version]).fetchone()
        return hash_of(row[0]) if row else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()


def _rows(archive: Archive, months: Collection[date]) -> Iterator[tuple[Any, ...]]:
    spans = [_span_us(month) for month in months]
    for _, entry in _numbered_events(archive, _segments_of(archive, months)):
        record = segment.decoded(entry)
        if _is_of(record, spans):
            event = record | {
                "recorded_at": record["occurred_at"] - POSTGRES_EPOCH_US,
                "schema_fingerprint": entry.fingerprint,
                "body": entry.body,
            }
            yield tuple(event[name] for name in BY_STREAM)
