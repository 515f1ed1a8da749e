"""Read models are rebuilt beside the live ones, and take their place without anybody noticing but by better rows."""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import make_url

from ledger.streams import StreamKey
from projector import models
from projector import rebuild as rebuilding
from projector.archive import partition_of
from projector.database import LOCK
from projector.models import OutdatedModelsError
from projector.rebuild import RebuildError, rebuild
from runtime.settings import Settings
from schemas import registry
from schemas.events import REFUSAL
from schemas.topics import Topics
from tests.support.random_ledger import Ledger, random_ledger
from tests.support.read_models import PARTITIONS
from tests.support.relays import running
from tests.support.seals import archive, deposit, opened, seal
from tests.support.seeds import seeded_random

FOLDED = "select coalesce(sum(version), 0) >= {} from projections.streams"
SHADOWS = "select count(*) from pg_namespace where nspname in ('projections_rebuild', 'projections_replaced')"


@pytest.fixture
def ledger() -> Ledger:
    return random_ledger(seeded_random(), 500)


@pytest.fixture
def refusals(settings, publisher, wire_ids):
    """Publishes refusals of players."""
    topic = replace(publisher, topic=Topics(settings.topic_prefix).refusals)

    def publish(*numbers: int) -> None:
        topic.publish_raw((f"brand-a/p{n % 3}", wire_ids.of_refusals() + REFUSAL.encode(refusal(n))) for n in numbers)

    return publish


def refusal(n: int) -> dict[str, object]:
    return {
        "command_id": f"00000000-0000-7000-8000-{n:012}", "refused_at": 1_750_000_000_000_000 + n,
        "tenant_id": "brand-a", "region": "eu", "integration_id": "brand-a/eu/acme", "provider_id": "acme",
        "player_id": f"p{n % 3}", "kind": "AuthorizeBet", "code": "INSUFFICIENT_FUNDS", "details": "{}",
        "operation": "bet", "idempotency_key": f"key-{n}", "fingerprint": None, "asked": "{}", "kid": "k",
        "trace_id": f"trace-{n}",
    }  # fmt: skip


@pytest.fixture
def least(settings, read_models) -> Iterator[Settings]:
    """The settings with a login of the projector's own, which may make schemas in its database and nothing else."""
    url, role = settings.bi_database_url.get_secret_value(), f"projector_{secrets.token_hex(4)}"
    own = make_url(url).set(username=role, password="secret")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'secret'")
        connection.execute(f'grant create on database "{own.database}" to {role}')
        changed = {"bi_database_url": SecretStr(own.render_as_string(hide_password=False))}
        read_models.settings = settings.model_copy(update=changed)
        yield read_models.settings
        connection.execute(f"drop owned by {role} cascade")
        connection.execute(f"drop role {role}")


@contextlib.contextmanager
def reader(url: str) -> Iterator[None]:
    """Somebody who asks the views all the time; an error, or a moment without rows, is raised here."""
    done, failures = threading.Event(), []

    def read() -> None:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                while not done.wait(0.01):
                    assert connection.execute("select count(*) > 0 from bi.balances").fetchone() == (True,)
        except Exception as error:  # noqa: BLE001, whatever it is
            failures.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert failures == []


def test_a_model_is_rebuilt_under_readers_and_a_running_projector(
    settings, least, ledger, publisher, refusals, read_models
):
    """Wrong rows are found and replaced while events come and views are read, by a role that may do nothing else; grants on the views, and other people's views on them, live on."""
    url = settings.bi_database_url.get_secret_value()
    half = len(ledger.recorded) // 2
    with read_models.kept_up():
        publisher.publish(ledger.recorded[:half])
        refusals(*range(20), *range(5))
        read_models.wait_until(FOLDED.format(half))
        read_models.wait_until("select count(*) = 20 from bi.refusals")
        with psycopg.connect(url) as connection:
            connection.execute("create view public.rich as select * from bi.balances where cash_minor > 0")
            connection.execute("grant select on bi.balances to pg_monitor")
            connection.execute("update projections.balances set cash_minor = cash_minor + 1")
        with reader(url):
            publisher.publish(ledger.recorded[half:])
            found = rebuild(least, "balances")
            again = rebuild(least, "all")
        read_models.wait_until(FOLDED.format(len(ledger.recorded)))
    assert "balances" in [table.table for table in found.differing]
    assert found.same_gate
    assert again.differing == []
    read_models.must_equal(ledger)
    assert superuser(settings, "select count(*) > 0 from public.rich") == (True,)
    assert read_models.query("select has_table_privilege('pg_monitor', 'bi.balances', 'select')") == [(True,)]
    assert read_models.query(
        "select count(*) = 6 and bool_and(next_offset = 0 or as_of is not null) from bi.freshness"
    ) == [(True,)]
    assert read_models.query("select count(*) from bi.refusals") == [(20,)]
    assert read_models.query(SHADOWS) == [(0,)]


