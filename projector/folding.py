"""Folding a batch of records: one transaction for the checkpoint, the gate and every read model."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message
from psycopg import Connection

from projector import database, metrics
from projector.checkpoint import Advance, Checkpoint, Source
from projector.gate import Gate, Verdict
from projector.metrics import stage
from projector.projection import Projection, Rows, incoming, write
from projector.records import Item, Records, Refused, moment_of, place
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
    items: Iterable[Item], cursor: Rows, projections: Iterable[Projection], decode: Callable[[bytes], dict[str, Any]]
) -> Verdict:
    """Let every event pass the gate once, in its place, and fold what passed; the same for refusals, in any order."""
    events, refusals = [], []
    for item in items:
        if isinstance(item, Refused):
            refusals.append(item.record)
        else:
            events.append(item)
    with stage("gate"):
        verdict = Gate(cursor, decode).judge(events)
        new = unseen(cursor, [record for record in refusals if record])
    verdict.duplicates += sum(map(bool, refusals)) - len(new)
    verdict.refusals = len(new)
    for projection in projections:
        with stage(projection.name):
            projection.apply(verdict.admitted, cursor)
            if new and projection.refusals:
                projection.refusals(new, cursor)
    return verdict


def unseen(cursor: Rows, refusals: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each refusal once that was never folded before."""
    by_command = {record["command_id"]: record for record in refusals}
    if not write(cursor, NEW_REFUSALS, [[command_id] for command_id in sorted(by_command)]):
        return []
    return [by_command[command_id] for (command_id,) in cursor]


class PlacedItem(NamedTuple):
    """A record with its place; the records of a batch are in the order of their partitions."""

    source: Source
    offset: int
    item: Item
    message: Message


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

    def fold(self, messages: Sequence[Message], ends: Mapping[Source, int] | None = None) -> list[Verdict]:
        """Fold records; `ends` says where the partitions end, if that is known.

        One that can be read but not folded is found by halves and becomes a dead letter like one that cannot. Raises
        CheckpointMovedError, RegistryUnavailableError, psycopg.OperationalError (retryable, from the checkpoint).
        """
        with stage("decode"):
            read = [self._read(message) for message in messages]
        return self._halve(read, ends or {})

    def _read(self, message: Message) -> PlacedItem:
        source, offset = place(message)
        try:
            item = self.records.read(source, message.value())
        except UndecodableRecord as error:
            self._dead_letter(message, str(error))
            item = self.records.unreadable(source, message.key())
        return PlacedItem(source, offset, item, message)

    def _halve(self, read: Sequence[PlacedItem], ends: Mapping[Source, int]) -> list[Verdict]:
        try:
            return [self._apply(read, ends)]
        except UNFOLDABLE as error:
            if len(read) == 1:
                (one,) = read
                self._dead_letter(one.message, f"it cannot be folded: {error!r}")
                instead = self.records.unreadable(one.source, one.message.key())
                return [self._apply([one._replace(item=instead)], ends)]
            middle = len(read) // 2
            return self._halve(read[:middle], ends) + self._halve(read[middle:], ends)

    def _apply(self, read: Sequence[PlacedItem], ends: Mapping[Source, int]) -> Verdict:
        last = {one.source: one for one in read}
        advances = {
            source: Advance(one.offset + 1, moment_of(one.item), ends.get(source)) for source, one in last.items()
        }
        begun = time.perf_counter()
        with database.transaction(self.connection) as cursor:
            with stage("checkpoint"):
                self.checkpoint.advance(cursor, advances)
            verdict = fold([one.item for one in read], cursor, self.projections, self.records.decode)
            committing = time.perf_counter()
        metrics.STAGE_SECONDS.labels("commit").inc(time.perf_counter() - committing)
        metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - begun)
        self.checkpoint.moved(advances)
        return verdict
