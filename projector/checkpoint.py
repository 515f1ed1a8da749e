"""How far the read models have come, kept beside them: offsets move in the same database transaction as the rows."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from patience import TransientError
from projector.projection import incoming
from projector.tables import Tables

CREATE = f"""
insert into checkpoints (topic, partition, next_offset, generation)
select e.topic, e.partition, 0, coalesce((select max(generation) from checkpoints), 0)
from {incoming("topic text, partition integer")}
on conflict do nothing
"""  # noqa: S608  # our own constants

# Where nothing was folded yet any topic is the right one.
ADOPT = f"""
update checkpoints c set topic_id = e.topic_id
from {incoming("topic text, partition integer, topic_id text")}
where c.topic = e.topic and c.partition = e.partition and (c.topic_id is null or c.next_offset = 0)
"""  # noqa: S608  # our own constants

LOAD = f"""
select c.topic, c.partition, c.next_offset, c.generation, c.topic_id
from {incoming("topic text, partition integer")} join checkpoints c using (topic, partition)
"""  # noqa: S608  # our own constants

MOVES = """
    topic text, partition integer, expected_offset bigint, generation bigint,
    next_offset bigint, last_event_at moment, end_offset bigint
"""
ADVANCE = f"""
update checkpoints c set
    next_offset = e.next_offset,
    last_event_at = greatest(c.last_event_at, e.last_event_at),
    end_offset = coalesce(e.end_offset, c.end_offset),
    moved_at = now()
from {incoming(MOVES)}
where c.topic = e.topic and c.partition = e.partition and c.next_offset = e.expected_offset
    and c.generation = e.generation
"""  # noqa: S608  # our own constants

CAUGHT_UP = f"""
update checkpoints c set caught_up_at = now(), end_offset = c.next_offset
from {incoming("topic text, partition integer")}
where c.topic = e.topic and c.partition = e.partition
"""  # noqa: S608  # our own constants

ENDS = f"""
update checkpoints c set end_offset = e.end_offset
from {incoming("topic text, partition integer, end_offset bigint")}
where c.topic = e.topic and c.partition = e.partition
"""  # noqa: S608  # our own constants


class Source(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Advance(NamedTuple):
    """Where a partition is after a batch."""

    next_offset: int
    last_event_at: int | None = None
    """The newest record's time, in microseconds since the epoch; None where none could be read."""
    end_offset: int | None = None
    """Where the partition ends, if that is known."""


class CheckpointMovedError(TransientError):
    """Somebody else projects our partitions, or the models were swapped or dropped.

    Retryable, from the stored checkpoint.
    """


class CheckpointOutsideTopicError(RuntimeError):
    """The read models were folded from another topic than the one of that name."""


class Checkpoint:
    """The next offset of each partition that we hold."""

    def __init__(self) -> None:
        self.next_offsets: dict[Source, int] = {}
        self._generations: dict[Source, int] = {}

    def load(self, tables: Tables, sources: Collection[Source], topic_ids: Mapping[str, str] | None = None) -> None:
        """Take over partitions at their stored offsets; one that nobody has had starts at 0. `topic_ids` are Kafka's:
        raises CheckpointOutsideTopicError where a topic was made anew since something of it was folded.
        """
        tables.write(CREATE, list(sources))
        if topic_ids is not None:
            tables.write(ADOPT, [(*source, topic_ids[source.topic]) for source in sources])
        for topic, partition, next_offset, generation, topic_id in tables.read(LOAD, list(sources)):
            if topic_ids is not None and topic_id != topic_ids[topic]:
                raise CheckpointOutsideTopicError(
                    f"{topic} was made anew: what the read models hold was folded from another topic "
                    f"({topic_id}, not {topic_ids[topic]}); if this is the right one, fold it again with "
                    "`wagerledger project --refold`"
                )
            self.next_offsets[Source(topic, partition)] = next_offset
            self._generations[Source(topic, partition)] = generation

    def release(self, sources: Collection[Source]) -> None:
        for source in sources:
            self.next_offsets.pop(source, None)

    def advance(self, tables: Tables, advances: Mapping[Source, Advance]) -> None:
        """Move the stored offsets, inside the caller's transaction. Call `moved` once that is committed.

        This comes first in a transaction: its row locks let one projector at a time work on a partition.
        The next read, or the commit, raises CheckpointMovedError when a stored offset is not the one that we started
        from.
        """
        rows = [
            (*source, self.next_offsets[source], self._generations[source], *advance)
            for source, advance in sorted(advances.items())
        ]
        expected = dict(sorted(self.next_offsets.items()))
        tables.write(ADVANCE, rows, lambda _: CheckpointMovedError(f"the checkpoint is no longer at {expected}"))

    def moved(self, advances: Mapping[Source, Advance]) -> None:
        self.next_offsets.update({source: advance.next_offset for source, advance in advances.items()})


def note_caught_up(tables: Tables, sources: Collection[Source]) -> None:
    """For readers' eyes: nothing is left to read there."""
    tables.write(CAUGHT_UP, sorted(sources))


def note_ends(tables: Tables, ends: Mapping[Source, int]) -> None:
    """For readers' eyes: so far the records go, also where they cannot be read yet."""
    tables.write(ENDS, [(*source, end) for source, end in sorted(ends.items())])