def test_an_outdated_model_stands_still_and_is_rebuilt_alone(settings, ledger, publisher, read_models):
    """A model with an older version than the code gets no more events, says so, and leaves the others going on, until it is rebuilt; so does one that is new. A rebuild that is killed leaves all as it was, and the next cleans up."""
    half = len(ledger.recorded) // 2
    publisher.publish(ledger.recorded[:half])
    read_models.catch_up()
    before = read_models.query("select count(*) from bi.rounds")
    with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
        connection.execute("update projections.models set version = version - 1 where name = 'rounds'")
        connection.execute("drop view bi.sessions, bi_masked.sessions cascade")
        connection.execute("drop table projections.sessions cascade")
        connection.execute("delete from projections.models where name = 'sessions'")
    publisher.publish(ledger.recorded[half:])
    read_models.catch_up()
    assert read_models.query("select count(*) from bi.rounds") == before
    assert read_models.query("select model from bi.models where stopped_at is not null") == [("rounds",)]
    assert REGISTRY.get_sample_value("wagerledger_projector_models_stopped") >= 2
    impatient = settings.model_copy(update={"patience_s": 0})
    with pytest.raises(psycopg.OperationalError):
        rebuild(impatient, "rounds", progress=lambda step, done, total: kill(settings))
    assert read_models.query("select count(*) from bi.rounds") == before
    assert read_models.query(SHADOWS) == [(1,)]
    for model in ("rounds", "sessions"):
        found = rebuild(settings, model)
        assert found.differing == []
    read_models.catch_up()
    assert REGISTRY.get_sample_value("wagerledger_projector_models_stopped") == 0
    read_models.must_equal(ledger)
    with pytest.raises(RebuildError, match=r"there is no read model 'nonsense'; there are .*balances"):
        rebuild(settings, "nonsense")
    with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
        connection.execute("update projections.models set version = 99 where name = 'rounds'")
    with pytest.raises(OutdatedModelsError, match="newer code: rounds"):
        rebuild(settings, "rounds")


def test_a_rebuild_goes_on_where_it_stopped(settings, ledger, publisher, read_models):
    """A connection that is lost at any step, each of them again and again, costs a rebuild nothing but the batch it was at: it ends as if nothing had been, and folds no record of the topics twice."""
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    seen: list[tuple[str, int, int]] = []

    def kill_at_first(step: str, done: int, total: int) -> None:
        if (step, done, total) not in seen:
            seen.append((step, done, total))
            kill(settings)

    found = rebuild(settings, "all", progress=kill_at_first)
    assert {step for step, _, _ in seen} == {"folding", "comparing"}
    assert [done for step, done, _ in seen if step == "folding"] == sorted(
        {done for step, done, _ in seen if step == "folding"}
    )
    assert found.same_gate
    assert found.differing == []
    read_models.must_equal(ledger)
    assert read_models.query(SHADOWS) == [(0,)]


