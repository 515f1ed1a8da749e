"""Reading topics from their beginning to an end that was fixed before."""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from patience import IMPATIENT, Patience
from patience.kafka import EARLIEST, LATEST, QUIET, At, Brokers, answers, offsets, timed_out
from runtime.settings import Settings

COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"

TIMEOUT_S = 10.0
HELD_UP_S = 60.0
"""How long open Kafka transactions are waited for: the broker ends one of the relay's within it, whatever befell."""
SAID_AFTER_S = 5.0
LOOKED_AGAIN_S = 0.02
SILENCE_S = 10.0
"""How long the next record, or the end, may take before the consumer is replaced."""
AT_ONCE = 10_000
FETCHED_BYTES = 4 * 1024 * 1024
AHEAD_KB = 32 * 1024
"""Read ahead of what was asked for, at most."""

Ends = Mapping[At, int]
"""The offset at which reading stops, per topic and partition."""
NOWHERE: Ends = {}

log = logging.getLogger("wagerledger.topics")


class Span(NamedTuple):
    """The first offset of a partition, and the one after the last, open transactions included."""

    begin: int
    end: int

    @property
    def empty(self) -> bool:
        return self.begin == self.end


class TopicError(KafkaException):
    """A topic is not as it must be. The message says what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(KafkaError(code, text))
        self._text = text

    def __str__(self) -> str:
        return self._text


class MissingTopicError(TopicError):
    """There is no such topic. Transient: a broker that starts does not know all of them at once."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            f"there is no topic {topic}; check WAGERLEDGER_TOPIC_PREFIX, or run `wagerledger topics apply`",
        )


class HeldUpError(TopicError):
    """A Kafka transaction stays open, and nobody can tell whether what follows it will ever be read. Not transient:
    it was waited for.
    """

    def __init__(self, held: Ends, ends: Ends) -> None:
        (topic, partition), offset = min(held.items())
        others = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
        super().__init__(
            KafkaError.INVALID_TXN_STATE,
            f"the end of topic {topic}, partition {partition}, is held up{others}: a Kafka transaction that is open at "
            f"offset {offset} hides {ends[topic, partition] - offset} offsets from readers of committed records. "
            "`kafka-transactions.sh --bootstrap-server … describe-producers --topic "
            f"{topic} --partition {partition}` names its producer id, `… find-hanging` and `… abort` end it",
        )


class TopicsReader:
    """Reads as nobody in particular: no offset is committed. What may pass is tried again for as long as `patience`
    says; without any, the caller tries again on its own. A reader that is interrupted goes on from where it was.
    """

    def __init__(self, bootstrap_servers: str, patience: Patience = IMPATIENT) -> None:
        self._servers = bootstrap_servers
        self._brokers = Brokers(bootstrap_servers, patience)
        self._patience = patience

    def ends(self, topics: Iterable[str]) -> Ends:
        """Where the topics end now. What anybody could see before is before these ends, and what is before them is
        decided: none of it appears later.

        A Kafka transaction becomes visible partition by partition: its marks are written one after the other. So of two
        events the later may be visible in its partition while the earlier is not yet in its own, and the ends of the
        committed records (the last stable offsets), asked at any moment, prove nothing about what is missing before
        them. The ends of all records (the high watermarks) do: a transaction commits only when all of its records are
        behind them. So where any of its records is visible, all of them are before the high watermarks that are asked
        for afterwards; and once the last stable offsets have reached these, each is either visible or aborted.

        Raises MissingTopicError; HeldUpError where a transaction stays open; KafkaException.
        """
        ends = {at: span.end for at, span in self.spans(topics).items()}
        self._wait_for(ends)
        return ends

    def spans(self, topics: Iterable[str]) -> dict[At, Span]:
        """What the topics hold now, open transactions included. Raises MissingTopicError; KafkaException."""
        partitions = self._partitions(list(topics))
        begins, ends = (self._offsets(partitions, which) for which in (EARLIEST, LATEST))
        return {at: Span(begin, ends[at]) for at, begin in begins.items()}

    def since(self, topic: str, time_ms: int) -> dict[At, int]:
        """Per partition the offset of the first record of that time or later; those without one are not named. Raises
        MissingTopicError; KafkaException.
        """
        wanted = {TopicPartition(*at): OffsetSpec.for_timestamp(time_ms) for at in self._partitions([topic])}
        found = self._brokers.ask(
            lambda admin: answers(admin.list_offsets(wanted, request_timeout=TIMEOUT_S), TIMEOUT_S)
        )
        return {(at.topic, at.partition): int(result.offset) for at, result in found.items() if result.offset >= 0}

    def filled(self, topics: Iterable[str]) -> set[str]:
        """Those of `topics` that hold a committed record: aborted ones are none. Raises as `ends` does."""
        candidates = {topic for (topic, _), span in self.spans(topics).items() if not span.empty}
        return {topic for topic in candidates if any(True for _ in self.read_to_end(topic))}

    def last(self, topic: str) -> Message | None:
        """The newest record of a topic that has one partition. Raises as `ends`."""
        ((at, span),) = self.spans([topic]).items()
        ends, back = self.ends([topic]), 1
        while not span.empty:
            begin = max(span.begin, ends[at] - back)
            records = list(self.read(ends, begins={at: begin}))
            if records or begin == span.begin:
                return records[-1] if records else None
            back *= 100  # what is at the end are aborted records, and marks of transactions
        return None

    def read(self, ends: Ends, *, begins: Ends = NOWHERE, isolation: str = COMMITTED) -> Iterator[Message]:
        """Every record before `ends`, in order per partition: from the first on, or from `begins`. Raises
        KafkaException.
        """
        for messages in self.read_batches(ends, begins=begins, isolation=isolation):
            yield from messages

    def read_to_end(self, topic: str, *, isolation: str = COMMITTED) -> Iterator[Message]:
        """Every record that the topic holds now, in order per partition. Raises as `ends`.

        Now is the end including Kafka transactions that are still open: they are waited for, not overlooked.
        """
        return self.read(self.ends([topic]), isolation=isolation)

    def read_batches(
        self, ends: Ends, *, begins: Ends = NOWHERE, isolation: str = COMMITTED, at_once: int = AT_ONCE
    ) -> Iterator[list[Message]]:
        """The records of `read` in batches, as they come: `at_once` of them at most, and none that is empty but where
        partitions ended.
        """
        # Asked for here: a consumer told to begin "at the beginning" first waits half a second for the leader.
        first = self._offsets([at for at, end in ends.items() if end and at not in begins], EARLIEST)
        reading = _Reading(self._servers, {**first, **begins}, ends, isolation, at_once)
        try:
            while reading.left:
                yield self._patience.call(reading.batch, "Kafka")
        finally:
            reading.close()

    def _partitions(self, topics: list[str]) -> list[At]:
        existing = self._brokers.ask(lambda admin: _existing(admin, topics))
        return [(topic, partition) for topic in topics for partition in existing[topic]]

    def _offsets(self, partitions: Collection[At], which: OffsetSpec, *, committed: bool = False) -> dict[At, int]:
        # A partition that was just made, or moves, has no leader for a moment.
        return self._brokers.ask(
            lambda admin: offsets(admin, partitions, which, timeout_s=TIMEOUT_S, committed=committed)
        )

    def _wait_for(self, ends: Ends) -> None:
        """Wait until all that is before the ends is decided. Raises HeldUpError."""
        began, said = time.monotonic(), False
        held = dict(ends)
        while True:
            stable = self._offsets(held, LATEST, committed=True)
            held = {at: offset for at, offset in stable.items() if offset < ends[at]}
            if not held:
                return
            waited_s = time.monotonic() - began
            if waited_s > HELD_UP_S:
                raise HeldUpError(held, ends)
            if waited_s > SAID_AFTER_S and not said:
                said = True
                log.warning("%s; waiting for %.0f s", HeldUpError(held, ends), HELD_UP_S - waited_s)
            time.sleep(LOOKED_AGAIN_S)


