"""The audit of the topics: by themselves, and against the database."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from audit.findings import AuditReport, CannotCheckError
from audit.reconcile.stores import reconcile
from audit.replay import replay
from audit.verify import verify
from ledger.core.chain import hash_of
from ledger.relay_position import shard_of
from outbox_relay.relay import Relay
from patience import is_transient
from patience.kafka import LATEST
from runtime.settings import Settings
from runtime.topics_reader import Ends, TopicsReader
from schemas.events import BY_FINGERPRINT, EVENTS
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.topic_filler import Kafka, Logged, kafka_of, logged, refused
from tests.support.waiting import until


@pytest.fixture(scope="module")
def log(ledger_database_of_module) -> list[Logged]:
    """A random history, in the order in which a relay publishes it."""
    play(Settings(database_url=ledger_database_of_module), seeded_random(), players=4, steps=20)
    return logged(ledger_database_of_module)


@pytest.fixture
def kafka(servers, ledger_database_of_module, topic_prefix, wire_ids) -> Iterator[Kafka]:
    with kafka_of(servers, ledger_database_of_module, topic_prefix, wire_ids) as opened:
        yield opened


def texts(report: AuditReport, code: str) -> str:
    assert code in report.counts, f"no {code} in\n{report.text()}"
    return "\n".join(str(finding) for finding in report.findings if finding.code == code)


def of_player(log: list[Logged], name: str = "p0") -> list[Logged]:
    return [row for row in log if row.stream_id == name]


def changed(row: Logged, change: Callable[[dict], dict]) -> Logged:
    schema = BY_FINGERPRINT[row.fingerprint]
    record = schema.decode(row.body)
    record |= change(record)
    return Logged(
        record["tenant_id"],
        record["stream_type"],
        record["stream_id"],
        record["stream_version"],
        row.event_type,
        row.fingerprint,
        schema.encode(record),
    )


def test_what_was_published_truly_is_clean(kafka, log):
    """Topics that hold the log once, in its order, verify without a finding, strictly too, and all of it was read."""
    kafka.publish(log)
    kafka.publish_refusals(refusals := refused(kafka.settings.database_url.get_secret_value()))
    report = kafka.check(strict=True)
    assert report.ok, report.text()
    assert report.checked["topics.events"] == report.checked["database.events"] == len(log)
    assert report.checked["topics.not_yet_published"] == 0
    assert report.checked["topics.refusals"] == len(refusals) > 1


def test_topics_are_checked_without_the_database(kafka, log):
    """Whoever has the topics alone can verify order and chain."""
    kafka.publish(log)
    without = kafka.settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/none"})
    report = verify(without, database=False)
    assert report.ok, report.text()
    assert "database.events" not in report.checked


def test_empty_topics_are_only_behind(kafka, log):
    """Before the relay's first word everything is unpublished, and nothing is wrong; in a system at rest it is."""
    report = kafka.check()
    assert report.ok, report.text()
    assert report.checked["topics.not_yet_published"] == len(log)
    streams = {(row.tenant_id, row.stream_type, row.stream_id) for row in log}
    refusals = report.checked["topics.refusals_not_yet_published"]
    assert kafka.check(strict=True).counts == {"topic_unpublished": len(streams), "refusal_unpublished": refusals}


def test_the_tail_may_be_behind(kafka, log):
    """A relay that has come half way has left nothing out."""
    half = len(log) // 2
    kafka.publish(log[:half])
    kafka.pass_over(log[half - 1])
    report = kafka.check()
    assert report.ok, report.text()
    assert report.checked["topics.not_yet_published"] == len(log) - half


def test_the_tail_that_a_topic_has_lost_is_found(kafka, log):
    """What the relay says it has published, and the topic ends before, is named; a position of another log, as after a
    failover, is no word for this one.
    """
    kafka.publish(log[:-1])
    kafka.pass_over(log[-1])
    last = log[-1]
    assert f"/{last.stream_id} version {last.version}: " in texts(kafka.check(), "topic_unpublished")
    kafka.pass_over(replace(last, body=b"of another log"))
    report = kafka.check()
    assert report.ok, report.text()
    assert any("position of shard 0" in note for note in report.notes)