def test_a_swap_is_done_once_though_its_commit_is_not_heard(settings, ledger, publisher, read_models, monkeypatch):
    """A connection that is lost after the swap's commit is no reason to do it again or to say that it failed."""
    publisher.publish(ledger.recorded[:50])
    read_models.catch_up()
    swaps, swap = [], models.swap
    monkeypatch.setattr(models, "swap", lambda *what: (swaps.append(1), swap(*what)))

    class Unheard(rebuilding._Rebuild):
        def _swap(self) -> bool:
            done = super()._swap()
            if done and not self.connection.closed and not heard:
                heard.append(done)
                kill(settings)
                self.connection.execute("select")
            return done

    heard: list[bool] = []
    monkeypatch.setattr(rebuilding, "_Rebuild", Unheard)
    rebuild(settings, "all")
    assert heard == [True]
    assert len(swaps) == 1
    assert read_models.query(SHADOWS) == [(0,)]


def test_a_rebuild_waits_under_the_settings_that_we_recommend(settings, ledger, publisher, read_models):
    """A server that ends transactions that idle ends no rebuild, however long it waits for the projector's transaction."""
    publisher.publish(ledger.recorded[:50])
    read_models.catch_up()
    url = settings.bi_database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as projector, ThreadPoolExecutor(1) as pool:
        projector.execute(
            f"alter database \"{make_url(url).database}\" set idle_in_transaction_session_timeout = '200ms'"
        )
        projector.execute(f"select pg_advisory_lock_shared({LOCK})")
        impatient = settings.model_copy(update={"patience_s": 0})
        rebuilt = pool.submit(rebuild, impatient, "balances", compare_only=True)
        waits = (
            "select count(*) = 1 from pg_locks l join pg_stat_activity a using (pid) where not l.granted"
            f" and l.locktype = 'advisory' and l.objid = {LOCK & 0xFFFFFFFF} and a.query_start < clock_timestamp() - interval '1 s'"
        )
        read_models.wait_until(waits)
        projector.execute(f"select pg_advisory_unlock_shared({LOCK})")
        assert rebuilt.result(60).differing == []


def superuser(settings, statement: str) -> tuple[object, ...] | None:
    with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
        return connection.execute(statement).fetchone()


def kill(settings) -> None:
    """End the rebuild's connection, as when its process dies."""
    with psycopg.connect(settings.bi_database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(l.pid) from pg_locks l where l.locktype = 'advisory' and l.objid = %s",
            [rebuilding.ONE_REBUILD & 0xFFFFFFFF],
        )


def test_a_rebuild_begins_with_the_archive_where_the_topics_have_lost_it(
    settings, read_models, ledger_database, tmp_path
):
    """Events and refusals that the topics no longer hold come from the archive, the rest from the topics, each once; the rows are the same as before. Without the archive nothing is swapped."""
    settings = settings.model_copy(update={"database_url": SecretStr(ledger_database)})
    names = Topics(settings.topic_prefix)
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        registry.register(client, names)
    with running(settings):
        deposit(ledger_database, opens="p0")
        deposit(ledger_database, opens="p1")
        seal(ledger_database)
        assert archive(ledger_database, tmp_path)
        deposit(ledger_database, player="p0")
        with read_models.kept_up():
            read_models.wait_until("select count(*) = 3 from bi.refusals")
            read_models.wait_until(FOLDED.format(11))
    forget(settings.kafka_bootstrap_servers, names.events, names.refusals)
    with pytest.raises(RebuildError, match="lacks events"):
        rebuild(settings, "all")
    assert rebuild(settings, "all", archive=opened(tmp_path)).differing == []


def forget(servers: str, *topics: str) -> None:
    """What a limited retention does, in every partition but for its last records."""
    admin = AdminClient({"bootstrap.servers": servers})
    partitions = [TopicPartition(topic, partition) for topic in topics for partition in range(PARTITIONS)]
    ends = admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.latest()))
    before = [TopicPartition(at.topic, at.partition, max(0, end.result(60).offset - 6)) for at, end in ends.items()]
    for answer in admin.delete_records(before).values():
        answer.result(60)


def test_partitions_are_those_of_kafka_s_clients():
    """Events of an archive are put where every Kafka client puts their key (values of Kafka's own tests)."""
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "abc": 479470107}
    for text, value in known.items():
        stream = StreamKey("", "integration", text)
        assert partition_of(stream, 1000) == (value & 0x7FFFFFFF) % 1000
