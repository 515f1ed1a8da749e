"""Restoring: an archive into an empty, migrated database.

Each database transaction of the log becomes one again, in the old order, so that the Merkle tree is the same and what
was anchored stays proven. The state is folded from the events by the same `evolve`. Memory does not grow with the
archive: it holds the entries of one portion, and the state that these touch.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

import psycopg
from psycopg import Connection

from evidence import anchors
from evidence.anchors import Anchor, Chunk
from evidence.archive import segment
from evidence.archive.reader import Archive
from evidence.archive.segment import ArchiveError
from evidence.heads import SignedHead
from evidence.log import COMMAND_FIELDS, REFUSAL_FIELDS
from evidence.merkle import Range, leaf_hash
from ledger.admin import actions
from ledger.admin.generation import raise_generation
from ledger.core.events import Event
from ledger.core.evolve import event_of, evolve
from ledger.core.state import State
from ledger.entry import ACT, COMMAND, EVENT, REFUSAL, Entry
from ledger.store import commands, entities, event_log, players, refusals, streams, wallets
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement
from ledger.streams import PLAYER, Recorded, StreamHead, StreamKey
from patience import session
from runtime import arrays
from runtime.clock import to_datetime
from runtime.progress import StageProgress
from runtime.residency import ANYWHERE, ForeignRegionError, Residency

PORTION = 5000
"""Events whose state is folded and written at once."""
ROWS = 1000
"""Most rows of one statement."""

# Nobody waits for an answer: all of it is durable when the last transaction is.
SESSION = {"synchronous_commit": "off", "statement_timeout": "0", "timezone": "UTC"}
DURABLE = "set synchronous_commit = on"

BECOME_OWNER = "set role wagerledger_owner"
FILLED = """
select exists (select from wagerledger.event_log) or exists (select from wagerledger.commands)
    or exists (select from wagerledger.refusals) or exists (select from wagerledger.acts)
    or exists (select from wagerledger.anchors) or exists (select from wagerledger.streams)
"""
ADD_PARTITIONS = """
select wagerledger.add_event_log_partition(month::date)
from generate_series(date_trunc('month', %s::timestamptz at time zone 'UTC'),
    date_trunc('month', %s::timestamptz at time zone 'UTC'), interval '1 month') month
