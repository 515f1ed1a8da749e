"""The deploy step that makes the topics, on a real broker."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from schemas import topics
from schemas.events import EVENTS, FORMS
from schemas.topics import TopicMismatchError, Topics
from tests.support.waiting import until


@pytest.fixture
def admin(kafka_bootstrap_servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_bootstrap_servers})


@pytest.fixture
def names(topic_prefix: str, admin: AdminClient) -> Iterator[Topics]:
    yield (names := Topics(topic_prefix))
    existing = set(admin.list_topics(timeout=10).topics)
    if mine := existing & set(names.all):
        for answer in admin.delete_topics(list(mine)).values():
            answer.result(60)


def config(admin: AdminClient, topic: str) -> dict[str, str]:
    (answer,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
    return {name: entry.value for name, entry in answer.result(60).items()}


def create(admin: AdminClient, topic: NewTopic) -> None:
    """Create and wait until every broker shows it."""
    admin.create_topics([topic])[topic.topic].result(60)
    until(lambda: topic.topic in admin.list_topics(timeout=10).topics, topic.topic)


def test_names_carry_the_prefix():
    """One topic per event type, named like the type, and those of the ledger, each after the prefix."""
    names = Topics("eu.")
    assert names.events == "eu.ledger.events"
    assert names.relay_position == "eu.ledger.relay-position"
    assert names.dead_letters == "eu.ledger.dead-letters"
    assert names.of_type("bet.settled") == "eu.bet.settled"
    assert set(names.all) == {
        names.events,
        names.relay_position,
        names.dead_letters,
        names.refusals,
        names.anchors,
        *(f"eu.{event_type}" for event_type in EVENTS | FORMS),
    }


def test_applying_twice_creates_once(kafka_bootstrap_servers: str, admin: AdminClient, names: Topics):
    """Everything missing is created, and a second run finds nothing to do."""
    assert set(topics.apply(kafka_bootstrap_servers, names, partitions=4, replication=1)) == set(names.all)
    assert topics.apply(kafka_bootstrap_servers, names, partitions=4, replication=1) == []
    existing = admin.list_topics(timeout=10).topics
    assert len(existing[names.events].partitions) == len(existing[names.of_type("bet.settled")].partitions) == 4
    assert len(existing[names.relay_position].partitions) == 1
    events, position = config(admin, names.events), config(admin, names.relay_position)
    assert events["retention.ms"] == events["retention.bytes"] == "-1"
    assert events["cleanup.policy"] == "delete"
    assert events["unclean.leader.election.enable"] == "false"
    assert position["cleanup.policy"] == "compact"


def test_partitions_are_never_changed(kafka_bootstrap_servers: str, admin: AdminClient, names: Topics):
    """Another number of partitions is refused with words, before anything is created."""
    create(admin, NewTopic(names.events, 2, 1, config=topics.KEPT_FOREVER))
    with pytest.raises(TopicMismatchError, match=r"ledger\.events has 2 partitions, not 4"):
        topics.apply(kafka_bootstrap_servers, names, partitions=4, replication=1)
    existing = admin.list_topics(timeout=10).topics
    assert len(existing[names.events].partitions) == 2
    assert names.relay_position not in existing


def test_a_topic_that_forgets_is_refused(kafka_bootstrap_servers: str, admin: AdminClient, names: Topics):
    """A topic whose retention would drop events is refused, naming the setting."""
    create(admin, NewTopic(names.events, 4, 1, config={"retention.ms": "1000"}))
    with pytest.raises(TopicMismatchError, match=r"ledger\.events has retention\.ms=1000, not -1"):
        topics.apply(kafka_bootstrap_servers, names, partitions=4, replication=1)


def test_replication_asks_for_acknowledged_replicas():
    """With three replicas two must acknowledge; with one, one."""
    in_sync = [
        {
            topic.config["min.insync.replicas"]
            for topic in topics.wanted(Topics(), partitions=1, replication=replication)
        }
        for replication in (1, 2, 3)
    ]
    assert in_sync == [{"1"}, {"1"}, {"2"}]


def test_a_broker_that_is_not_there_is_an_error_of_the_infrastructure(monkeypatch: pytest.MonkeyPatch):
    """Without a broker the client's own exception comes, and never a verdict about the topics."""
    monkeypatch.setattr(topics, "TIMEOUT_S", 1.0)
    with pytest.raises(KafkaException):
        topics.apply("127.0.0.1:9", Topics(), partitions=1, replication=1)
