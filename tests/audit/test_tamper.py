"""Whatever somebody does to the database, to the topics or to the archive is found and named; what fits together by itself
is caught by the heads that lie outside.

Single changes of each are also in test_audit_database, test_audit_topics, test_audit_archive and test_anchored.
"""

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from audit.findings import AuditReport
from audit.verify import verify
from bench.archive import write_entries
from evidence import keys
from evidence.archive import manifest, segment
from evidence.archive.reader import open_archive
from evidence.archive.segment import ArchiveError
from evidence.heads import sign
from evidence.keys import Keys
from evidence.merkle import EMPTY_ROOT
from ledger.core.chain import GENESIS, hash_of
from ledger.entry import ACT, COMMAND, EVENT, REFUSAL, Entry, canonical
from outbox_relay.refusals import Refusal
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT
from tests.support.random_game import play
from tests.support.seals import KEY, TRUSTED, archive, deposit, opened, seal
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_database
from tests.support.topic_filler import Kafka, kafka_of, logged, refused
from tests.support.wrong_hand import disarm

SEGMENT_LEAVES = 128
PLAYER = "acme", "player", "p0"


STATE = """
select to_jsonb(s), to_jsonb(w) from wagerledger.streams s
join wagerledger.wallets w on (w.tenant_id, w.player_id) = (s.tenant_id, s.stream_id)
where (s.tenant_id, s.stream_type, s.stream_id) = (%s, %s, %s) and w.currency = 'EUR'
"""


@pytest.fixture(scope="module")
def truth(ledger_database_of_module, tmp_path_factory) -> tuple[str, Path]:
    """A sealed history, and a folder with its archive, its heads as they lie outside, and a state of old."""
    url, folder = ledger_database_of_module, tmp_path_factory.mktemp("truth")
    play(Settings(database_url=url), seeded_random(), players=3, steps=25)
    seal(url)
    with psycopg.connect(url) as connection:
        (folder / "old.json").write_text(json.dumps(connection.execute(STATE, PLAYER).fetchone()))
    deposit(url, 3)
    seal(url)
    archive(url, folder, segment_leaves=SEGMENT_LEAVES)
    (folder / "heads.jsonl").write_text("\n".join(opened(folder).anchors()))
    return url, folder


@pytest.fixture(scope="module")
def entries(truth) -> list[Entry]:
    return list(opened(truth[1]).entries())


# The database and the topics -----------------------------------------------------------------------------------------


class Intruder:
    """Somebody with all rights on a copy of the database."""

    def __init__(self, url: str, truth: tuple[str, Path], entries: list[Entry]) -> None:
        self.url, self.folder, self.entries = url, truth[1], entries

    def run(self, *statements: tuple[str, Sequence[object]]) -> None:
        with psycopg.connect(self.url) as connection:
            disarm(connection)
            for statement, parameters in statements:
                assert connection.execute(statement, parameters).rowcount, f"nothing was changed by {statement}"

    def roll_back(self) -> int:
        """Bring the wallet to its old state, with all that belongs to it. Gives the version at which it then is."""
        stream, wallet = json.loads((self.folder / "old.json").read_text())
        after = [*PLAYER, stream["version"]]
        place = "(tenant_id, stream_type, stream_id) = (%s, %s, %s)"
        self.run(
            (f"delete from wagerledger.event_log where {place} and stream_version > %s", after),
            (f"delete from wagerledger.commands where {place} and first_version > %s", after),
            (f"delete from wagerledger.streams where {place}", PLAYER),
            ("insert into wagerledger.streams select * from jsonb_populate_record(null::wagerledger.streams, %s)", [Jsonb(stream)]),
            ("delete from wagerledger.wallets where tenant_id = 'acme' and player_id = 'p0' and currency = 'EUR'", []),
            ("insert into wagerledger.wallets select * from jsonb_populate_record(null::wagerledger.wallets, %s)", [Jsonb(wallet)]),
        )  # fmt: skip
        return int(stream["version"])

    def forge(self) -> int:
        """Change an event, and compute every hash after it again. Gives its version."""
        pairs = [(old, new) for old, new in zip(self.entries, forged(self.entries), strict=True) if old != new]
        update = "update wagerledger.event_log set body = %s where event_id = %s"
        place = "(tenant_id, stream_type, stream_id) = (%s, %s, %s)"
        head = f"update wagerledger.streams set head_hash = %s where {place}"
        self.run(
            *((update, [new.body, record_of(old)["event_id"]]) for old, new in pairs),
            (head, [hash_of(pairs[-1][1].body), *PLAYER]),
        )
        return int(record_of(pairs[0][0])["stream_version"])

    def audit(self, settings: Settings, **what: Any) -> AuditReport:
        return verify(settings.model_copy(update=with_heads() | {"database_url": SecretStr(self.url)}), **what)


