"""Rebuilding the position from what was published: after a failover, a restore, a lost topic, or to change the shards.

Thanks to the hash chain two facts per stream are enough: the last version in `ledger.events` and its hash. Where the
event log has that version with that hash, everything before it is the same too.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Any

import structlog

from ledger.core.chain import hash_of
from ledger.relay_position import START, Cursor, Position, values_in
from ledger.streams import StreamHead, StreamKey
from outbox_relay.known_topics import KnownTopics
from outbox_relay.log import EventLog, Row
from outbox_relay.producer import Publisher, transactional_id
from outbox_relay.relay import WaitingError, batches, prove_xids
from runtime.progress import Progress, silent
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from schemas import registry
from schemas.events import BY_FINGERPRINT
from schemas.registry import Reader, RefusalReader, UndecodableRecord, WireIds, WireRecord
from schemas.topics import Topics

READ_ROWS = 5000
NAMED_STREAMS = 20
PROGRESS_EVERY = 1000

logger = structlog.get_logger()

Restore = Callable[[Iterator[WireRecord]], None]
"""Puts events back into the event log; they come in stream order."""


class UnrecoverableError(Exception):
    """The event log and the topics contradict each other, or the log lacks published events."""


NOTHING = StreamHead()


@dataclass
class Recovery:
    """What was found and done."""

    published: int = 0
    """How many events were found in `ledger.events`."""
    duplicates: int = 0
    """Records in `ledger.events` that repeat an event."""
    restored: int = 0
    """Events that the log had lost and got back."""
    completed: int = 0
    """Events that were published now, because published ones follow them in the log."""
    refusals: int = 0
    """Refusals in their topic."""
    refusals_completed: int = 0
    """Refusals that were published now, because published ones follow them."""
    refusals_lost: int = 0
    """Refusals that the topic holds and the database has lost. They moved no money and are not put back."""
    positions: dict[int, Position] = field(default_factory=dict)


def recover(settings: Settings, *, restore: Restore | None = None, progress: Progress = silent) -> Recovery:
    """Rebuild the position of every shard, so that the relay goes on with nothing lost and nothing published twice.

    Stop the relays first, and the gateways too where events are to be restored. Safe to repeat, even if it broke off,
    and this is one attempt: who calls it tries again what is transient.

    Raises UnrecoverableError, naming the streams, where it must not go on; FencedError where a relay started meanwhile;
    RefusedError where the server counts transaction ids from too low; PositionError. WaitingError (transient) while a
    relay holds a shard: one that was just stopped holds it until the server has noticed. Of `relay.RETRYABLE`, what is
    transient; HorizonHeldError and HeldUpError, where a transaction stays open, are not: they were waited for.
    """
    return _Recovering(settings, progress).run(restore)


class _Recovering:
    """One run, step by step."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._topics = Topics(settings.topic_prefix)
        self._reader = TopicsReader(settings.kafka_bootstrap_servers)
        self._registry = registry.connect(settings.schema_registry_url.get_secret_value())
        self._show_progress = progress
        self._found = Recovery()

    def run(self, restore: Restore | None) -> Recovery:
        servers, shards = self._settings.kafka_bootstrap_servers, self._settings.relay_shards
        with ExitStack() as stack:
            stack.enter_context(self._registry)
            old = set(values_in(self._reader.read_to_end(self._topics.relay_position)))
            publishers = self._fence(stack, max([shards, *(shard + 1 for shard in old)]))
            old = set(values_in(self._reader.read_to_end(self._topics.relay_position)))  # now they stand still
            log = stack.enter_context(self._log(0, 1))
            prove_xids(log)
            log.wait_for_horizon()
            heads = self._heads()
            self._refuse_half_emptied(heads)
            self._bring_back(self._lost(heads, log), heads, log, restore)
            for shard in range(shards):
                self._found.positions[shard] = self._locate(shard, heads, publishers[shard])
            refused = self._locate_refusals(log, publishers[0])
            self._found.positions[0] = replace(self._found.positions[0], refused=refused)
            forgotten = dict.fromkeys(old - set(range(shards)))
            topics = KnownTopics(servers, self._topics).now()
            publishers[0].write_positions(self._found.positions | forgotten, topics)
        return self._found

    def _log(self, shard: int, shards: int) -> EventLog:
        return EventLog(self._settings.database_url.get_secret_value(), shard, shards)

    def _fence(self, stack: ExitStack, shards: int) -> list[Publisher]:
        """Take every shard, of the old number and the new one, so that nothing is published but by us."""
        wire_ids = WireIds(self._registry, self._topics)
        locks = stack.enter_context(self._log(0, 1))
        publishers = []
        for shard in range(shards):
            if not locks.lock(transactional_id(self._topics, shard)):
                raise WaitingError(f"a relay holds shard {shard}; stop every relay first")
            publisher = Publisher(self._settings.kafka_bootstrap_servers, self._topics, wire_ids, shard)
            publishers.append(stack.enter_context(publisher))
            publisher.open()
        return publishers

    # What was published.

    def _records(self) -> Iterator[WireRecord]:
        reader = Reader(self._registry)
        for message in self._reader.read_to_end(self._topics.events):
            try:
                yield reader.read(message.value())
            except UndecodableRecord as error:
                raise UnrecoverableError(
                    f"{self._topics.events}, partition {message.partition()}, offset {message.offset()}: {error}; "
                    "what was published there cannot be told"
                ) from error

    def _heads(self) -> dict[StreamKey, StreamHead]:
        """The end of every stream in `ledger.events`."""
        heads: dict[StreamKey, StreamHead] = {}
        for read, (_, body, record) in enumerate(self._records()):
            stream, version, digest = stream_of(record), record["stream_version"], hash_of(body)
            head = heads.get(stream, NOTHING)
            if version == head.version + 1 and record["previous_hash"] == head.hash:
                heads[stream] = StreamHead(version, digest)
                self._found.published += 1
            elif version < head.version or (version == head.version and digest == head.hash):
                self._found.duplicates += 1
            else:
                raise UnrecoverableError(
                    f"{self._topics.events} holds version {version} of {named([stream])} after version {head.version}, "
                    "and it does not continue it; nothing can be added there"
                )
            self._progress("topic", read)
        return heads

    def _refuse_half_emptied(self, heads: dict[StreamKey, StreamHead]) -> None:
        if heads:
            return
        for topic in sorted(self._reader.filled((*self._topics.of_types, *self._topics.of_variants))):
            raise UnrecoverableError(
                f"{self._topics.events} is empty but {topic} is not, which would get every event a second time; "
                "delete the topics of the event types too and run `wagerledger topics apply`"
            )

    # What the log lacks.

    def _lost(self, heads: dict[StreamKey, StreamHead], log: EventLog) -> dict[StreamKey, StreamHead]:
        """Where the log ends, for each stream of which it lacks published events. Refuses forks."""
        unseen = dict(heads)
        ends: dict[StreamKey, StreamHead] = {}
        forks = []
        detached = {stream: StreamHead(version, hash_) for stream, version, hash_ in log.heads_where_detached()}
        for read, row in enumerate(log.read_all(START, READ_ROWS)):
            self._progress("log", read)
            published = unseen.get(row.stream)
            if published is None:
                continue
            if detached and row.stream not in ends and row.stream_version > published.version:
                # What was published last is detached. The chain says whether this event follows it.
                if row.stream_version != published.version + 1 or previous_hash(row) != published.hash:
                    forks.append(row.stream)
                del unseen[row.stream]
                continue
            ends[row.stream] = StreamHead(row.stream_version, row.hash)
            if row.stream_version == published.version:
                if row.hash != published.hash:
                    forks.append(row.stream)
                del unseen[row.stream]
        for stream, head in detached.items():
            if unseen.get(stream) == head:
                del unseen[stream]  # it stands still, and its events are in the archive
        refuse_forks(forks)
        return {stream: ends.get(stream, NOTHING) for stream in unseen}

    def _bring_back(
        self,
        lost: dict[StreamKey, StreamHead],
        heads: dict[StreamKey, StreamHead],
        log: EventLog,
        restore: Restore | None,
    ) -> None:
        if not lost:
            return
        events = sum(heads[stream].version - end.version for stream, end in lost.items())
        refuse_forks([stream for stream, continued in self._continued(lost).items() if not continued])
        if restore is None:
            raise UnrecoverableError(
                f"the event log lacks {events} published events of {named(lost)}: acknowledged money; "
                "stop the gateways and put them back with `wagerledger relay recover`"
            )
        logger.warning("relay_restores", events=events, streams=len(lost))
        restore(self._lost_records(lost))
        log.wait_for_horizon()
        if still := self._lost(heads, log):
            raise UnrecoverableError(f"the event log still lacks published events of {named(still)}")
        self._found.restored = events

    def _lost_records(self, ends: dict[StreamKey, StreamHead]) -> Iterator[WireRecord]:
        """What follows the log's ends in the topic, each event once, in stream order."""
        versions = {stream: end.version for stream, end in ends.items()}
        for wire in self._records():
            stream, version = stream_of(wire.record), wire.record["stream_version"]
            if stream in versions and version == versions[stream] + 1:
                versions[stream] = version
                yield wire

    def _continued(self, ends: dict[StreamKey, StreamHead]) -> dict[StreamKey, bool]:
        """Whether the first lost event of each stream continues what the log has."""
        continued: dict[StreamKey, bool] = {}
        for wire in self._lost_records(ends):
            stream = stream_of(wire.record)
            continued.setdefault(stream, wire.record["previous_hash"] == ends[stream].hash)
        return continued

    # Where to go on.

    def _locate(self, shard: int, heads: dict[StreamKey, StreamHead], publisher: Publisher) -> Position:
        """The last published event of the shard's log; what is unpublished before it is published now."""
        shards = self._settings.relay_shards
        with self._log(shard, shards) as log:
            last: Row | None = None
            rows_to_last = published = 0
            for rows, row in enumerate(own(log), start=1):
                if is_published(row, heads):
                    last, rows_to_last, published = row, rows, published + 1
                self._progress("log", rows)
            if last is None:
                return Position.start(log.epoch(), shards)
            if published < rows_to_last:
                self._complete(log, last, heads, publisher)
            return Position(log.epoch(), shards, last.cursor, last.hash, rows_to_last)

    def _complete(self, log: EventLog, last: Row, heads: dict[StreamKey, StreamHead], publisher: Publisher) -> None:
        """Publish what is missing before `last`. Safe to break off: the next run finds it published."""
        missing: list[Row] = []
        for row in own(log):
            if row.cursor > last.cursor:
                break
            if not is_published(row, heads):
                missing.append(row)
            if len(missing) == self._settings.relay_batch_rows:
                self._publish(missing, publisher)
                missing = []
        self._publish(missing, publisher)

    def _publish(self, rows: list[Row], publisher: Publisher) -> None:
        for batch in batches(rows, self._settings.relay_batch_bytes):
            publisher.publish(batch, None)
            self._found.completed += len(batch)
            self._progress("publish", self._found.completed)

    # Refusals: in no stream, so each is looked for by its own id.

    def _locate_refusals(self, log: EventLog, publisher: Publisher) -> Cursor:
        """The last published refusal; what is unpublished before it is published now."""
        published = self._published_refusals()
        last, rows_to_last, known = START, 0, 0
        for rows, refusal in enumerate(log.read_all_refusals(START, READ_ROWS), start=1):
            self._progress("refusals", rows)
            if refusal.command_id in published:
                last, rows_to_last, known = refusal.cursor, rows, known + 1
        self._found.refusals, self._found.refusals_lost = len(published), len(published) - known
        if known < rows_to_last:
            missing = (row for row in log.read_all_refusals(START, READ_ROWS) if row.command_id not in published)
            due = takewhile(lambda refusal: refusal.cursor < last, missing)
            while batch := list(islice(due, self._settings.relay_batch_rows)):
                publisher.publish([], None, batch)
                self._found.refusals_completed += len(batch)
        return last

    def _published_refusals(self) -> set[str]:
        reader, published = RefusalReader(self._registry), set()
        for message in self._reader.read_to_end(self._topics.refusals):
            try:
                published.add(str(reader.read(message.value()).record["command_id"]))
            except UndecodableRecord as error:
                raise UnrecoverableError(
                    f"{self._topics.refusals}, partition {message.partition()}, offset {message.offset()}: {error}; "
                    "what was published there cannot be told"
                ) from error
        return published

    def _progress(self, step: str, events: int) -> None:
        if events % PROGRESS_EVERY == 0:
            self._show_progress(step, events, 0)


def own(log: EventLog) -> Iterator[Row]:
    """Every event of the log's shard."""
    return (row for row in log.read_all(START, READ_ROWS) if row.body is not None)


def is_published(row: Row, heads: dict[StreamKey, StreamHead]) -> bool:
    return row.stream_version <= heads.get(row.stream, NOTHING).version


def previous_hash(row: Row) -> bytes:
    assert row.body is not None, "one shard sees all"
    found = BY_FINGERPRINT[row.schema_fingerprint].decode(row.body)["previous_hash"]
    assert isinstance(found, bytes)
    return found


def stream_of(record: dict[str, Any]) -> StreamKey:
    return StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])


def named(streams: Collection[StreamKey]) -> str:
    shown = ", ".join("/".join(stream) for stream in sorted(streams)[:NAMED_STREAMS])
    return f"{len(streams)} streams ({shown}{', …' if len(streams) > NAMED_STREAMS else ''})"


def refuse_forks(streams: Collection[StreamKey]) -> None:
    if streams:
        raise UnrecoverableError(
            f"forked: the event log and the topics hold different events under the same version of {named(streams)}; "
            "nothing was changed: compare them with `wagerledger audit verify` and decide by hand"
        )