def test_a_position_that_is_none_is_found(kafka, log):
    """Nothing is concluded from what is no position."""
    kafka.publish(log)
    kafka.producer.produce(kafka.names.relay_position, b"nonsense", "0")
    kafka.producer.flush()
    assert "not a position" in texts(kafka.check(), "topic_undecodable")


def test_an_event_left_out_is_found(kafka, log):
    """An event that is missing although later ones are there is named, inside a stream and at its end."""
    left_out = of_player(log)[3]
    last = of_player(log, "p1")[-1]
    kafka.publish(row for row in log if row not in (left_out, last))
    kafka.pass_over(log[-1])
    report = kafka.check()
    assert f"{left_out.tenant_id}/player/p0 version {left_out.version}" in texts(report, "topic_version_missing")
    assert f"{last.tenant_id}/player/p1 version {last.version}" in texts(report, "topic_unpublished")


def test_an_event_that_nobody_decided_is_found(kafka, log):
    """An event that the database lacks is named, also when it continues a true chain, and also in a stream that does not exist."""
    head = of_player(log)[-1]
    forged = changed(head, lambda record: {"stream_version": head.version + 1, "previous_hash": hash_of(head.body)})
    ghost = changed(of_player(log)[0], lambda record: {"stream_id": "ghost", "player_id": "ghost"})
    kafka.publish([*log, forged, ghost])
    found = texts(kafka.check(), "topic_not_in_database")
    assert f"{head.tenant_id}/player/p0 version {head.version + 1}" in found
    assert "ghost" in found


def test_another_last_event_is_found(kafka, log):
    """A head with other bytes than the database's is named."""
    head = of_player(log)[-1]
    kafka.publish(row if row != head else changed(head, lambda record: {"region": "elsewhere"}) for row in log)
    assert f"version {head.version}" in texts(kafka.check(), "topic_not_in_database")


def test_a_broken_chain_is_found(kafka, log):
    """A changed event in the middle is found without the database."""
    row = of_player(log)[4]
    kafka.publish(one if one != row else changed(row, lambda record: {"region": "elsewhere"}) for one in log)
    assert f"version {row.version + 1}" in texts(kafka.check(database=False), "topic_chain_broken")


def test_a_chain_with_recomputed_hashes_is_found(kafka, log, monkeypatch):
    """Money from nowhere shows by itself, in a chain that fits together, whether one process reads the topics or more;
    the database has another end of that chain.
    """
    forged, before = [], None
    for row in log:
        if row.stream_id == "p0" and row.version >= 4:
            more = [{"account": "cash", "amount_minor": 7, "currency": "EUR"}] if row.version == 4 else None
            before = before or hash_of(of_player(log)[2].body)
            row = changed(row, lambda record: {"previous_hash": before, "postings": more or record["postings"]})  # noqa: B023, PLW2901
            before = hash_of(row.body)
        forged.append(row)
    kafka.publish(forged)
    for least in (10**6, 0):
        monkeypatch.setattr("audit.topics.LEAST_RECORDS", least)
        report = kafka.check(database=False)
        assert "/player/p0 version 4: its postings sum to" in texts(report, "postings_unbalanced")
        assert "topic_chain_broken" not in report.counts
        assert report.checked["topics.events"] == len(log)
    report = kafka.check()
    assert f"version {of_player(log)[-1].version}" in texts(report, "topic_not_in_database")


def test_a_duplicate_is_counted(kafka, log):
    """A raw duplicate is counted and is no fault; one with other bytes is."""
    row = of_player(log)[2]
    kafka.publish([*log, row])
    report = kafka.check()
    assert report.ok, report.text()
    assert report.checked["topics.duplicates"] == 1
    kafka.publish([changed(row, lambda record: {"region": "elsewhere"})])
    assert f"version {row.version}" in texts(kafka.check(), "topic_not_in_database")


