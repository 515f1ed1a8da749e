"""The deploy step that makes the topics, on a real broker."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from patience import IMPATIENT
from patience.kafka import LATEST
from schemas import topics
from schemas.events import EVENTS, VARIANTS
from schemas.topics import TopicMismatchError, Topics
from tests.support.tcp_proxy import TcpProxy
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


def ends(admin: AdminClient, names: Topics) -> set[int]:
    """The end of every partition, asked once."""
    existing = admin.list_topics(timeout=10).topics
    partitions = [TopicPartition(name, partition) for name in names.all for partition in existing[name].partitions]
    answers = admin.list_offsets(dict.fromkeys(partitions, LATEST))
    return {answer.result(30).offset for answer in answers.values()}


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
        *(f"eu.{event_type}" for event_type in EVENTS | VARIANTS),
    }


def test_applying_twice_creates_once(kafka_bootstrap_servers: str, admin: AdminClient, names: Topics):
    """Everything missing is created and answers at once, without a second try; a second run finds nothing to do."""
    assert set(topics.apply(kafka_bootstrap_servers, names, partitions=4, replication=1)) == set(names.all)
    assert ends(admin, names) == {0}
    assert topics.apply(kafka_bootstrap_servers, names, partitions=4, replication=1) == []
    existing = admin.list_topics(timeout=10).topics
    assert len(existing[names.events].partitions) == len(existing[names.of_type("bet.settled")].partitions) == 4
    assert len(existing[names.relay_position].partitions) == 1
    events, position = config(admin, names.events), config(admin, names.relay_position)
    assert events["retention.ms"] == events["retention.bytes"] == "-1"
    assert events["cleanup.policy"] == "delete"
    assert events["unclean.leader.election.enable"] == "false"
    assert position["cleanup.policy"] == "compact"


def test_applying_several_times_at_once_creates_each_topic_once(kafka_bootstrap_servers: str, names: Topics):
    """Of several deployments at the same time each succeeds, and each topic is created by one of them."""
    with ThreadPoolExecutor(3) as threads:
        made = list(
            threads.map(lambda _: topics.apply(kafka_bootstrap_servers, names, partitions=1, replication=1), range(3))
        )
    assert sorted(name for each in made for name in each) == sorted(names.all)


def test_brokers_that_come_back_are_waited_for(
    kafka_bootstrap_servers: str, names: Topics, monkeypatch: pytest.MonkeyPatch
):
    """A broker that does not answer at first is asked again, and the topics are made."""
    monkeypatch.setattr(topics, "TIMEOUT_S", 1.0)
    host, port = kafka_bootstrap_servers.split(",", maxsplit=1)[0].rsplit(":", 1)

    async def apply_through_proxy() -> list[str]:
        async with TcpProxy(host, int(port)) as proxy:
            proxy.deaf = True
            loop = asyncio.get_running_loop()

            def come_back(_: logging.LogRecord) -> bool:
                proxy.deaf = False
                loop.call_soon_threadsafe(proxy.cut)
                return True

            log = logging.getLogger("wagerledger.patience")
            log.addFilter(come_back)
            try:
                return await asyncio.to_thread(
                    topics.apply, f"127.0.0.1:{proxy.port}", names, partitions=1, replication=1
                )
            finally:
                log.removeFilter(come_back)

    assert set(asyncio.run(apply_through_proxy())) == set(names.all)


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
        topics.apply("127.0.0.1:9", Topics(), partitions=1, replication=1, patience=IMPATIENT)