@pytest.fixture
def intruder(servers, truth, entries) -> Iterator[Intruder]:
    with fresh_database(servers.database_url, template=truth[0]) as copy:
        yield Intruder(copy, truth, entries)


@pytest.fixture(scope="module")
def topics(servers, truth) -> Iterator[Settings]:
    """Topics that tell the truth."""
    with kafka_of(servers, truth[0], f"truth-{token_hex(4)}.") as kafka:
        kafka.publish(logged(truth[0]))
        yield kafka.settings


def with_heads() -> dict[str, Any]:
    return {"anchor_public_keys": keys.to_text(KEY.public_key()), "anchor_log": "tests"}


def told_places(report: AuditReport) -> set[tuple[str, str | None, int | None]]:
    """Each finding's code, and where in which stream it is."""
    return {(finding.code, finding.stream, finding.version) for finding in report.findings}


def test_a_wallet_in_a_state_of_old_is_caught_by_the_other_stories(truth, intruder, topics):
    """With its log, stream and commands of old the database fits together: the topics and the anchors know more."""
    version = intruder.roll_back()
    assert (report := intruder.audit(topics, topics=False)).ok, report.text()
    report = intruder.audit(topics, anchors=True, heads=[truth[1] / "heads.jsonl"])
    assert set(report.counts) == {"topic_not_in_database", "entry_missing"}, report.text()
    assert ("topic_not_in_database", "acme/player/p0", version + 3) in told_places(report)
    assert report.counts["entry_missing"] == 6, "three events and their commands"


def test_a_forged_chain_is_caught_from_outside(servers, truth, intruder, topics, topic_prefix):
    """A chain with new hashes fits together in the database, and with topics that were written again too; the heads
    outside name the first event that differs.
    """
    version = intruder.forge()
    assert (report := intruder.audit(topics, topics=False)).ok, report.text()
    assert set(intruder.audit(topics).counts) == {"topic_not_in_database"}
    with kafka_of(servers, intruder.url, topic_prefix) as kafka:
        kafka.publish(logged(intruder.url))
        assert (report := intruder.audit(kafka.settings)).ok, report.text()
        report = intruder.audit(kafka.settings, anchors=True, heads=[truth[1] / "heads.jsonl"])
        assert set(report.counts) == {"entry_changed"}, report.text()
        assert ("entry_changed", "acme/player/p0", version) in told_places(report)
        kafka.pass_over(logged(intruder.url)[-1], refused(truth[0])[-1])
        tamper_with_refusals(kafka, refused(truth[0]))


def tamper_with_refusals(kafka: Kafka, refusals: list[Refusal]) -> None:
    """A refusal that says something else, one left out, one that nobody decided, one told twice: each is named."""
    changed_, left_out, *rest, last = refusals
    other = changed_._replace(code="OTHER")
    added_ = last._replace(command_id="00000000-0000-7000-8000-000000000000")
    kafka.publish_refusals([other, *rest, added_, last, last])
    kafka.write(kafka.names.refusals, b"nonsense")
    texts = [str(finding) for finding in kafka.check().findings]
    for code, name in (
        ("refusal_differs", changed_.command_id),
        ("refusal_unpublished", left_out.command_id),
        ("refusal_not_in_database", added_.command_id),
        ("topic_undecodable", kafka.names.refusals),
    ):
        assert [name in text for text in texts if text.startswith(code)] == [True], texts
    assert len(texts) == 4
    kafka.publish_refusals([last._replace(details="{}")])
    assert kafka.check(database=False).counts["refusal_differs"] == 1


# The archive --------------------------------------------------------------------------------------------------------


def record_of(entry: Entry) -> dict:
    return BY_FINGERPRINT[entry.fingerprint].decode(entry.body)


def changed(entry: Entry, **fields) -> Entry:
    if entry.kind == EVENT:
        return entry._replace(body=BY_FINGERPRINT[entry.fingerprint].encode(record_of(entry) | fields))
    return entry._replace(body=canonical(json.loads(entry.body) | fields))


