"""Sealing: the tree over the log grows behind the horizon, its heads go outside, and a stop anywhere heals."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from psycopg import IsolationLevel
from typer.testing import CliRunner

from audit.anchors import verify_anchors
from audit.findings import AuditReport
from audit.sources import Sources
from cli.main import app
from evidence import anchors, heads, keys, log, merkle
from evidence.heads import HeadError, SignedHead
from evidence.keys import AnchorKeyError
from ledger.journal.writer import Journal
from runtime.service import REFUSED, STOPPED
from runtime.settings import Settings
from sandbox.servers.kafka_reader import read_all
from schemas.topics import Topics
from sealer.outlets import FileOutlet, TopicOutlet
from sealer.sealer import BUSY, LOCK, Sealer
from tests.ledger.store.test_privileges import login
from tests.support.commands import Asks
from tests.support.journals import accepted, players, run, settings_of
from tests.support.log_writer import LogWriter
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_database
from tests.support.waiting import patient_connection, until
from tests.support.wrong_hand import disarm

KEY = keys.new_key()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def history(servers, ledger_database_of_module) -> str:
    """A short random history, to copy."""
    play(Settings(database_url=ledger_database_of_module), seeded_random(), players=2, steps=25)
    return ledger_database_of_module


@pytest.fixture
def sealed(servers, history, topic_prefix, tmp_path) -> Iterator[Settings]:
    """Settings of a sealer with a database, a topic and a file of its own."""
    topic = NewTopic(Topics(topic_prefix).anchors, 1, 1)
    admin = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    admin.create_topics([topic])[topic.topic].result(30)
    with fresh_database(servers.database_url, template=history) as database_url:
        yield Settings(
            database_url=database_url,
            kafka_bootstrap_servers=servers.kafka_bootstrap_servers,
            topic_prefix=topic_prefix,
            anchor_key=keys.to_text(KEY),
            anchor_path=str(tmp_path / "heads.jsonl"),
        )


def seal(settings: Settings) -> int:
    return Sealer(settings).run(threading.Event(), once=True)


def add(settings: Settings, count: int = 1) -> None:
    """More entries."""

    async def main():
        async with Journal(settings) as journal:
            for _ in range(count):
                await accepted(journal, Asks("acme", None).deposit("1", "p0"))

    run(main)


def entries(settings: Settings):
    """All entries, read at once."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            return list(log.entries(connection, 0, log.horizon(connection)))


def execute(settings: Settings, statement: str, *parameters):
    """As an intruder who has become the superuser."""
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        disarm(connection)
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def heads_in_table(settings: Settings) -> list[str]:
    return [
        line for (line,) in execute(settings, "select signed_head::text from wagerledger.anchors order by tree_size")
    ]


def heads_in_file(settings: Settings) -> list[str]:
    return Path(settings.anchor_path).read_text().splitlines()


def heads_in_topic(settings: Settings) -> list[str]:
    return [
        m.value().decode() for m in read_all(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix).anchors)
    ]


def test_every_entry_is_sealed_signed_and_told(sealed):
    """Each pass signs one head over all entries, chained to the one before; table, file and topic hold the same lines."""
    assert seal(sealed) == STOPPED
    add(sealed)
    assert seal(sealed) == STOPPED
    assert seal(sealed) == STOPPED  # nothing new: no new head
    first, second = map(SignedHead.parse, heads_in_table(sealed))
    whole = entries(sealed)
    for signed in (first, second):
        leaves = [merkle.leaf_hash(entry.leaf) for entry in whole[: signed.tree_size]]
        assert signed.head.root == merkle.root(leaves).hex()
        assert signed.valid(keys.trusted_keys(sealed))
    assert second.tree_size == len(whole)
    assert (first.head.previous, second.head.previous) == (None, first.hash)
    assert {entry.kind for entry in whole} == {"event", "command", "refusal", "act"}
    assert heads_in_table(sealed) == heads_in_file(sealed) == heads_in_topic(sealed)
    report = AuditReport()
    verify_anchors(Sources(sealed), report)
    assert report.ok, report.text()
    assert report.checked == {"anchors.heads": 2, "anchors.entries": len(whole)}