def reader_of(settings: Settings) -> TopicsReader:
    """A reader for a command, which is patient."""
    return TopicsReader(settings.kafka_bootstrap_servers, settings.patience)


def _existing(admin: AdminClient, topics: list[str]) -> dict[str, list[int]]:
    """The partitions of each topic. Raises MissingTopicError; KafkaException also where a topic is not ready."""
    found = admin.list_topics(timeout=TIMEOUT_S).topics
    for topic in topics:
        if topic not in found:
            raise MissingTopicError(topic)
        if error := found[topic].error:
            raise KafkaException(error)
        if not found[topic].partitions:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, f"topic {topic} has no partitions yet"))
    return {topic: list(found[topic].partitions) for topic in topics}


class _Reading:
    """One reading of several partitions. A consumer that fails is replaced by another that goes on from there."""

    def __init__(self, bootstrap_servers: str, begins: Ends, ends: Ends, isolation: str, at_once: int) -> None:
        self._at_once = at_once
        self.left = {at: end for at, end in ends.items() if end}
        """Where what is not read yet ends."""
        self._next = dict(begins)
        self._consumer: Consumer | None = None
        self._configuration: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            **QUIET,
            "group.id": "wagerledger-audit",  # the client demands one
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "auto.offset.reset": "error",  # a place that is gone is never passed over in silence
            "fetch.wait.max.ms": 50,  # the end shows itself only when a fetch comes back empty
            "queued.max.messages.kbytes": AHEAD_KB,
            "fetch.message.max.bytes": FETCHED_BYTES,
        }

    def batch(self) -> list[Message]:
        """What comes next; nothing where partitions ended. Raises KafkaException; the next call goes on all the same.

        The client itself gets over a broker that is gone and a partition that moves: they show as silence, and so does
        an end before the end. What it hands on as an error ends this consumer.
        """
        consumer = self._consumer = self._consumer or self._open()
        silent_until, unread = time.monotonic() + SILENCE_S, len(self.left)
        while time.monotonic() <= silent_until:
            batch = self._taken(consumer.consume(self._at_once, timeout=0.1))
            if batch or len(self.left) < unread:
                return batch
        self.close()
        raise timed_out(f"no record for {SILENCE_S:.0f} s before the ends of {sorted(self.left)}")

    def _taken(self, messages: list[Message]) -> list[Message]:
        """The records among them, up to an error, which is raised where it is the first."""
        batch: list[Message] = []
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001, its name
                self.close()  # what was read after it is read again
                if batch:
                    break
                raise KafkaException(error)
            if self._take(message):
                batch.append(message)
        return batch

    def close(self) -> None:
        if self._consumer:
            self._consumer.close()
            self._consumer = None

    def _open(self) -> Consumer:
        consumer = Consumer(self._configuration)
        consumer.assign([TopicPartition(*at, self._next[at]) for at in self.left])
        return consumer

    def _take(self, message: Message) -> bool:
        """Whether it is a record before the end."""
        at: Any = message.topic(), message.partition()
        end, offset = self.left.get(at), message.offset() or 0
        if end is None:
            return False
        if offset >= end:  # also where the partition ends there: what may lie before are marks of transactions
            del self.left[at]
            return False
        if message.error() is None:
            self._next[at] = offset + 1
            if offset + 1 == end:
                del self.left[at]
            return True
        return False  # an end before the end: a leader that was just elected does not know how far it may go