def places(entries: list[Entry], kind: str = EVENT) -> list[int]:
    """Where the entries of the player's stream are; of the log's acts all."""
    found = []
    for n, entry in enumerate(entries):
        said = record_of(entry) if entry.kind == EVENT else json.loads(entry.body)
        stream = said["tenant_id"], said.get("stream_type"), said.get("stream_id")
        if entry.kind == kind and (kind == ACT or stream == PLAYER):
            found.append(n)
    return found


def one_changed(kind: str, **fields) -> Callable[[list[Entry]], list[Entry]]:
    def change(entries: list[Entry]) -> list[Entry]:
        n = places(entries, kind)[-2 if kind == EVENT else -1]
        return [*entries[:n], changed(entries[n], **fields), *entries[n + 1 :]]

    return change


def deleted(entries: list[Entry]) -> list[Entry]:
    n = places(entries)[-2]
    return [*entries[:n], *entries[n + 1 :]]


def added(entries: list[Entry]) -> list[Entry]:
    n = places(entries)[-2]
    return [*entries[: n + 1], *entries[n:]]


def swapped(entries: list[Entry]) -> list[Entry]:
    first, second = places(entries)[-3:-1]
    result = [*entries]
    result[first], result[second] = (
        entries[second]._replace(xid=entries[first].xid),
        entries[first]._replace(xid=entries[second].xid),
    )
    return result


def rolled_back(entries: list[Entry]) -> list[Entry]:
    """The wallet's last event and its command never happened."""
    version = record_of(entries[(last := places(entries)[-1])])["stream_version"]
    commands = [n for n in places(entries, COMMAND) if json.loads(entries[n].body)["last_version"] == version]
    return [entry for n, entry in enumerate(entries) if n not in {last, *commands}]


def forged(entries: list[Entry]) -> list[Entry]:
    """An event says something else, and every hash after it is computed again."""
    before, result = GENESIS, [*entries]
    first = places(entries)[-2]
    for n in places(entries):
        said = {"provider_occurred_at": 1} if n == first else {}
        result[n] = changed(entries[n], previous_hash=before, **said)
        before = hash_of(result[n].body)
    return result


STREAM_NAMED = "acme/player/p0 version"

TAMPERED = {
    "event changed": (one_changed(EVENT, region="elsewhere"), "chain_broken"),
    "event deleted": (deleted, "version_missing"),
    "events swapped": (swapped, "version_missing"),
    "event added": (added, "version_repeated"),
    "wallet rolled back": (rolled_back, None),
    "chain forged": (forged, None),
    "refusal changed": (one_changed(REFUSAL, code="OTHER"), None),
    "refusal's asking changed": (one_changed(REFUSAL, asked="{}"), None),
    "answer changed": (one_changed(COMMAND, answer="00"), None),
    "act changed": (one_changed(ACT, actor="nobody"), None),
}


def check(folder: Path, truth: tuple[str, Path], keys_: Keys | None = None, *, strict: bool = False) -> AuditReport:
    settings = Settings(**with_heads())
    heads = [truth[1] / "heads.jsonl"]
    archive = open_archive(folder, keys_)
    return verify(settings, database=False, topics=False, archive=archive, heads=heads, strict=strict)


@pytest.mark.parametrize("name", TAMPERED)
def test_an_archive_that_was_written_again_is_found(truth, entries, tmp_path, name):
    """Without the key nobody opens it; with the key stolen the heads outside contradict it, and what is wrong by itself is
    named with its stream and version.
    """
    change, code = TAMPERED[name]
    write_entries(tmp_path, iter(change(entries)), SEGMENT_LEAVES)
    with pytest.raises(ArchiveError, match=r"manifest-000001\.json is not signed"):
        open_archive(tmp_path, TRUSTED)
    (said,) = open_archive(tmp_path, None).manifests
    (tmp_path / said.file).write_bytes(manifest.to_bytes(said, KEY))
    report = check(tmp_path, truth, TRUSTED)
    assert report.counts["archive_not_anchored"], report.text()
    texts = [str(finding) for finding in report.findings]
    anchored = [text for text in texts if text.startswith("archive_not_anchored")]
    lost = len(change(entries)) != len(entries)
    assert any("no head was signed over all" in text if lost else "heads.jsonl line" in text for text in anchored)
    named = [text for text in texts if code and text.startswith(code)]
    assert bool(named) == bool(code), report.text()
    assert all(STREAM_NAMED in text for text in named), named


