"""Reading the event log, in the order in which it is published.

`(xid, position)` is stream order, because every writer takes its locks before it gets its xid. Nothing may be read at
or past the oldest running transaction (the horizon): an event with a smaller xid could still be committed there.
"""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Self

import psycopg
from psycopg.types.numeric import Int8BinaryLoader

from ledger.core.chain import hash_of
from ledger.relay_position import Cursor, Epoch
from ledger.streams import StreamKey
from outbox_relay import refusals
from outbox_relay.refusals import Refusal
from patience import Trouble, session

XID8_OID = 5069

# Without sequential scans and sorts a plan that was made on an empty log, and kept, is right for a full one too.
SESSION = {
    "timezone": "UTC", "statement_timeout": "10000", "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off",
}  # fmt: skip

EPOCH = """
select system_identifier::text,
    ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer,
    (select max(generation) from wagerledger.log_generation)
from pg_control_system()
"""

# Two keys, because the journal's locks have one: the two kinds never meet.
LOCK = "select pg_try_advisory_lock(hashtext('relay'), hashtext(%s))"

# The shard of a stream: the first four bytes of SHA-256('tenant/type/stream') as a number, modulo the number of shards.
MINE = """
(%(shards)s::integer = 1 or %(shard)s::integer = mod(
    ('x' || left(encode(sha256(convert_to(concat_ws('/', e.tenant_id, e.stream_type, e.stream_id), 'UTF8')), 'hex'), 8))
    ::bit(32)::bigint, %(shards)s::integer))
"""

# Rows of other shards come without their body, so that the cursor passes them and no row is looked at twice.
READ = f"""
select e.xid, e.position, e.recorded_at, e.tenant_id, e.stream_type, e.stream_id, e.stream_version, e.event_type,
    e.event_id::text, e.schema_fingerprint, e.trace_id, e.traceparent, case when {MINE} then e.body end,
    e.second_fingerprint, case when {MINE} then e.second_form end
from wagerledger.event_log e
where (e.xid, e.position) > (%(xid)s::xid8, %(position)s::bigint) and e.xid < pg_snapshot_xmin(pg_current_snapshot())
order by e.xid, e.position
limit %(limit)s::integer
"""  # noqa: S608, made of constants

HASH_AT = "select sha256(e.body) from wagerledger.event_log e where (e.xid, e.position) = (%s::xid8, %s::bigint)"

HEADS_WHERE_DETACHED = """
select tenant_id, stream_type, stream_id, version, head_hash from wagerledger.streams
where exists (select from wagerledger.archived)
"""

# Ids to come are larger than all of the past, or the log was moved to a server that counts from lower.
XID_AHEAD = """
select e.xid from wagerledger.event_log e where e.xid >= pg_snapshot_xmax(pg_current_snapshot())
order by e.xid desc, e.position desc limit 1
"""


XMAX = "select pg_snapshot_xmax(pg_current_snapshot())"
XMIN_REACHED = "select pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8"
HORIZON_TIMEOUT_S = 60.0


class HorizonHeldError(Trouble):
    """A writing transaction stays open, so that what was committed after it cannot be read. It was waited for."""