def test_another_order_is_found(kafka, log):
    """A stream's events in another order than they happened are named."""
    rows = of_player(log)
    others = [row for row in log if row not in rows]
    rows[2], rows[3] = rows[3], rows[2]
    kafka.publish([*others, *rows])
    report = kafka.check()
    assert f"version {rows[3].version}" in texts(report, "topic_disordered")
    assert "topic_version_missing" not in report.counts


def test_faces_that_differ_are_found(kafka, log):
    """An event in one of its two topics only is named, with its id."""
    first, second = of_player(log)[1], of_player(log)[2]
    kafka.publish(row for row in log if row not in (first, second))
    kafka.publish([first, second], of_type=False)
    kafka.publish([second], events=False)
    extra = changed(first, lambda record: {"region": "elsewhere"})
    kafka.publish([extra], events=False)
    report = kafka.check(database=False)
    event_id = BY_FINGERPRINT[first.fingerprint].decode(first.body)["event_id"]
    assert event_id in texts(report, "type_topic_missing")
    assert event_id in texts(report, "type_topic_extra")
    assert report.counts["type_topic_missing"] == report.counts["type_topic_extra"] == 1


@pytest.mark.parametrize("value", [b"", b"\0", b"not avro at all", b"\0\0\0\0\1", b"\0\xff\xff\xff\xff body"])
def test_a_record_that_is_no_event_is_found(kafka, log, value):
    """Anything else in a topic is a finding with its place, not a crash."""
    kafka.publish(log)
    kafka.write(kafka.names.events, value)
    kafka.write(kafka.names.of_type("bet.settled"), value)
    found = texts(kafka.check(), "topic_undecodable")
    assert f"{kafka.names.events} partition" in found
    assert "bet.settled partition" in found


def test_an_event_in_another_type_topic_is_found(kafka, log):
    """A type topic holds its own type only."""
    kafka.publish(log)
    row = next(row for row in log if row.event_type == "bet.authorized")
    kafka.write(kafka.names.of_type("bet.settled"), kafka.wire_ids.of(row.fingerprint).of_type + row.body)
    assert "it is a bet.authorized, not a bet.settled" in texts(kafka.check(), "topic_undecodable")


def test_missing_topics_and_silent_servers_are_no_verdict(kafka):
    """What cannot be read is neither right nor wrong, and the error names the variable."""
    for change, variable in (
        ({"topic_prefix": "nowhere."}, "WAGERLEDGER_TOPIC_PREFIX"),
        ({"kafka_bootstrap_servers": "127.0.0.1:1"}, "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS"),
    ):
        with pytest.raises(CannotCheckError, match=variable):
            verify(kafka.settings.model_copy(update=change | {"patience_s": 0}), database=False)


def test_a_wallet_is_replayed_from_the_topics(kafka, log):
    """Database and topics tell the same story of a wallet."""
    kafka.publish([*log, of_player(log)[0]])
    wallet = f"{of_player(log)[0].tenant_id}/p0/EUR"
    assert replay(kafka.settings, wallet, source="topics") == replay(kafka.settings, wallet)


@pytest.fixture
def half_marked(kafka, log, servers, topic_prefix) -> Iterator[Producer]:
    """A commit whose marks are on their way: all is visible and the relay's position is past it, but for one event in both
    of its topics and one refusal, which a Kafka transaction that is still open holds.
    """
    on_its_way = of_player(log)[-1]
    refusals = refused(kafka.settings.database_url.get_secret_value())
    producer = Producer(
        {
            "bootstrap.servers": servers.kafka_bootstrap_servers,
            "partitioner": "murmur2_random",
            "transactional.id": f"{topic_prefix}marks",
        }
    )
    kafka.publish(row for row in log if row != on_its_way)
    kafka.publish_refusals(refusals[:-1])
    producer.init_transactions(30)
    producer.begin_transaction()
    in_transaction = replace(kafka, producer=producer)
    in_transaction.publish([on_its_way])
    in_transaction.publish_refusals(refusals[-1:])
    kafka.pass_over(log[-1], refusals[-1])
    yield producer
    producer.purge(blocking=False)