"""
XID = "select pg_current_xact_id()::text::bigint"


def restore(
    url: str,
    archive: Archive,
    by: actions.Actor,
    progress: StageProgress = lambda done, total: None,
    residency: Residency = ANYWHERE,
) -> None:
    """Fill the database of `url` (a role that may become wagerledger_owner), and raise the log's generation: an act of
    its own, `by` whoever restores.

    Raises ArchiveError where the archive is damaged, holds what may not be held here, or the database is not empty;
    BrokenOffError where the database went away after the first entry; AdminActionError and
    psycopg.Error, with nothing done; OSError.
    """
    by = by.checked()
    if not archive.manifests:
        raise ArchiveError(f"{archive.folder} holds nothing to restore")
    for one in archive.segments:
        segment.check_file(archive.path(one), one)
    with session.connect(url, SESSION, application_name="wagerledger restore", writes=True) as connection:
        arrays.register(connection)
        connection.execute(BECOME_OWNER)
        if connection.execute(FILLED).fetchone() != (False,):
            raise ArchiveError("the database is not empty; restore into a new one, made by `wagerledger migrate`")
        _add_partitions(connection, archive)
        with _unbroken(archive):
            _Restore(connection, archive, progress, residency).run()
            connection.execute(DURABLE)
            with connection.transaction():
                raise_generation(connection, by)
            connection.execute("analyze")


class BrokenOffError(Exception):
    """A restore has filled a part of the database. It is not durable on the way, so it cannot be gone on with."""


@contextmanager
def _unbroken(archive: Archive) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise BrokenOffError(
            f"the restore of {archive.folder} broke off ({str(error).strip() or type(error).__name__}): drop the "
            "database, make it anew with `wagerledger migrate`, and begin again"
        ) from error


def _add_partitions(connection: Connection[Any], archive: Archive) -> None:
    firsts = [one.first_recorded_at for one in archive.segments if one.first_recorded_at is not None]
    lasts = [one.last_recorded_at for one in archive.segments if one.last_recorded_at is not None]
    if firsts:
        connection.execute(ADD_PARTITIONS, [to_datetime(min(firsts)), to_datetime(max(lasts))])


class _Restore:
    """One run of a restore."""

    def __init__(
        self, connection: Connection[Any], archive: Archive, progress: StageProgress, residency: Residency
    ) -> None:
        self._connection = connection
        self._archive = archive
        self._progress = progress
        self._residency = residency
        self._tree = Range()
        self._unsealed: list[bytes] = []
        self._heads = map(SignedHead.parse, archive.anchors())
        self._next_head = next(self._heads, None)
        self._roots = {one.end: one.root for one in archive.segments}

    def run(self) -> None:
        portion: list[Event] = []
        heads: dict[StreamKey, StreamHead] = {}
        groups = self._groups()
        group = next(groups, None)
        while group is not None:
            with self._connection.pipeline():  # or each transaction would wait for the one before it
                while group is not None and len(portion) < PORTION:
                    self._redo(group, portion, heads)
                    group = next(groups, None)
            self._fold(portion, heads)
            self._progress(self._tree.end, self._archive.tree_size)
        if self._tree.root.hex() != self._archive.root:
            raise ArchiveError(f"the archive's {self._tree.end} entries do not have the root that its manifest says")

    def _groups(self) -> Iterator[Iterable[Entry]]:
        """The entries by database transaction."""
        # An export ends where a transaction does; after it the ids may be those of another server.
        for one in self._archive.manifests:
            entries = chain.from_iterable(map(self._archive.read, one.segments))
            for _, group in groupby(entries, attrgetter("xid")):
                yield group

    def _redo(self, group: Iterable[Entry], portion: list[Event], heads: dict[StreamKey, StreamHead]) -> None:
        """One database transaction, as it was."""
        self._connection.execute("begin")
        for kind, entries in groupby(group, attrgetter("kind")):
            for some in _portions(entries, ROWS):
                self._add_leaves(some)
                if kind == EVENT:
                    self._insert_events(some, portion, heads)
                else:
                    self._insert(kind, [self._held(json.loads(entry.body)) for entry in some])
        self._seal()
        self._connection.execute("commit")

    def _insert_events(
        self, entries: Sequence[Entry], portion: list[Event], heads: dict[StreamKey, StreamHead]
    ) -> None:
        rows = []
        for entry in entries:
            record = self._held(segment.decoded(entry))
            stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
            row = Recorded(
                stream=stream,
                version=record["stream_version"],
                recorded_at=record["occurred_at"],
                event_type=record["event_type"],
                event_id=record["event_id"],
                schema_fingerprint=entry.fingerprint,
                trace_id=record["trace_id"],
                traceparent=entry.traceparent,
                body=entry.body,
            )
            rows.append(row)
            portion.append(event_of(record))
            heads[stream] = row.head()
        self._run(event_log.append(rows))

    def _held(self, record: dict[str, Any]) -> dict[str, Any]:
        """Commands have no region of their own: their event has. An act may be about the whole installation."""
        if region := record.get("region"):
            try:
                self._residency.check(region)
            except ForeignRegionError as error:
                raise ArchiveError(f"the archive cannot be restored here: {error}") from error
        return record

    def _insert(self, kind: str, rows: Sequence[dict[str, Any]]) -> None:
        if kind == COMMAND:
            self._run(_statement(commands.INSERT, commands.COLUMNS, COMMAND_FIELDS, rows))
        elif kind == REFUSAL:
            self._run(_statement(refusals.INSERT, refusals.COLUMNS, REFUSAL_FIELDS, rows))
        elif kind == ACT:
            for row in rows:
                actions.redo(self._connection, row)
        else:
            raise ArchiveError(f"entries of kind {kind!r} are unknown; use the version of the code that wrote them")

    # The tree

    def _add_leaves(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            leaf = leaf_hash(entry.leaf)
            self._tree.append(leaf)
            self._unsealed.append(leaf)
            if (root := self._roots.get(self._tree.end)) and root != self._tree.root.hex():
                found = self._tree.root.hex()
                raise ArchiveError(
                    f"the first {self._tree.end} entries have the root {found}; the manifest says {root}"
                )

    def _seal(self) -> None:
        """What was sealed after this transaction is sealed again."""
        head = self._next_head if self._next_head and self._next_head.tree_size == self._tree.end else None
        if not head and len(self._unsealed) < anchors.CHUNK_LEAVES:
            return
        ((xid,),) = self._connection.execute(XID, binary=True).fetchall()
        if self._unsealed:
            first_leaf = self._tree.end - len(self._unsealed)
            chunk = Chunk(first_leaf, len(self._unsealed), b"".join(self._unsealed), xid)
            self._connection.execute(anchors.ADD_CHUNK, chunk)
            self._unsealed.clear()
        if head:
            self._connection.execute(anchors.ADD_ANCHOR, Anchor(self._tree.end, xid, self._tree.to_bytes(), head.line))
            self._next_head = next(self._heads, None)

    # The state

    def _fold(self, events: list[Event], heads: dict[StreamKey, StreamHead]) -> None:
        """Bring the stored state past `events`, and the streams to their `heads`. Empties both."""
        if not events:
            return
        with self._connection.transaction():
            loaded, loaded_heads = self._load(events, heads)
            state = State(loaded)
            for event in events:
                state.put(*evolve(state, event))
            for statement in chain(streams.save(loaded_heads, heads), entities.save(loaded, state)):
                self._run(statement)
        events.clear()
        heads.clear()

    def _load(
        self, events: Iterable[Event], heads: dict[StreamKey, StreamHead]
    ) -> tuple[State, dict[StreamKey, StreamHead]]:
        known = [(tenant_id, stream_id) for tenant_id, stream_type, stream_id in heads if stream_type == PLAYER]
        tables = entities.load({key for event in events for key in event.needs})
        if known:
            tables += (wallets, wallets.load(known)), (players, players.load(known))
        state = State()
        for table, statement in tables:
            state.put(*map(table.entity, self._rows(statement)))
        return state, dict(map(streams.head, self._rows(streams.load(heads))))

    def _rows(self, statement: Statement) -> list[Any]:
        return self._connection.execute(statement.sql, statement.params, binary=True).fetchall()

    def _run(self, statement: Statement) -> None:
        self._connection.execute(statement.sql, statement.params)


def _statement(sql: str, columns: ColumnList, fields: Sequence[str], rows: Iterable[dict[str, Any]]) -> Statement:
    """Rows as an entry of the log holds them, with bytes in hex."""
    hex_fields = {"fingerprint", "answer"}
    values = [
        [bytes.fromhex(row[name]) if name in hex_fields and row[name] is not None else row[name] for name in fields]
        for row in rows
    ]
    return Statement(sql, columns.packed(values), len(values))


def _portions(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    portion: list[Entry] = []
    for entry in entries:
        portion.append(entry)
        if len(portion) == size:
            yield portion
            portion = []
    if portion:
        yield portion