class Row(NamedTuple):
    """An event as the log holds it. `body` is None where the stream belongs to another shard."""

    xid: int
    position: int
    recorded_at: datetime
    tenant_id: str
    stream_type: str
    stream_id: str
    stream_version: int
    event_type: str
    event_id: str
    schema_fingerprint: bytes
    trace_id: str
    traceparent: str | None
    body: bytes | None
    second_fingerprint: bytes | None
    """The schema of the same event's other form; None where it has none."""
    second_form: bytes | None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.xid, self.position)

    @property
    def stream(self) -> StreamKey:
        return StreamKey(self.tenant_id, self.stream_type, self.stream_id)

    @property
    def hash(self) -> bytes:
        assert self.body is not None, f"event {self.event_id} belongs to another shard"
        return hash_of(self.body)


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection for short reads: autocommit, so that it never holds a transaction open; bounded waits everywhere."""
    connection = session.connect(url, SESSION, application_name="wagerledger relay")
    connection.adapters.register_loader(XID8_OID, Int8BinaryLoader)
    return connection


class EventLog:
    """One shard's view of the event log. Errors of the database are psycopg.OperationalError (retryable)."""

    def __init__(self, url: str, shard: int, shards: int) -> None:
        self._connection = connect(url)
        self._shard = shard
        self._shards = shards

    def lock(self, name: str) -> bool:
        """Try to be the only one of this name. Politeness, ends with the connection; safety is Kafka's fencing."""
        return bool(self._one(LOCK, f"wagerledger {name}"))

    def epoch(self) -> Epoch:
        """The epoch of the event log now. Raises psycopg.OperationalError, also where the server is a standby."""
        row = self._connection.execute(EPOCH, binary=True).fetchone()
        assert row is not None
        system_identifier, timeline, generation = row
        return Epoch(str(system_identifier), int(str(timeline)), int(str(generation)))

    def hash_at(self, cursor: Cursor) -> bytes | None:
        """SHA-256 of the event at the cursor, None where there is none."""
        found = self._one(HASH_AT, str(cursor.xid), str(cursor.position))
        assert found is None or isinstance(found, bytes)
        return found

    def heads_where_detached(self) -> Iterator[tuple[StreamKey, int, bytes]]:
        """Last version and its hash of every stream, where months of the log are only in an archive; else nothing."""
        for *stream, version, hash_ in self._connection.execute(HEADS_WHERE_DETACHED, binary=True):
            yield StreamKey(*map(str, stream)), int(str(version)), bytes(hash_)  # type: ignore[call-overload]  # bytea

    def xid_ahead(self) -> int | None:
        """The largest transaction id in the log that this server has not reached itself."""
        found = self._one(XID_AHEAD)
        assert found is None or isinstance(found, int)
        return found

    def read(self, after: Cursor, limit: int) -> list[Row]:
        """At most `limit` events that follow the cursor and are behind the horizon."""
        parameters = {
            "xid": str(after.xid),
            "position": str(after.position),
            "shard": str(self._shard),
            "shards": str(self._shards),
            "limit": str(limit),
        }
        return list(map(Row._make, self._connection.execute(READ, parameters, binary=True, prepare=True).fetchall()))

    def read_all(self, after: Cursor, limit: int) -> Iterator[Row]:
        """Every event that follows the cursor and is behind the horizon, `limit` of them at a time."""
        while rows := self.read(after, limit):
            yield from rows
            after = rows[-1].cursor

    def read_refusals(self, after: Cursor, limit: int) -> list[Refusal]:
        """At most `limit` refusals, of all shards, that follow the cursor and are behind the horizon."""
        parameters = {"xid": str(after.xid), "position": str(after.position), "limit": str(limit)}
        rows = self._connection.execute(refusals.READ, parameters, binary=True, prepare=True).fetchall()
        return list(map(Refusal._make, rows))

    def read_all_refusals(self, after: Cursor, limit: int) -> Iterator[Refusal]:
        """Every refusal that follows the cursor and is behind the horizon, `limit` of them at a time."""
        while rows := self.read_refusals(after, limit):
            yield from rows
            after = rows[-1].cursor

    def wait_for_horizon(self) -> None:
        """Wait until every transaction that runs now has ended, so that all that is committed can be read.

        Raises HorizonHeldError after a minute.
        """
        deadline = time.monotonic() + HORIZON_TIMEOUT_S
        target = self._one(XMAX)
        while self._one(XMIN_REACHED, str(target)) is not True:
            if time.monotonic() > deadline:
                raise HorizonHeldError(
                    "a writing transaction is open for too long; find it in pg_stat_activity and end it"
                )
            time.sleep(0.05)

    def close(self) -> None:
        self._connection.close()

    def _one(self, query: str, *parameters: object) -> object:
        row = self._connection.execute(query, parameters, binary=True).fetchone()
        return None if row is None else row[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