@pytest.mark.parametrize("name", TAMPERED)
def test_a_segment_that_was_written_again_is_named(truth, entries, tmp_path, name):
    """A file of the right form in the place of the one that the signed manifest speaks of."""
    copy = shutil.copytree(truth[1], tmp_path / "copy")
    (tmp_path / "other").mkdir()
    write_entries(tmp_path / "other", iter(TAMPERED[name][0](entries)), SEGMENT_LEAVES)
    named = []
    for one in opened(copy).segments:
        path = next((tmp_path / "other").glob(f"segment-{one.first_leaf:012}-*"))
        if list(opened(copy).read(one)) != list(segment.read(path)):
            shutil.copy(path, copy / one.file)
            named.append(one.file)
    assert named
    report = check(copy, truth, TRUSTED)
    texts = "\n".join(str(finding) for finding in report.findings if finding.code == "archive_changed")
    assert all(file in texts for file in named)


def test_a_packed_segment_that_was_changed_is_not_unpacked(truth, entries, tmp_path):
    """A small file that would become gigabytes is named, and takes no memory."""
    copy = shutil.copytree(truth[1], tmp_path / "copy")
    one = opened(copy).segments[1]
    bomb = Entry(one.first_xid, COMMAND, bytes(50_000_000))
    segment.write(copy / one.file, [bomb] * 8, "deflate")
    assert (copy / one.file).stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        report = check(copy, truth, TRUSTED)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    assert set(report.counts) == {"archive_changed", "archive_unreadable"}


@pytest.mark.parametrize("name", ["../heads.jsonl", "/etc/passwd", "segment-0-1.avro/../../x.avro", ".x.avro", ""])
def test_a_manifest_names_no_file_elsewhere(truth, tmp_path, name):
    """Also one that is signed: reading an archive reads that archive."""
    copy = shutil.copytree(truth[1], tmp_path / "copy")
    (said,) = opened(copy).manifests
    first, *others = said.segments
    (copy / said.file).write_bytes(manifest.to_bytes(replace(said, segments=(replace(first, file=name), *others)), KEY))
    with pytest.raises(ArchiveError, match="which is no file of an archive"):
        opened(copy)


def test_an_archive_that_was_cut_says_how_much_the_heads_know_more(truth, tmp_path):
    """The entries of its last export are missing: what is left is true, and the later heads are counted."""
    url, folder = truth
    with psycopg.connect(url) as connection:
        ((size,),) = connection.execute("select min(tree_size) from wagerledger.anchors").fetchall()
    cut = list(islice(opened(folder).entries(), size))
    write_entries(tmp_path, iter(cut), SEGMENT_LEAVES)
    report = check(tmp_path, truth)
    assert report.ok, report.text()
    assert report.checked["archive.heads_of_more_entries"] == 1
    (note,) = report.notes
    assert note.startswith(f"the archive ends at {size} entries, heads know ")
    strict = check(tmp_path, truth, strict=True)
    assert (set(strict.counts), strict.notes) == ({"archive_behind"}, [])
    (tmp_path / "less").mkdir()
    write_entries(tmp_path / "less", iter(cut[:-1]), SEGMENT_LEAVES)
    assert "no head was signed over all" in check(tmp_path / "less", truth).text()


def test_another_logs_archive_is_named(truth):
    """An archive of other books, signed with the same key, is none of ours."""
    settings = Settings(**with_heads() | {"anchor_log": "ours"})
    heads = truth[1] / "ours.jsonl"
    heads.write_text(sign(KEY, log="ours", generation=1, tree_size=1, root=EMPTY_ROOT, previous=None).line)
    report = verify(settings, database=False, topics=False, archive=opened(truth[1]), heads=[heads])
    assert "is of log tests; WAGERLEDGER_ANCHOR_LOG is ours" in report.text()
    assert set(report.counts) == {"archive_not_anchored"}


def test_heads_told_again_or_lost_raise_no_alarm(truth, tmp_path):
    """Old heads sent once more, in any order, and a file that was cut or shipped in part contradict nothing."""
    lines = (truth[1] / "heads.jsonl").read_text().splitlines()
    heads = tmp_path / "heads.jsonl"
    for told in (lines[::-1] * 2, lines[:1], lines[-1:]):
        heads.write_text("\n".join(told))
        what = {"database": False, "topics": False, "archive": opened(truth[1]), "heads": [heads]}
        report = verify(Settings(**with_heads()), **what)
        assert report.ok, report.text()
