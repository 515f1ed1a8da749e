"""What the relays say they have published, and what of it may be held against them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.snapshot import Snapshot
from audit.sources import Sources, reading_topics
from ledger.relay_position import START, Cursor, Position, positions_in, shard_of
from ledger.streams import StreamKey

EVENT_AT = "select sha256(body) from wagerledger.event_log where (xid, position) = (%s::xid8, %s::bigint)"
REFUSAL_AT = "select true from wagerledger.refusals where (xid, refusal_id) = (%s::bigint, %s::bigint)"


@dataclass(frozen=True)
class Passed:
    """How far each shard has come. What is before that, and not in the topics, is missing; what is after it may be on
    its way.

    A position is committed in one Kafka transaction with the last of the events that it speaks of, and after all the
    others. So what it speaks of is before every end of a topic that is looked up after the position was read
    (`TopicsReader.ends`), whatever partition it is in, and however many shards there are. That a later event of another
    partition can be seen proves less: it may be another shard's.
    """

    shards: int = 1
    cursors: Mapping[int, Cursor] = field(default_factory=dict)
    refused: Cursor = START
    doubts: tuple[str, ...] = ()
    """Positions that nothing is concluded from, and why."""

    def event(self, stream: StreamKey, cursor: Cursor) -> bool:
        """Whether the event at `cursor` must be published."""
        return cursor <= self.cursors.get(shard_of(stream, self.shards), START)

    def refusal(self, cursor: Cursor) -> bool:
        """Whether the refusal at `cursor` must be published."""
        return cursor <= self.refused


def read_positions(sources: Sources) -> dict[int, Position]:
    """The position of every shard; to be read before the topics. Raises PositionError, CannotCheckError."""
    with reading_topics():
        return positions_in(sources.records.read_to_end(sources.topics.relay_position))


def borne_out(positions: Mapping[int, Position], snapshot: Snapshot) -> Passed:
    """What of the positions this log bears out: in another one, as after a failover, they mean other transactions."""
    numbers = {position.shards for position in positions.values()}
    if len(numbers) != 1:
        doubt = f"the relays' positions are of {sorted(numbers)} shards" if numbers else "no relay has a position"
        return Passed(doubts=(doubt,))
    begun = {shard: position for shard, position in positions.items() if position.published}
    true = {shard: position.cursor for shard, position in begun.items() if _is_in(position, snapshot)}
    doubts = [
        f"the position of shard {shard} names an event that this log does not have" for shard in begun.keys() - true
    ]
    refused = max(position.refused for position in positions.values())
    if refused != START and not snapshot.all(REFUSAL_AT, [str(part) for part in refused]):
        refused = START
        doubts.append("the position of shard 0 names a refusal that this database does not have")
    return Passed(numbers.pop(), true, refused, tuple(doubts))


def _is_in(position: Position, snapshot: Snapshot) -> bool:
    return [position.hash] == [hash_ for (hash_,) in snapshot.all(EVENT_AT, [str(part) for part in position.cursor])]
