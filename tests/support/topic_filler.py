"""Topics that a test fills from an event log, truly or falsely."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from audit.findings import AuditReport
from audit.verify import verify
from ledger.core.chain import hash_of
from ledger.relay_position import START, Cursor, Epoch, Position
from ledger.streams import StreamKey
from outbox_relay.refusals import READ, Refusal
from runtime.settings import Settings
from schemas import registry, topics
from schemas.registry import WireIds
from schemas.topics import Topics
from tests.support.servers import Servers

LOG = "select tenant_id, stream_type, stream_id, stream_version, event_type, schema_fingerprint, body, xid::text::bigint, position from wagerledger.event_log order by xid, position"


@dataclass(frozen=True)
class Logged:
    """A row of the event log, as the relay publishes it."""

    tenant_id: str
    stream_type: str
    stream_id: str
    version: int
    event_type: str
    fingerprint: bytes
    body: bytes
    xid: int = 0
    position: int = 0

    @property
    def stream(self) -> StreamKey:
        return StreamKey(self.tenant_id, self.stream_type, self.stream_id)

    @property
    def key(self) -> str:
        return f"{self.tenant_id}/{self.stream_id}" if self.stream_type == "player" else self.stream_id


@dataclass
class Kafka:
    """Topics that a test fills as it likes."""

    settings: Settings
    names: Topics
    wire_ids: WireIds
    producer: Producer

    def publish(self, rows: Iterable[Logged], *, events: bool = True, of_type: bool = True) -> None:
        for row in rows:
            prefixes = self.wire_ids.of(row.fingerprint)
            if events:
                self.producer.produce(self.names.events, prefixes.events + row.body, row.key)
            if of_type:
                self.producer.produce(self.names.of_type(row.event_type), prefixes.of_type + row.body, row.key)
        self.producer.flush()

    def publish_refusals(self, refusals: Iterable[Refusal]) -> None:
        for refusal in refusals:
            self.producer.produce(self.names.refusals, self.wire_ids.of_refusals() + refusal.body, refusal.key)
        self.producer.flush()

    def pass_over(self, last: Logged, refused: Refusal | None = None, *, shard: int = 0, shards: int = 1) -> None:
        """Say in a relay's name that all is published up to these two."""
        epoch, cursor = Epoch("1", 1, 1), Cursor(last.xid, last.position)
        position = Position(epoch, shards, cursor, hash_of(last.body), 1, refused.cursor if refused else START)
        self.producer.produce(self.names.relay_position, position.to_json(), str(shard))
        self.producer.flush()

    def write(self, topic: str, value: bytes) -> None:
        self.producer.produce(topic, value, "somebody")
        self.producer.flush()

    def check(self, **options: bool) -> AuditReport:
        return verify(self.settings, **options)


@contextmanager
def kafka_of(
    servers: Servers, ledger_database: str, topic_prefix: str, wire_ids: WireIds | None = None
) -> Iterator[Kafka]:
    """Fresh topics, removed afterwards. Their schemas are registered, which a relay needs and which takes a second; where
    `wire_ids` are given, whoever writes uses these.
    """
    names = Topics(topic_prefix)
    settings = Settings(
        database_url=ledger_database,
        bi_database_url=servers.bi_database_url,
        kafka_bootstrap_servers=servers.kafka_bootstrap_servers,
        schema_registry_url=servers.schema_registry_url,
        topic_prefix=topic_prefix,
    )
    topics.apply(servers.kafka_bootstrap_servers, names, partitions=3, replication=1)
    with registry.connect(servers.schema_registry_url) as client:
        if wire_ids is None:
            registry.register(client, names)
        producer = Producer(
            {
                "bootstrap.servers": servers.kafka_bootstrap_servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
            }
        )
        yield Kafka(settings, names, wire_ids or WireIds(client, names), producer)
    admin = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    for answer in admin.delete_topics(names.all).values():
        answer.result(60)


def logged(ledger_database: str) -> list[Logged]:
    """The event log, in the order in which a relay publishes it."""
    with psycopg.connect(ledger_database) as connection:
        return [Logged(*row) for row in connection.execute(LOG, binary=True)]


def refused(ledger_database: str) -> list[Refusal]:
    """The refusals, in the order in which a relay publishes them."""
    with psycopg.connect(ledger_database) as connection:
        found = connection.execute(READ, {"xid": 0, "position": 0, "limit": None}, binary=True)
        return [Refusal(*row) for row in found]
