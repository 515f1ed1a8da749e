"""The Spark jobs over topics and archive: the same findings and the same revenue as ours, at small scale."""

import json
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from fastavro import writer

from audit.archive import verify_archive
from audit.findings import AuditReport
from audit.reconcile.revenue import Revenue
from audit.verify import verify
from bench.archive import write_entries
from evidence.archive.reader import open_archive
from evidence.archive.segment import SCHEMA, read
from ledger.entry import EVENT, Entry
from ledger.streams import Recorded
from runtime.progress import silent
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT
from spark.java import NoJavaError, find_java
from tests.support.random_game import play
from tests.support.random_ledger import random_ledger
from tests.support.seals import archive, seal
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_topic_prefix
from tests.support.topic_filler import Kafka, Logged, kafka_of

try:
    find_java()
except NoJavaError as error:
    pytest.skip(str(error), allow_module_level=True)
pytest.importorskip("pyspark", reason="pyspark is not installed: run `make test-spark`")

from spark import revenue
from spark.session import session
from spark.verify import check

# Py4J leaves its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

PLAYER = "brand-a", "player", "player-0"
OTHER = "brand-b", "player", "player-1"
THIRD = "brand-a", "player", "player-2"
FOURTH = "brand-b", "player", "player-3"


@pytest.fixture(scope="module")
def spark():
    """Spark leaves its environment and its handler of Ctrl-C in this process: they are put back."""
    environment, interrupt = dict(os.environ), signal.getsignal(signal.SIGINT)
    try:
        with session("tests", "local[2]") as opened:
            yield opened
    finally:
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGINT, interrupt)


@cache
def history() -> tuple[Recorded, ...]:
    return tuple(random_ledger(seeded_random(), 2500, pace_us=60_000_000).recorded)


def decoded(one: Recorded | Entry) -> dict:
    fingerprint = one.fingerprint if isinstance(one, Entry) else one.schema_fingerprint
    return BY_FINGERPRINT[fingerprint].decode(one.body)


def changed(one: Recorded, **change) -> Recorded:
    schema = BY_FINGERPRINT[one.schema_fingerprint]
    return replace(one, body=schema.encode(schema.decode(one.body) | change))


def archived(folder: Path, entries: Iterable[Entry]) -> Path:
    folder.mkdir()
    write_entries(folder, iter(entries), 256)
    return folder


def places(report) -> set[tuple[str, str | None, int | None]]:
    return {(one["code"], one["stream"], one["version"]) for one in report["findings"]}


@pytest.fixture(scope="module")
def exported(ledger_database_of_module, tmp_path_factory) -> Path:
    """An archive as `wagerledger audit export` writes it, of a random life of a ledger."""
    play(Settings(database_url=ledger_database_of_module), seeded_random(), players=4, steps=60)
    seal(ledger_database_of_module)
    folder = tmp_path_factory.mktemp("exported")
    archive(ledger_database_of_module, folder, segment_leaves=256)
    return folder


def test_an_archive_is_verified_as_our_own_audit_does(spark, exported, tmp_path):
    """Untouched, all is in order; a changed, a lost, a doubled and an unbalanced event are found at the same places by both."""
    paths = sorted(exported.glob("segment-*.avro"), key=lambda path: int(path.stem.split("-")[1]))
    entries = [entry for path in paths for entry in read(path)]
    report = check(spark, archive=str(exported), settings=None)
    assert (report["ok"], report["events"]) == (True, sum(one.kind == EVENT for one in entries)), report["findings"][:3]

    at = {(one["stream_id"], one["stream_version"]): number for number, one in events_of(entries)}
    forged = altered(entries[at["p0", 3]], trace_id="forged")
    double = altered(entries[at["p1", 6]], trace_id="again", event_id="01890000-0000-7000-8000-000000000000")
    money = next(n for n, one in events_of(entries) if one["stream_id"] == "p2" and one["postings"])
    first, *others = decoded(entries[money])["postings"]
    unbalanced = altered(entries[money], postings=[first | {"amount_minor": first["amount_minor"] + 1}, *others])
    changes = {at["p0", 3]: [forged], at["p1", 6]: [entries[at["p1", 6]], double], money: [unbalanced], at["p3", 4]: []}
    false = archived(tmp_path / "false", (one for n, entry in enumerate(entries) for one in changes.get(n, [entry])))
    verify_archive(open_archive(false, None), ours := AuditReport(), silent, units=1)
    found = places(check(spark, archive=str(false), settings=None))
    # Only ours folds balances and compares commands.
    wanted = {(one.code, one.stream, one.version) for one in ours.findings if one.code in CHAIN}
    assert found >= {
        ("chain_broken", "acme/player/p0", 4),
        ("version_repeated", "zeta/player/p1", 6),
        ("version_missing", "zeta/player/p3", 4),
        ("postings_unbalanced", "acme/player/p2", decoded(unbalanced)["stream_version"]),
    }
    either_twin = {("chain_broken", "zeta/player/p1", version) for version in (6, 7)}
    assert found - either_twin == wanted - either_twin, "of a doubled version each may follow either"


