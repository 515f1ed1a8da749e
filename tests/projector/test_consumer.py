import os
import signal
import subprocess
import sys
import threading

import pytest
from confluent_kafka.admin import AdminClient
from prometheus_client import REGISTRY

from projector import database, models
from projector.checkpoint import Advance, Checkpoint, CheckpointMovedError, CheckpointOutsideTopicError, Source
from projector.consumer import refold
from runtime.settings import Settings
from schemas import topics
from schemas.topics import Topics
from tests.support.random_ledger import Ledger, random_ledger
from tests.support.seeds import seeded_random
from tests.support.waiting import until

# Dies as by a power cut in the given batch: after its rows were written, before they were committed.
DIES = """
import os, signal, sys, threading
from runtime.settings import Settings
from projector import consumer, models
from projector.projection import Projection

left = int(sys.argv[1])

def die(events, tables):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

ensure = models.ensure
models.ensure = lambda connection: (*ensure(connection), Projection("power cut", 1, "", "", die))
consumer.project(Settings(), threading.Event(), until_caught_up=True)
"""


def environment(settings) -> dict[str, str]:
    """The settings as a process gets them."""
    names = (
        "bi_database_url",
        "kafka_bootstrap_servers",
        "schema_registry_url",
        "topic_prefix",
        "projector_batch",
        "metrics_port",
    )
    values = {name: getattr(settings, name) for name in names}
    return os.environ | {
        f"WAGERLEDGER_{name.upper()}": value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in values.items()
        if value is not None
    }


def restarts(cause: str) -> float:
    return REGISTRY.get_sample_value("wagerledger_projector_restarts_total", {"cause": cause}) or 0


