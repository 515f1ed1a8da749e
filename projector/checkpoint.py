"""How far the read models have come, kept beside them: offsets move in the same database transaction as the rows."""

from collections.abc import Collection, Mapping

from projector.projection import Rows, incoming, write

CREATE = f"""
insert into projections.checkpoints (topic, partition, next_offset)
select e.topic, e.partition, 0 from {incoming("topic text, partition integer")}
on conflict do nothing
"""  # noqa: S608  # our own constants

LOAD = "select partition, next_offset from projections.checkpoints where topic = %s and partition = any(%s)"

ADVANCE = f"""
update projections.checkpoints c set next_offset = e.next_offset
from {incoming("topic text, partition integer, expected_offset bigint, next_offset bigint")}
where c.topic = e.topic and c.partition = e.partition and c.next_offset = e.expected_offset
"""  # noqa: S608  # our own constants


class CheckpointMovedError(RuntimeError):
    """Somebody else projects our partitions, or the models were dropped. Retryable, from the stored checkpoint."""


class Checkpoint:
    """The next offset of each partition that we hold."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.next_offsets: dict[int, int] = {}

    def load(self, cursor: Rows, partitions: Collection[int]) -> None:
        """Take over `partitions` at their stored offsets; one that nobody has had starts at 0."""
        write(cursor, CREATE, [(self.topic, partition) for partition in partitions])
        self.next_offsets.update(cursor.execute(LOAD, [self.topic, list(partitions)]).fetchall())

    def release(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self.next_offsets.pop(partition, None)

    def advance(self, cursor: Rows, next_offsets: Mapping[int, int]) -> None:
        """Move the stored offsets, inside the caller's transaction. Call `moved` once that is committed.

        This comes first in a transaction: its row locks let one projector at a time work on a partition.
        Raises CheckpointMovedError when a stored offset is not the one that we started from.
        """
        rows = [
            (self.topic, partition, self.next_offsets[partition], offset)
            for partition, offset in sorted(next_offsets.items())
        ]
        if write(cursor, ADVANCE, rows) != len(rows):
            raise CheckpointMovedError(
                f"the checkpoint of {self.topic} is no longer at {dict(sorted(self.next_offsets.items()))}"
            )

    def moved(self, next_offsets: Mapping[int, int]) -> None:
        self.next_offsets.update(next_offsets)