CHAIN = {"chain_broken", "version_repeated", "version_missing", "postings_unbalanced", "time_backwards"}


def events_of(entries: Iterable[Entry]) -> Iterator[tuple[int, dict]]:
    return ((number, decoded(entry)) for number, entry in enumerate(entries) if entry.kind == EVENT)


def altered(entry: Entry, **change) -> Entry:
    schema = BY_FINGERPRINT[entry.fingerprint]
    return entry._replace(body=schema.encode(schema.decode(entry.body) | change))


def test_what_cannot_be_read_is_named(spark, tmp_path):
    """A body that is cut, a schema of nobody, and an event without its command."""
    entries = [Entry(n, EVENT, one.body, one.schema_fingerprint) for n, one in enumerate(history()[:40])]
    entries[38] = entries[38]._replace(body=entries[38].body[:30])
    entries[39] = entries[39]._replace(fingerprint=b"nobody's")
    folder = tmp_path / "segment-0-40.avro"
    with folder.open("wb") as file:
        writer(file, SCHEMA, [entry._asdict() for entry in entries])
    report = check(spark, archive=str(tmp_path), settings=None)
    assert report["counts"]["body_undecodable"] == 2
    assert report["counts"]["command_missing"] == 38
    assert any("its schema is not known here" in one["text"] for one in report["findings"])


@pytest.fixture(scope="module")
def kafka(servers) -> Iterator[Kafka]:
    with kafka_of(servers, "postgresql://nobody@127.0.0.1:1/none", fresh_topic_prefix()) as opened:
        yield opened


def test_topics_are_verified_as_our_own_audit_does(spark, kafka):
    """Over falsified topics both find the same at the same places: order, chain, holes, and the two faces; and nothing else."""
    log = [Logged(*one.stream, one.version, one.event_type, one.schema_fingerprint, one.body) for one in history()]
    at = {((one.tenant_id, one.stream_type, one.stream_id), one.version): number for number, one in enumerate(log)}
    forged = changed(history()[at[PLAYER, 3]], trace_id="forged")
    log[at[PLAYER, 3]] = replace(log[at[PLAYER, 3]], body=forged.body)
    late, gone, hidden = (log[at[place]] for place in ((OTHER, 5), (THIRD, 6), (FOURTH, 2)))
    kafka.publish(one for one in log if one not in (late, gone, hidden))
    kafka.publish([late, log[at[FOURTH, 3]]])
    kafka.publish([hidden], of_type=False)
    kafka.write(kafka.names.events, b"nonsense, with no schema")
    ours = verify(kafka.settings, database=False)
    report = check(spark, archive=None, settings=kafka.settings)
    wanted = {(one.code, one.stream, one.version) for one in ours.findings}
    assert places(report) == wanted
    assert {code for code, _, _ in wanted} == {
        *("topic_chain_broken", "topic_version_missing", "topic_disordered", "topic_undecodable", "type_topic_missing"),
    }


def test_daily_revenue_is_that_of_the_read_model(spark, tmp_path):
    """Row by row and amount by amount what our fold gives, which the read model is compared with too; over several days."""
    wanted = Revenue()
    for one in history():
        wanted.take(decoded(one))
    entries = [Entry(n, EVENT, one.body, one.schema_fingerprint) for n, one in enumerate(history())]
    names = "tenant_id", "region", "provider_id", "game_id", "currency", "day"
    sums = {(*map(str, place), kind): amount for (place, kind), amount in wanted.sums.items() if amount}
    assert len({place.day for place, _ in wanted.sums}) > 1
    rows_ = revenue.report(spark, archive=str(archived(tmp_path / "archive", entries)), settings=None).collect()
    found = {
        (*(str(row[name]) for name in names), kind): row[kind]
        for row in rows_
        for kind in (*revenue.AMOUNTS, "ggr")
        if row[kind]
    }
    assert found == sums
    assert json.dumps(rows_[0].asDict(), default=str)
