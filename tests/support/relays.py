"""A relay that a test runs, in a thread or in a process of its own, and what a reader of its topics sees."""

import contextlib
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from ledger.relay_position import Position, positions_in
from ledger.streams import StreamKey
from outbox_relay.producer import Publisher
from outbox_relay.relay import Relay
from runtime.settings import PREFIX, Settings
from runtime.topics_reader import TopicsReader
from schemas import registry, topics
from schemas.registry import Reader, WireIds, WireRecord
from schemas.topics import Topics
from tests.support.log_writer import LogWriter
from tests.support.waiting import until

PARTITIONS = 3
DEADLINE_S = 180.0
"""For a server that was killed to be back, and a relay to notice, on a busy machine."""
PROGRAM = "from runtime.settings import load_settings; from outbox_relay.relay import run; raise SystemExit(run(load_settings()))"


@dataclass
class Kafka:
    """What a reader of the topics sees."""

    servers: str
    topics: Topics
    reader: Reader

    def messages(self, *names: str, isolation: str = "read_committed") -> list[Message]:
        """What the topics hold, in order per partition. All are read at once: each reading waits for its end."""
        reader = TopicsReader(self.servers)
        return list(reader.read(reader.ends(names), isolation=isolation))

    def events(self) -> list[WireRecord]:
        return [self.reader.read(message.value()) for message in self.messages(self.topics.events)]

    def of_types(self) -> list[WireRecord]:
        return [self.reader.read(message.value()) for message in self.messages(*self.topics.of_types)]

    def positions(self) -> dict[int, Position]:
        return positions_in(self.messages(self.topics.relay_position))

    def position(self, shard: int = 0) -> Position:
        return self.positions()[shard]

    def recreate(self, *names: str) -> None:
        """Empty topics as an operator would by mistake."""
        delete(self.servers, names)
        admin = AdminClient({"bootstrap.servers": self.servers})
        until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics), f"the end of {names}")
        topics.apply(self.servers, self.topics, partitions=PARTITIONS, replication=1)
        until(lambda: all(map(self.answers, names)), f"leaders of {names}")

    def answers(self, topic: str) -> bool:
        """Tell whether all partitions have leaders: a topic is listed a moment before."""
        try:
            return bool(TopicsReader(self.servers).spans([topic]))
        except KafkaException:
            return False

    def wait_for(self, log: LogWriter, published: int | None = None) -> None:
        """Wait until the position says that everything written (or so many events) is published."""
        target = len(log.events) if published is None else published
        until(lambda: self.published() >= target, f"{target} published events", limit_s=DEADLINE_S)

    def published(self) -> int:
        """Events that the positions count. While the broker is coming back nobody can tell: then it is asked again."""

        def counted() -> list[int]:
            with contextlib.suppress(KafkaException):
                return [sum(one.published for one in self.positions().values())]
            return []

        (count,) = until(counted, "an answer about the positions", limit_s=DEADLINE_S)
        return count

    def raw_duplicates(self) -> int:
        """Values that somebody who does not skip aborted transactions sees more than once, over all topics of events."""
        messages = self.messages(self.topics.events, *self.topics.of_types, isolation="read_uncommitted")
        return len(messages) - len({(message.topic(), message.value()) for message in messages})

    def assert_exactly_once(self, log: LogWriter) -> None:
        """Both faces hold each event of the log once, with its very bytes, and every stream in its order."""
        events = self.events()
        assert Counter(wire.body for wire in events) == Counter(event.body for event in log.events)
        assert Counter(wire.body for wire in self.of_types()) == Counter(event.body for event in log.events)
        versions: dict[StreamKey, int] = {}
        for wire in events:
            stream = StreamKey(wire.record["tenant_id"], wire.record["stream_type"], wire.record["stream_id"])
            assert wire.record["stream_version"] == versions.get(stream, 0) + 1, f"{stream} is out of order"
            versions[stream] = wire.record["stream_version"]


@dataclass
class Running:
    """A relay in a thread; its exit code once it has ended."""

    thread: threading.Thread
    code: int | None = None

    def wait(self) -> int | None:
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive(), "the relay did not end"
        return self.code


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """A relay that runs meanwhile."""
    stop = threading.Event()

    def run() -> None:
        relay.code = Relay(settings).run(stop)

    relay = Running(threading.Thread(target=run, daemon=True))
    relay.thread.start()
    try:
        yield relay
    finally:
        stop.set()
        relay.wait()


def run_to_end(settings: Settings) -> int | None:
    """Run a relay that is expected to end by itself."""
    with running(settings) as relay:
        return relay.wait()


@contextlib.contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A relay in a process of its own, killed at the end if it still runs."""
    environment = {
        "WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAGERLEDGER_SCHEMA_REGISTRY_URL": settings.schema_registry_url.get_secret_value(),
        **{
            PREFIX + name.upper(): str(getattr(settings, name))
            for name in (
                *("kafka_bootstrap_servers", "topic_prefix", "relay_batch_rows", "relay_poll_ms"),
                *("relay_shard", "relay_shards"),
            )
        },
    }
    child = subprocess.Popen([sys.executable, "-c", PROGRAM], env=os.environ | environment)
    try:
        yield child
    finally:
        child.kill()
        child.wait(30)


@contextlib.contextmanager
def publisher(settings: Settings) -> Iterator[Publisher]:
    names = Topics(settings.topic_prefix)
    with (
        registry.connect(settings.schema_registry_url.get_secret_value()) as client,
        Publisher(settings.kafka_bootstrap_servers, names, WireIds(client, names), 0) as opened,
    ):
        yield opened


def delete(servers: str, names: list[str] | tuple[str, ...]) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    for answer in admin.delete_topics(list(names)).values():
        answer.result(60)
