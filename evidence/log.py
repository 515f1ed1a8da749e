"""Reading the log's entries in the order in which they are sealed: by database transaction, in it by kind.

Nothing may be read at or past the oldest running transaction (the horizon): an entry with a smaller xid could still be
committed there.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any

from psycopg import Connection
from psycopg.types.numeric import Int8BinaryLoader

from ledger.entry import ACT, COMMAND, EVENT, REFUSAL, Entry, canonical
from ledger.store import acts, commands, refusals
from runtime.arrays import POSTGRES_EPOCH_US

HORIZON = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1"

FETCHED_ROWS = 2000

# The order of each is that of its kind in a transaction; of commands, the order of their keys. `e.xid`, because `xid`
# alone would be the column of the answer, which no index is on.
EVENTS = """
select e.xid::text::bigint, e.body, e.schema_fingerprint, e.traceparent
from wagerledger.event_log e where e.xid > %(after)s::text::xid8 and e.xid <= %(upto)s::text::xid8
order by e.xid, e.position
"""
COMMANDS = f"""
select xid, {commands.COLUMNS.read}
from wagerledger.commands where xid > %(after)s::bigint and xid <= %(upto)s::bigint
order by xid, scope collate "C", operation collate "C", idempotency_key collate "C"
"""  # noqa: S608  # our own constants
REFUSALS = f"""
select xid, {refusals.COLUMNS.read}
from wagerledger.refusals where xid > %(after)s::bigint and xid <= %(upto)s::bigint
order by xid, refusal_id
"""  # noqa: S608  # our own constants
ACTS = f"""
select xid, {acts.COLUMNS.read}
from wagerledger.acts where xid > %(after)s::bigint and xid <= %(upto)s::bigint
order by xid, position
"""  # noqa: S608  # our own constants

# What the columns after xid are called in an entry. Values of `..._at` are times.
COMMAND_FIELDS = tuple("command" if name == "kind" else name for name in commands.COLUMNS)
REFUSAL_FIELDS = tuple("command" if name == "kind" else name for name in refusals.COLUMNS)
ACT_FIELDS = acts.COLUMNS.names

Row = Sequence[Any]


def horizon(connection: Connection[Any]) -> int:
    """The horizon: the last database transaction id (xid) up to which no entry can be added any more."""
    row = connection.execute(HORIZON, binary=True).fetchone()
    assert row
    return int(row[0])


def entries(connection: Connection[Any], after: int, upto: int) -> Generator[Entry]:
    """The entries of the database transactions with xids after `after`, up to and with `upto`, as one snapshot has
    them.

    The connection must be in a transaction (REPEATABLE READ) until the last entry was taken.
    """
    bounds = {"after": after, "upto": upto}
    streams = [
        map(_event, _rows(connection, "events", EVENTS, bounds)),
        (_other(COMMAND, COMMAND_FIELDS, row) for row in _rows(connection, "commands", COMMANDS, bounds)),
        (_other(REFUSAL, REFUSAL_FIELDS, row) for row in _rows(connection, "refusals", REFUSALS, bounds)),
        (_other(ACT, ACT_FIELDS, row) for row in _rows(connection, "acts", ACTS, bounds)),
    ]
    # By xid alone: where two streams have the same one, the earlier stream, as it stands here, comes first.
    return merge(*streams, key=itemgetter(0))


def _rows(connection: Connection[Any], name: str, query: str, bounds: Mapping[str, int]) -> Iterator[Row]:
    with connection.cursor(f"entries_{name}", binary=True) as cursor:
        cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
        cursor.itersize = FETCHED_ROWS
        cursor.execute(query, {key: str(value) for key, value in bounds.items()})
        yield from cursor


def _event(row: Row) -> Entry:
    xid, body, fingerprint, traceparent = row
    return Entry(xid, EVENT, body, fingerprint, traceparent)


def _other(kind: str, fields: Sequence[str], row: Row) -> Entry:
    content = {name: _plain(name, value) for name, value in zip(fields, row[1:], strict=True)}
    return Entry(row[0], kind, canonical(content))


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value + POSTGRES_EPOCH_US if name.endswith("_at") else value