def test_marks_that_are_on_their_way_are_waited_for(half_marked, kafka, monkeypatch, caplog):
    """An event that cannot be seen yet while later ones in other partitions can is no finding: audit and reconciliation
    wait for it, and then find all there.
    """
    monkeypatch.setattr("runtime.topics_reader.SAID_AFTER_S", 0)
    with ThreadPoolExecutor() as pool:
        checking = pool.submit(kafka.check, strict=True)
        reconciling = pool.submit(reconcile, kafka.settings, read_models=False)
        until(lambda: caplog.text.count("is held up") == 2, "both to wait for the end of a topic")
        half_marked.commit_transaction(30)
        assert (report := checking.result()).ok, report.text()
        (result,) = reconciling.result()
        assert result.ok, result.differences


def test_reading_once_as_far_as_is_visible_raises_a_false_alarm(half_marked, kafka, monkeypatch):
    """The planted fault: who takes the last stable offsets of one moment for the ends accuses a healthy system."""
    monkeypatch.setattr(TopicsReader, "ends", visible_ends)
    assert set(kafka.check().counts) == {"topic_unpublished", "refusal_unpublished"}
    (result,) = reconcile(kafka.settings, read_models=False)
    assert {one.outcome for one in result.differences} == {"missing_there"}
    half_marked.abort_transaction(30)


def visible_ends(reader: TopicsReader, topics: Iterable[str]) -> Ends:
    return reader._offsets(reader.spans(topics), LATEST, committed=True)


def test_a_hanging_transaction_is_no_verdict(half_marked, kafka, monkeypatch):
    """Where the end of a topic stays held up the audit says so, and where, instead of naming events; once the transaction
    is aborted, what it held is missing.
    """
    monkeypatch.setattr("runtime.topics_reader.HELD_UP_S", 0.2)
    for check in (kafka.check, lambda: reconcile(kafka.settings, read_models=False)):
        with pytest.raises(CannotCheckError, match=r"partition \d+, is held up.*: .*open at offset \d+") as raised:
            check()
        assert not is_transient(raised.value)
    half_marked.abort_transaction(30)
    assert set(kafka.check().counts) == {"topic_unpublished", "refusal_unpublished"}


def test_each_shard_is_held_to_its_own_position(kafka, log):
    """Of several shards each may be behind as far as its position says, whatever number of them the auditor believes in."""
    shards = 2
    of_shard = [[row for row in log if shard_of(row.stream, shards) == shard] for shard in range(shards)]
    assert all(of_shard), "both shards have streams"
    ahead, behind = of_shard
    missing = ahead[-1]
    kafka.publish(row for row in log if row in ahead[:-1] or row in behind[:2])
    kafka.pass_over(ahead[-2], shard=0, shards=shards)
    kafka.pass_over(behind[1], shard=1, shards=shards)
    report = kafka.check()
    assert report.ok, report.text()
    assert report.checked["topics.not_yet_published"] == len(behind) - 2 + 1
    kafka.pass_over(missing, shard=0, shards=shards)
    assert kafka.check().counts == {"topic_unpublished": 1}


def test_a_running_system_is_clean(servers, ledger_database, topic_prefix):
    """While the journal writes and the relay publishes, the audit takes nothing that is on its way for lost."""
    rng, stop, reports = seeded_random(), threading.Event(), []
    with kafka_of(servers, ledger_database, topic_prefix) as kafka, ThreadPoolExecutor() as pool:
        relay = pool.submit(Relay(kafka.settings.model_copy(update={"relay_batch_rows": 20})).run, stop)
        playing = pool.submit(play, kafka.settings, rng, players=8, steps=60)
        try:
            while not playing.done():
                reports.append(kafka.check())
        finally:
            stop.set()
        playing.result()
        assert not relay.result()
    assert reports
    for report in reports:
        assert report.ok, report.text()


def test_every_type_is_compared(log):
    """The random history is worth the name: most event types are in it."""
    with_rules = [schema for schema in EVENTS.values() if not schema.announced]
    assert len({row.event_type for row in log}) >= len(with_rules) * 2 / 3
