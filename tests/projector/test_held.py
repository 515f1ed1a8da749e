"""A stranger's Kafka transaction that is left open: readers stand still before it, and everybody is told."""

import structlog
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from prometheus_client import REGISTRY

from projector import consumer
from projector import held_partitions as held
from projector.checkpoint import Source
from projector.producers import producer_at
from schemas.topics import Topics
from tests.support.random_ledger import Ledger
from tests.support.read_models import PARTITIONS
from tests.support.waiting import until


def lag(kind: str) -> float:
    return REGISTRY.get_sample_value(f"wagerledger_projector_lag_{kind}") or 0


def test_an_open_transaction_is_no_end_of_the_topic(settings, publisher, read_models, monkeypatch):
    """While it is open what follows waits: the as-of time stands, lag grows, and the log names the place, how to find the
    producer and how to end it. Once it is ended, all is as it was without it."""
    monkeypatch.setattr(held, "HELD_AFTER_S", 0.2)
    monkeypatch.setattr(consumer, "NOTE_EVERY_S", 0.1)
    ledger = Ledger()
    ledger.play("anna", bets=5)
    publisher.publish(ledger.recorded)
    begun: dict[int, int] = {}

    def delivered(_, message):
        begun[message.partition()] = message.offset()

    with structlog.testing.capture_logs() as lines, read_models.kept_up():
        read_models.wait_until(f"select bool_and(caught_up_at is not null) and sum(next_offset) >= {len(ledger.recorded)} from bi.freshness")  # fmt: skip
        stranger = Producer(
            {"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": f"{settings.topic_prefix}stranger"}
        )  # fmt: skip
        stranger.init_transactions()
        stranger.begin_transaction()
        topic = Topics(settings.topic_prefix).events
        for partition in range(PARTITIONS):
            stranger.produce(topic, b"not yet", partition=partition, on_delivery=delivered)
        stranger.flush()
        published = len(ledger.recorded)
        ledger.play("anna", bets=5)
        publisher.publish(ledger.recorded[published:])
        read_models.wait_until(
            "select bool_and(waiting_records > 0) from bi.freshness where right(topic, 6) = 'events'"
        )
        (stands,) = read_models.query("select max(complete_until) from bi.freshness where right(topic, 6) = 'events'")
        read_models.wait_until("select bool_or(caught_up_at > now() - interval '1 s') from bi.freshness where right(topic, 8) = 'refusals'")  # fmt: skip
        assert read_models.query("select max(complete_until) from bi.freshness where right(topic, 6) = 'events'") == [
            stands
        ]
        assert lag("rows") >= PARTITIONS
        assert lag("seconds") > 0
        said = until(
            lambda: (
                {one["partition"]: one for one in lines if one["event"] == "topic_held_up"}
                if sum(one["event"] == "topic_held_up" for one in lines) >= PARTITIONS
                else None
            ),
            "a line for each partition",
        )
        for partition, offset in begun.items():
            assert said[partition]["offset"] == offset
            assert type(said[partition]["producer_id"]) is int
            assert (
                f"abort --topic {topic} --partition {partition} --start-offset {offset}" in said[partition]["ended_by"]
            )
        looking = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
        assert held.held_up(looking, [topic], watch_s=0.1) == {
            Source(topic, at): offset for at, offset in begun.items()
        }
        assert len({one["producer_id"] for one in said.values()}) == 1
        assert producer_at(looking, topic, 0, begun[0] + 1) is None, "no other transaction begins beside it"
        stranger.abort_transaction()
        read_models.wait_until("select bool_and(waiting_records = 0) from bi.freshness")
        until(lambda: lag("rows") == lag("seconds") == 0, "a projector that has caught up")
    assert held.held_up(looking, [topic], watch_s=60) == {}
    assert [one["event"] for one in lines].count("topic_released") == PARTITIONS
    read_models.must_equal(ledger)
