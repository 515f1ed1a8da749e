"""Folding a batch of records: one transaction for the checkpoint, the gate and every read model."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message
from psycopg import Connection

from projector import database, metrics
from projector.checkpoint import Advance, Checkpoint, Source
from projector.gate import Gate, Verdict
from projector.metrics import stage
from projector.projection import Projection, apply, incoming
from projector.records import Item, Records, Refused, moment_of, place
from projector.tables import Tables
from schemas.registry import UndecodableRecord

UNFOLDABLE = (
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    psycopg.DataError,
    psycopg.IntegrityError,
)
"""What a fold raises at an event that cannot be: one event's fault, so it must cost its own stream only."""

NEW_REFUSALS = f"""
insert into refused_commands
select * from {incoming("command_id uuid")}
on conflict do nothing
returning command_id::text
"""  # noqa: S608  # our own constants

DeadLetterSink = Callable[[Message, str], None]
"""Keeps a record that cannot be read or folded, with the reason; or raises, where that must not be."""


def fold(
    items: Iterable[Item], tables: Tables, projections: Iterable[Projection], decode: Callable[[bytes], dict[str, Any]]
) -> Verdict:
    """Let every event pass the gate once, in its place, and fold what passed; the same for refusals, in any order."""
    events, refusals = [], []
    for item in items:
        if isinstance(item, Refused):
            refusals.append(item.record)
        else:
            events.append(item)
    with stage("gate"):
        verdict = Gate(tables, decode).judge(events)
        new = unseen(tables, [record for record in refusals if record])
    verdict.duplicates += sum(map(bool, refusals)) - len(new)
    verdict.refusals = len(new)
    apply(projections, verdict.admitted, tables)
    for projection in projections:
        if new and projection.refusals:
            with stage(projection.name):
                projection.refusals(new, tables)
    return verdict


def unseen(tables: Tables, refusals: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each refusal once that was never folded before."""
    by_command = {record["command_id"]: record for record in refusals}
    new = tables.read(NEW_REFUSALS, [[command_id] for command_id in sorted(by_command)])
    return [by_command[command_id] for (command_id,) in new]


class PlacedItem(NamedTuple):
    """A record with its place; the records of a batch are in the order of their partitions."""

    source: Source
    offset: int
    item: Item
    message: Message


class Underway(NamedTuple):
    """A batch that the database has, in a transaction that waits for its commit."""

    read: Sequence[PlacedItem]
    ends: Mapping[Source, int]
    advances: Mapping[Source, Advance]
    verdict: Verdict
    transaction: ExitStack
    begun: float


class Folder:
    """Folds the batches of whoever holds the checkpoint's partitions."""

    def __init__(
        self,
        connection: Connection,
        checkpoint: Checkpoint,
        projections: Collection[Projection],
        records: Records,
        dead_letter: DeadLetterSink,
    ) -> None:
        self.connection = connection
        self.checkpoint = checkpoint
        self.projections = projections
        self.records = records
        self._dead_letter = dead_letter
        self.underway: Underway | None = None
        """What `begin` has begun, until `finish`. The connection is good for nothing else meanwhile."""

    def fold(self, messages: Sequence[Message], ends: Mapping[Source, int] | None = None) -> list[Verdict]:
        """Fold records, and wait until that is committed; `ends` says where the partitions end, if that is known.

        One that can be read but not folded is found by halves and becomes a dead letter like one that cannot. Raises
        CheckpointMovedError, RegistryUnavailableError, psycopg.OperationalError (retryable, from the checkpoint).
        """
        return self.begin(self.read(messages), ends or {}) + self.finish()

    def read(self, messages: Iterable[Message]) -> list[PlacedItem]:
        """Take records apart. One that cannot be read becomes a dead letter. Raises RegistryUnavailableError."""
        with stage("decode"):
            return [self._read(message) for message in messages]

    def begin(self, read: Sequence[PlacedItem], ends: Mapping[Source, int]) -> list[Verdict]:
        """Fold records, and leave the database at work on them: the commit, and what it brought, come with `finish`.

        Where one of them cannot be folded, all is done when this returns, and it tells what came of it. Raises as
        `fold` does.
        """
        try:
            self.underway = self._send(read, ends)
        except UNFOLDABLE as error:
            return self._halve(read, ends, error)
        return []

    def finish(self) -> list[Verdict]:
        """Commit what is under way, if anything is. Raises as `fold` does."""
        if self.underway is None:
            return []
        underway, self.underway = self.underway, None
        try:
            return [self._commit(underway)]
        except UNFOLDABLE as error:
            return self._halve(underway.read, underway.ends, error)

    def drop(self) -> None:
        """Roll back what is under way, if anything is."""
        underway, self.underway = self.underway, None
        if underway:
            with suppress(Exception), underway.transaction:  # whatever the server says: nothing of it is wanted
                raise psycopg.Rollback

    def _read(self, message: Message) -> PlacedItem:
        source, offset = place(message)
        try:
            item = self.records.read(source, message.value())
        except UndecodableRecord as error:
            self._dead_letter(message, str(error))
            item = self.records.unreadable(source, message.key())
        return PlacedItem(source, offset, item, message)

    def _halve(self, read: Sequence[PlacedItem], ends: Mapping[Source, int], error: Exception) -> list[Verdict]:
        if len(read) == 1:
            (one,) = read
            self._dead_letter(one.message, f"it cannot be folded: {error!r}")
            instead = self.records.unreadable(one.source, one.message.key())
            return [self._commit(self._send([one._replace(item=instead)], ends))]
        middle = len(read) // 2
        return [
            verdict for half in (read[:middle], read[middle:]) for verdict in self.begin(half, ends) + self.finish()
        ]

    def _send(self, read: Sequence[PlacedItem], ends: Mapping[Source, int]) -> Underway:
        last = {one.source: one for one in read}
        advances = {
            source: Advance(one.offset + 1, moment_of(one.item), ends.get(source)) for source, one in last.items()
        }
        begun = time.perf_counter()
        with ExitStack() as transaction:
            tables = transaction.enter_context(database.transaction(self.connection))
            with stage("checkpoint"):
                self.checkpoint.advance(tables, advances)
            verdict = fold([one.item for one in read], tables, self.projections, self.records.decode)
            tables.flush()
            return Underway(read, ends, advances, verdict, transaction.pop_all(), begun)

    def _commit(self, underway: Underway) -> Verdict:
        with stage("commit"):
            underway.transaction.close()
        metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - underway.begun)
        self.checkpoint.moved(underway.advances)
        return underway.verdict
