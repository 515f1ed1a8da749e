"""The Kafka topics: their names, and the deploy step that makes them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, TopicMetadata

from patience import Patience
from patience.kafka import LATEST, Brokers, answer, answers, offsets
from schemas.events import EVENTS, VARIANTS

TIMEOUT_S = 10.0
PATIENCE = Patience()

# Unlimited in time and size, never compacted: the topics are the second copy of the truth.
KEPT_FOREVER = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    "unclean.leader.election.enable": "false",
}
# Small segments, because only closed ones are compacted, and the relay reads the whole topic when it starts.
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * 1024 * 1024),
    "delete.retention.ms": str(10 * 60 * 1000),
    "unclean.leader.election.enable": "false",
}


class TopicMismatchError(ValueError):
    """Topics exist, but not as they must be. The message names each difference and what to do."""


@dataclass(frozen=True)
class Topics:
    """The names of all Kafka topics, each with the configured prefix."""

    prefix: str = ""

    @property
    def events(self) -> str:
        """Every event of every type, in stream order."""
        return f"{self.prefix}ledger.events"

    @property
    def relay_position(self) -> str:
        """How far each shard of the relay has come; compacted."""
        return f"{self.prefix}ledger.relay-position"

    @property
    def dead_letters(self) -> str:
        """Records that a projector could not read, with the reason in their headers."""
        return f"{self.prefix}ledger.dead-letters"

    @property
    def refusals(self) -> str:
        """Refused commands, for BI: who asked for what, and why not."""
        return f"{self.prefix}ledger.refusals"

    @property
    def anchors(self) -> str:
        """Signed tree heads over the whole log."""
        return f"{self.prefix}ledger.anchors"

    def of_type(self, event_type: str) -> str:
        """The topic that holds this event type alone, under one schema."""
        return f"{self.prefix}{event_type}"

    @property
    def of_types(self) -> list[str]:
        return [self.of_type(event_type) for event_type in EVENTS]

    @property
    def of_variants(self) -> list[str]:
        """The topics of other forms of a type, written during a migration from one to the other."""
        return [self.of_type(variant) for variant in VARIANTS]

    @property
    def all(self) -> list[str]:
        return [
            self.events,
            *self.of_types,
            *self.of_variants,
            self.refusals,
            self.anchors,
            self.relay_position,
            self.dead_letters,
        ]


def wanted(topics: Topics, *, partitions: int, replication: int) -> list[NewTopic]:
    """Every topic with the partitions, replicas and policies that it must have."""
    in_sync = {"min.insync.replicas": str(max(1, replication - 1))}
    kept = KEPT_FOREVER | in_sync
    partitioned = topics.events, *topics.of_types, *topics.of_variants, topics.refusals
    events = [NewTopic(name, partitions, replication, config=kept) for name in partitioned]
    anchors = NewTopic(topics.anchors, 1, replication, config=kept)
    position = NewTopic(topics.relay_position, 1, replication, config=COMPACTED | in_sync)
    dead_letters = NewTopic(topics.dead_letters, 1, replication, config=kept)
    return [*events, anchors, position, dead_letters]


def apply(
    bootstrap_servers: str, topics: Topics, *, partitions: int, replication: int, patience: Patience = PATIENCE
) -> list[str]:
    """Create the topics that are missing, wait until all of them can be used, and return the names of those created.
    Nothing that exists is changed. Safe to repeat, and to run twice at once.

    Raises TopicMismatchError, before anything is created, where a topic exists with another number of partitions or
    another policy; KafkaException where the brokers do not answer for longer than each step's `patience`.
    """
    brokers = Brokers(bootstrap_servers, patience)
    specifications = wanted(topics, partitions=partitions, replication=replication)
    missing = brokers.ask(lambda admin: _missing(admin, specifications))
    created: set[str] = set()
    if missing:
        brokers.ask(lambda admin: _create(admin, missing, created))
    brokers.ask(lambda admin: require_leaders(admin, topics.all))
    if missing:  # what somebody else made in this moment must be right too
        brokers.ask(lambda admin: _missing(admin, specifications))
    return [topic.topic for topic in missing if topic.topic in created]


def require_leaders(admin: AdminClient, names: Collection[str] | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
    """See that a leader answers for each partition of the topics, or of all that exist. Raises KafkaException where one
    does not: that may pass.
    """
    existing = _existing(admin, timeout_s)
    partitions = []
    for name in existing if names is None else names:
        if name not in existing:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"there is no topic {name}"))
        for number, partition in existing[name].partitions.items():
            if partition.error is not None:
                raise KafkaException(partition.error)
            partitions.append((name, number))
    offsets(admin, partitions, LATEST, timeout_s=timeout_s)


def _existing(admin: AdminClient, timeout_s: float) -> dict[str, TopicMetadata]:
    """The topics that the brokers know. Raises KafkaException."""
    metadata = admin.list_topics(timeout=timeout_s)
    if not metadata.brokers:
        raise KafkaException(KafkaError(KafkaError.BROKER_NOT_AVAILABLE, "no broker is ready yet"))
    return metadata.topics


def differences(admin: AdminClient, topics: Topics, *, partitions: int, replication: int) -> list[str]:
    """What differs, in the topics that exist, from what `apply` wants; one line each. Raises KafkaException."""
    existing = _existing(admin, TIMEOUT_S)
    specifications = wanted(topics, partitions=partitions, replication=replication)
    return [
        difference
        for topic, config in _configs(admin, [topic for topic in specifications if topic.topic in existing])
        for difference in _differences(topic, len(existing[topic.topic].partitions), config)
    ]


def _missing(admin: AdminClient, specifications: list[NewTopic]) -> list[NewTopic]:
    """Those that do not exist. Raises TopicMismatchError where one is not as it must be; KafkaException."""
    existing = _existing(admin, TIMEOUT_S)
    differences = [
        difference
        for topic, config in _configs(admin, [topic for topic in specifications if topic.topic in existing])
        for difference in _differences(topic, len(existing[topic.topic].partitions), config)
    ]
    if differences:
        raise TopicMismatchError("\n".join(differences))
    return [topic for topic in specifications if topic.topic not in existing]


def _configs(admin: AdminClient, specifications: list[NewTopic]) -> list[tuple[NewTopic, dict[str, Any]]]:
    if not specifications:
        return []
    resources = {ConfigResource(ConfigResource.Type.TOPIC, topic.topic): topic for topic in specifications}
    configs = answers(admin.describe_configs(list(resources), request_timeout=TIMEOUT_S), TIMEOUT_S)
    return [(resources[resource], config) for resource, config in configs.items()]


def _differences(topic: NewTopic, partitions: int, config: dict[str, Any]) -> list[str]:
    found = []
    if partitions != topic.num_partitions:
        found.append(
            f"topic {topic.topic} has {partitions} partitions, not {topic.num_partitions}: they are never changed "
            "after the first use, because that breaks the order of keys; set WAGERLEDGER_TOPIC_PARTITIONS to that"
        )
    for name, value in (topic.config or {}).items():
        if config[name].value != value:
            found.append(
                f"topic {topic.topic} has {name}={config[name].value}, not {value}: set it with kafka-configs, "
                "or set WAGERLEDGER_TOPIC_REPLICATION to the replicas it has"
            )
    return found


def _create(admin: AdminClient, missing: list[NewTopic], created: set[str]) -> None:
    """Create what is not there; adds to `created` what was made here. Raises KafkaException, with the rest made."""
    trouble: KafkaException | None = None
    requests = admin.create_topics(missing, operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S)
    for name, request in requests.items():
        try:
            answer(request, TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                trouble = error
        else:
            created.add(name)
    if trouble is not None:
        raise trouble