def test_projector_killed_before_the_commit_loses_and_doubles_nothing(settings, publisher, read_models):
    """A kill between writing the rows and committing them leaves no trace: the next projector folds them once."""
    ledger = random_ledger(seeded_random(), 500)
    publisher.publish(ledger.recorded)
    died = subprocess.run([sys.executable, "-c", DIES, "2"], env=environment(settings), timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    read_models.catch_up()
    read_models.must_equal(ledger)


def test_projector_goes_on_where_it_stopped(publisher, read_models):
    """A projector that is started again folds what came meanwhile, and nothing twice."""
    ledger = Ledger()
    published = 0
    before = REGISTRY.get_sample_value("wagerledger_projector_duplicates_total")
    for player in ("anna", "bert", "cora"):
        ledger.play(player, bets=10)
        publisher.publish(ledger.recorded[published:])
        published = len(ledger.recorded)
        read_models.catch_up()
        read_models.must_equal(ledger)
    assert REGISTRY.get_sample_value("wagerledger_projector_duplicates_total") == before


def test_two_projectors_share_and_hand_over(settings, publisher, read_models):
    """Projectors that join and leave the group while events come split the work, and together fold each event once."""
    ledger = random_ledger(seeded_random(), 900)
    third = len(ledger.recorded) // 3
    folded = "select coalesce(sum(version), 0) >= {} from projections.streams"
    with read_models.kept_up():
        publisher.publish(ledger.recorded[:third])
        read_models.wait_until(folded.format(third))
        with read_models.kept_up():
            wait_for_members(settings, 2)
            publisher.publish(ledger.recorded[third : 2 * third])
            read_models.wait_until(folded.format(2 * third))
        publisher.publish(ledger.recorded[2 * third :])
        read_models.wait_until(folded.format(len(ledger.recorded)))
    read_models.must_equal(ledger)


def test_two_owners_of_one_partition_fold_each_event_once(settings, publisher, read_models):
    """Where two projectors believe that a partition is theirs, the loser of each race notices and starts from the winner's checkpoint."""
    ledger = random_ledger(seeded_random(), 900)
    with read_models.kept_up(), read_models.kept_up(projector_group="another-group"):
        publisher.publish(ledger.recorded)
        read_models.wait_until(f"select coalesce(sum(version), 0) >= {len(ledger.recorded)} from projections.streams")
    read_models.must_equal(ledger)


def test_zombie_s_transaction_fails(settings):
    """A checkpoint moves only from where its owner last saw it; whoever lost it changes nothing."""
    with database.connect(settings.bi_database_url) as connection:
        models.ensure(connection)
        zombie, owner = Checkpoint(), Checkpoint()
        first, second = Source("t", 0), Source("t", 1)
        with database.transaction(connection) as tables:
            zombie.load(tables, [first, second])
            owner.load(tables, [first, second])
        with database.transaction(connection) as tables:
            owner.advance(tables, {second: Advance(10)})
        with pytest.raises(CheckpointMovedError), database.transaction(connection) as tables:
            zombie.advance(tables, {first: Advance(5), second: Advance(7)})
        assert connection.execute("select partition, next_offset from checkpoints order by 1").fetchall() == [
            (0, 0),
            (1, 10),
        ]


def test_refold_under_a_running_projector(settings, publisher, read_models):
    """A refold while a projector runs makes it begin again, with the same result."""
    ledger = random_ledger(seeded_random(), 600)
    half = len(ledger.recorded) // 2
    before = restarts("CheckpointMovedError")
    with read_models.kept_up():
        publisher.publish(ledger.recorded[:half])
        read_models.wait_until(f"select coalesce(sum(version), 0) >= {half} from projections.streams")
        refold(settings)
        publisher.publish(ledger.recorded[half:])
        read_models.wait_until(f"select coalesce(sum(version), 0) >= {len(ledger.recorded)} from projections.streams")
    assert restarts("CheckpointMovedError") > before
    read_models.must_equal(ledger)


def test_offsets_that_the_topic_does_not_have_are_refused(settings, read_models):
    """Read models that come from another topic than this one are not continued on it."""
    read_models.catch_up()
    with database.connect(settings.bi_database_url) as connection:
        connection.execute("update projections.checkpoints set next_offset = 1000")
    with pytest.raises(CheckpointOutsideTopicError, match="--refold"):
        read_models.catch_up()


def test_a_topic_that_was_made_anew_is_refused(settings, publisher, read_models):
    """However many records it has: what stands before the checkpoint may never have been folded. Without the id of the old
    one nothing tells them apart.
    """
    publisher.publish(random_ledger(seeded_random(), 60).recorded)
    read_models.catch_up()
    ledger = random_ledger(seeded_random(), 600)
    made_anew(settings)
    publisher.publish(ledger.recorded)
    with pytest.raises(CheckpointOutsideTopicError, match=r"made anew.*--refold"):
        read_models.catch_up()
    with database.connect(settings.bi_database_url) as connection:
        connection.execute("update projections.checkpoints set topic_id = null")
    read_models.catch_up()
    refold(settings)
    read_models.catch_up()
    read_models.must_equal(ledger)


def made_anew(settings: Settings) -> None:
    names, admin = Topics(settings.topic_prefix), AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    admin.delete_topics([names.events])[names.events].result(60)
    until(lambda: names.events not in admin.list_topics(timeout=10).topics, "the end of the topic")
    topics.apply(settings.kafka_bootstrap_servers, names, partitions=settings.topic_partitions, replication=1)


def test_models_of_another_version_are_refused(settings, read_models):
    """Tables that were made by other code are not written to; the message names them and the way out."""
    read_models.catch_up()
    with database.connect(settings.bi_database_url) as connection:
        connection.execute("update projections.models set version = 99 where name = 'bets'")
    with pytest.raises(models.OutdatedModelsError, match=r"newer code: bets \(there 99, here .*--refold"):
        read_models.catch_up()
    refold(settings)
    read_models.catch_up()


def test_process_serves_metrics_and_stops_in_order(settings, publisher, read_models):
    """The projector as a process folds, and ends with 0 on SIGTERM."""
    ledger = Ledger()
    ledger.play("anna", bets=3)
    publisher.publish(ledger.recorded)
    code = "from runtime.settings import Settings; from projector.consumer import run; run(Settings())"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(settings.model_copy(update={"metrics_port": 0})),
        stdout=subprocess.DEVNULL,
    )
    try:
        read_models.wait_until("select count(*) = 3 from bi.bets")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
    read_models.must_equal(ledger)


def wait_for_members(settings, count: int) -> None:
    group = f"{settings.topic_prefix}{settings.projector_group}"
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    stop = threading.Event()
    for _ in range(300):
        described = admin.describe_consumer_groups([group])[group].result(60)
        if len(described.members) == count and all(member.assignment.topic_partitions for member in described.members):
            return
        stop.wait(0.1)
    raise AssertionError(f"{group} never had {count} members")