def test_a_head_that_was_taken_out_of_the_topic_is_missed(sealed):
    """Each head names the one before it: the topic must hold that too."""
    sign = {"log": "wagerledger", "generation": 1, "root": merkle.EMPTY_ROOT}
    first = heads.sign(KEY, tree_size=1, previous=None, **sign)
    TopicOutlet(sealed).append([heads.sign(KEY, tree_size=2, previous=first, **sign)])
    report = AuditReport()
    verify_anchors(Sources(sealed), report)
    assert report.counts == {"anchor_missing": 1, "anchor_ahead": 1}


def test_the_command_needs_no_more_than_the_sealers_role(sealed, monkeypatch):
    """`wagerledger seal --once`, as a role that may only read and add anchors; `audit verify --anchors` agrees with it."""
    with login(sealed.database_url.get_secret_value(), "wagerledger_sealer") as url:
        for name, value in sealed.model_dump(
            include={"kafka_bootstrap_servers", "topic_prefix", "anchor_path"}
        ).items():
            monkeypatch.setenv(f"WAGERLEDGER_{name.upper()}", value)
        monkeypatch.setenv("WAGERLEDGER_DATABASE_URL", url)
        monkeypatch.setenv("WAGERLEDGER_ANCHOR_KEY", keys.to_text(KEY))
        command = [sys.executable, "-m", "cli", "seal", "--once"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == STOPPED, done
        assert keys.to_text(KEY) not in done.stdout + done.stderr
        arguments = ["audit", "verify", "--no-database", "--no-topics", "--heads", sealed.anchor_path, "--json"]
        verified = CliRunner().invoke(app, arguments)
        assert json.loads(verified.stdout)["checked"]["anchors.heads"] == 1, verified.output


@pytest.mark.parametrize("fault", ["after chunk", "after head", "after file", "torn line"])
def test_a_stop_between_any_two_steps_heals(sealed, monkeypatch, fault):
    """Whatever a crash left undone, the next start does: one head over everything, told everywhere once."""
    assert seal(sealed) == STOPPED
    add(sealed)

    def crash(*_):
        raise RuntimeError("the machine stops here")

    with monkeypatch.context() as patched:
        match fault:
            case "after chunk":
                patched.setattr(anchors, "anchor", crash)
            case "after head":
                patched.setattr(FileOutlet, "append", crash)
            case _:
                patched.setattr(TopicOutlet, "append", crash)
        with pytest.raises(RuntimeError):
            seal(sealed)
    if fault == "torn line":
        os.truncate(sealed.anchor_path, Path(sealed.anchor_path).stat().st_size - 100)
    assert seal(sealed) == STOPPED
    table = heads_in_table(sealed)
    assert len(table) == 2
    assert table == heads_in_file(sealed) == heads_in_topic(sealed)
    assert SignedHead.parse(table[-1]).tree_size == len(entries(sealed))


def test_a_long_backlog_is_sealed_in_chunks_of_whole_transactions(sealed, monkeypatch):
    """A backlog is read and stored in portions that end with a database transaction; the tree is the same."""
    monkeypatch.setattr(anchors, "CHUNK_LEAVES", 10)
    assert seal(sealed) == STOPPED
    whole = entries(sealed)
    ends = [end for (end,) in execute(sealed, "select first_leaf + leaves from wagerledger.sealed_leaves order by 1")]
    assert len(ends) > 3
    assert all(whole[end - 1].xid != whole[end].xid for end in ends[:-1])
    (signed,) = map(SignedHead.parse, heads_in_table(sealed))
    assert signed.head.root == merkle.root([merkle.leaf_hash(entry.leaf) for entry in whole]).hex()


def test_a_file_that_was_moved_away_begins_anew(sealed, tmp_path):
    """After a rotation the next head opens a new file: it speaks of everything before it."""
    assert seal(sealed) == STOPPED
    (tmp_path / "heads.jsonl").rename(tmp_path / "shipped.jsonl")
    add(sealed)
    assert seal(sealed) == STOPPED
    assert heads_in_file(sealed) == heads_in_table(sealed)[1:]


def test_nothing_is_signed_that_contradicts_what_was_published(sealed, capsys):
    """A database that went back behind a published head is refused, until its generation says that it was restored."""
    assert seal(sealed) == STOPPED
    execute(sealed, "delete from wagerledger.anchors")
    execute(sealed, "delete from wagerledger.sealed_leaves")
    execute(sealed, "delete from wagerledger.refusals")
    add(sealed)
    assert seal(sealed) == REFUSED
    assert heads_in_table(sealed) == []
    assert "was restored to an earlier moment, or changed" in capsys.readouterr().out
    execute(sealed, "insert into wagerledger.log_generation (generation, reason) values (2, 'restored')")
    assert seal(sealed) == STOPPED
    first, second = map(SignedHead.parse, heads_in_topic(sealed))
    assert (first.head.generation, second.head.generation) == (1, 2)


def test_a_forged_frontier_or_head_stops_the_sealer(sealed, capsys):
    """It goes on from nothing that its own key has not signed."""
    assert seal(sealed) == STOPPED
    execute(sealed, "update wagerledger.anchors set frontier = sha256(frontier) || substr(frontier, 33)")
    assert seal(sealed) == REFUSED
    assert "its frontier is not that of its signed head" in capsys.readouterr().out
    stranger = sealed.model_copy(update={"anchor_key": type(sealed.anchor_key)(keys.to_text(keys.new_key()))})
    execute(sealed, "delete from wagerledger.anchors")
    assert seal(stranger) == REFUSED
    assert "not signed by our key" in capsys.readouterr().out


def test_somebody_else_in_the_topic_is_named(sealed, capsys):
    """What no sealer wrote into the topic is not passed over."""
    producer = Producer({"bootstrap.servers": sealed.kafka_bootstrap_servers})
    producer.produce(Topics(sealed.topic_prefix).anchors, b'{"head": 1}')
    assert producer.flush(10) == 0
    assert seal(sealed) == REFUSED
    assert "only the sealer may write there" in capsys.readouterr().out


def test_one_sealer_at_a_time(sealed):
    """While another one has the lock nothing is sealed."""
    with psycopg.connect(sealed.database_url.get_secret_value(), autocommit=True) as other:
        assert other.execute(LOCK, [f"wagerledger {sealed.topic_prefix}ledger.anchors"]).fetchone() == (True,)
        assert seal(sealed) == BUSY
    assert heads_in_table(sealed) == []


READ_TOO_FAR = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1"


def at_rest(reader, writer) -> bool:
    """Whether nothing older runs any more, whoever on this server it belongs to."""
    (newest,) = writer.execute("select max(xid)::text::bigint from wagerledger.event_log").fetchone()
    (oldest,) = reader.execute("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
    return oldest > newest


def grown(settings: Settings) -> bool:
    """Seal while many writers add entries, then compare the tree with the log as it stands at last."""
    random, done = seeded_random(), threading.Event()

    def sealing():
        url = settings.database_url.get_secret_value()
        with psycopg.connect(url, autocommit=True) as writer, psycopg.connect(url, autocommit=True) as reader:
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            tree, last = anchors.load(writer), False
            while not last:
                last = done.is_set() and at_rest(reader, writer)
                passes.append(sum(1 for _ in anchors.extend(tree, reader, writer)))
            roots.append((tree.size, tree.frontier.root))

    def seen_growing() -> bool:
        return sum(passes) > 5 or not thread.is_alive()

    passes: list[int] = []
    roots: list[tuple[int, bytes]] = []
    thread = threading.Thread(target=sealing, daemon=True)
    thread.start()
    try:
        url = settings.database_url.get_secret_value()
        run(lambda: busy(settings_of(url, journal_writers=4, journal_batch=4), random, seen_growing))
    finally:
        done.set()
        thread.join()
    leaves = [merkle.leaf_hash(entry.leaf) for entry in entries(settings)]
    return roots == [(len(leaves), merkle.root(leaves))]


async def busy(settings: Settings, random, enough: Callable[[], bool]) -> None:
    """Ten rounds for everybody, and as many more as it takes."""
    ask = Asks()
    async with Journal(settings) as journal:
        names = [f"w{random.getrandbits(40):x}" for _ in range(24)]
        sessions = await players(journal, ask, names, "1000")

        async def play_one(name: str, session_id: str) -> None:
            for number in itertools.count():
                if number >= 10 and enough():
                    return
                await accepted(journal, ask.bet("1", f"{name}-{number}", session_id=session_id))
                await accepted(journal, ask.settle("2", f"{name}-{number}"))

        await asyncio.gather(*map(play_one, names, sessions))


def test_nothing_is_skipped_while_the_log_grows(ledger_database):
    """Sealed bit by bit under concurrent writers, the tree is the one over the whole log read at rest."""
    assert grown(Settings(database_url=ledger_database))


def overtaken(settings: Settings) -> bool:
    """Seal while an entry waits for its commit that later ones have overtaken, and again at rest; then compare."""
    url = settings.database_url.get_secret_value()
    written = LogWriter(url)
    with psycopg.connect(url, autocommit=True) as writer, psycopg.connect(url, autocommit=True) as reader:
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        tree = anchors.load(writer)
        with patient_connection(url) as late:
            written.insert(late, ["late"])
            written.write(3)
            list(anchors.extend(tree, reader, writer))
            late.commit()
        until(lambda: at_rest(reader, writer), "a log at rest")
        list(anchors.extend(tree, reader, writer))
    leaves = [merkle.leaf_hash(entry.leaf) for entry in entries(settings)]
    return (tree.size, tree.frontier.root) == (len(leaves), merkle.root(leaves))


def test_nothing_is_skipped_that_was_overtaken(ledger_database):
    """An entry whose transaction began earlier and commits later than others is sealed in its place."""
    assert overtaken(Settings(database_url=ledger_database))


def test_reading_past_the_horizon_is_noticed(ledger_database, monkeypatch):
    """The planted fault: a sealer that reads whatever is committed skips entries, and the comparison sees it."""
    monkeypatch.setattr(log, "HORIZON", READ_TOO_FAR)
    assert not overtaken(Settings(database_url=ledger_database))


@pytest.mark.parametrize(
    "change", [lambda line: line.replace('"tree_size":', '"tree_size":1'), lambda line: line.replace(":", ": ")]
)
def test_a_changed_line_is_no_valid_head(change):
    """Another number has no valid signature; another spelling is no head at all."""
    signed = heads.sign(KEY, log="x", generation=1, tree_size=5, root=merkle.EMPTY_ROOT, previous=None)
    trusted = {signed.key_id: KEY.public_key()}
    assert SignedHead.parse(signed.line) == signed
    assert signed.valid(trusted)
    with suppress(HeadError):
        assert not SignedHead.parse(change(signed.line)).valid(trusted)


def test_keys_say_what_is_wrong_with_them():
    """A missing or malformed key is named by its variable, and a private one is never shown."""
    with pytest.raises(AnchorKeyError, match="WAGERLEDGER_ANCHOR_KEY is not set"):
        keys.signing_key(Settings())
    with pytest.raises(AnchorKeyError, match="WAGERLEDGER_ANCHOR_PUBLIC_KEYS is not set"):
        keys.trusted_keys(Settings())
    with pytest.raises(AnchorKeyError) as error:
        keys.signing_key(Settings(anchor_key="c2VjcmV0"))
    assert "6 bytes" in str(error.value)
    assert "c2VjcmV0" not in str(error.value)
    with pytest.raises(AnchorKeyError, match="'%%%' is not base64"):
        keys.trusted_keys(Settings(anchor_public_keys="%%%"))
