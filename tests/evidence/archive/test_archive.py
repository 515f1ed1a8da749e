"""The archive: what is sealed leaves the database byte for byte, and whatever happens to its files is found."""

import json
import shutil
from pathlib import Path

import psycopg
import pytest

from audit.replay import replay
from evidence import log
from evidence.archive import segment
from evidence.archive.reader import open_archive
from evidence.archive.segment import ArchiveError
from evidence.keys import key_id, new_key
from ledger.entry import ACT, COMMAND, EVENT, REFUSAL
from runtime.settings import Settings
from tests.support.journals import settings_of
from tests.support.pages import ROOT, blocks
from tests.support.random_game import play
from tests.support.seals import TRUSTED, archive, deposit, opened, seal
from tests.support.seeds import seeded_random
from tests.support.wrong_hand import disarm

WALLETS = """
select tenant_id || '/' || player_id || '/' || currency, cash_minor, bonus_minor, held_minor, receivable_minor
from wagerledger.wallets order by 1
"""

BI_TOOLS = ROOT / "docs" / "how-to" / "bi-tools.md"


@pytest.fixture(scope="module")
def database(ledger_database_of_module):
    """A ledger that was sealed again and again."""
    deposit(ledger_database_of_module, times=40, opens="q0")
    seal(ledger_database_of_module)
    play(settings_of(ledger_database_of_module), seeded_random(), players=2, steps=25)
    for _ in range(2):
        seal(ledger_database_of_module)
        deposit(ledger_database_of_module)
    seal(ledger_database_of_module)
    return ledger_database_of_module


@pytest.fixture(scope="module")
def whole(database, tmp_path_factory):
    """An archive of all of it, never touched."""
    folder = tmp_path_factory.mktemp("archive")
    archive(database, folder, parquet=True)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """One to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def entries_of(url):
    with psycopg.connect(url, options="-c default_transaction_isolation=repeatable\\ read") as connection:
        return list(log.entries(connection, 0, log.horizon(connection)))


def read_all(folder):
    archive = opened(folder)
    list(archive.entries())
    list(archive.anchors())


def test_an_archive_holds_every_entry_byte_for_byte(database, whole):
    """Events, commands, refusals and acts come out as they are in the log, in its order, cut into segments."""
    found, expected = opened(whole), entries_of(database)
    assert list(found.entries()) == expected
    assert {entry.kind for entry in expected} == {EVENT, COMMAND, REFUSAL, ACT}
    assert len(found.segments) > 2
    assert all(one.first_leaf // 64 == (one.end - 1) // 64 for one in found.segments)
    with psycopg.connect(database) as connection:
        lines = connection.execute("select signed_head::text from wagerledger.anchors order by tree_size").fetchall()
    assert list(found.anchors()) == [line for (line,) in lines]


def test_the_next_export_goes_on_and_the_result_is_the_same(ledger_database, tmp_path):
    """Exports add up: nothing that was written changes, and what they hold together is the log."""
    play(settings_of(ledger_database), seeded_random(), players=1, steps=3)
    before: dict[str, bytes] = {}
    for _ in range(2):
        deposit(ledger_database)
        seal(ledger_database)
        assert archive(ledger_database, tmp_path)
        assert before.items() <= (before := {path.name: path.read_bytes() for path in tmp_path.iterdir()}).items()
    assert list(opened(tmp_path).entries()) == entries_of(ledger_database)
    assert archive(ledger_database, tmp_path) is None, "there is nothing to add"


def test_only_what_is_sealed_leaves(ledger_database, tmp_path):
    """What no head was signed over could still be denied: it waits for the next export."""
    play(settings_of(ledger_database), seeded_random(), players=1, steps=1)
    assert archive(ledger_database, tmp_path) is None
    size = seal(ledger_database).tree_size
    deposit(ledger_database)
    added = archive(ledger_database, tmp_path)
    assert added
    assert added.tree_size == size < len(entries_of(ledger_database))


def test_a_crash_leaves_nothing_to_clean_up(database, whole, tmp_path, monkeypatch):
    """Wherever an export stops, the next one takes over what is right, and comes to the same end."""
    names = {path.name for path in whole.glob("segment-*")}
    written = segment.write

    def broken_off(path, entries, codec):
        written(path, entries, codec)
        if len(list(tmp_path.glob("segment-*"))) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(segment, "write", broken_off)
    with pytest.raises(KeyboardInterrupt):
        archive(database, tmp_path)
    kept = min(tmp_path.glob("segment-*")).stat()
    monkeypatch.undo()
    archive(database, tmp_path)
    assert min(tmp_path.glob("segment-*")).stat().st_mtime_ns == kept.st_mtime_ns, "it was not written again"
    assert {path.name for path in tmp_path.glob("segment-*")} == names
    assert list(opened(tmp_path).entries()) == list(opened(whole).entries())


def test_what_a_crash_left_is_proven_before_it_is_taken_over(database, whole, tmp_path):
    """A segment without a manifest that is not what was sealed is written again."""
    first, second = sorted(whole.glob("segment-*"))[:2]
    shutil.copy(first, tmp_path)
    entries = list(segment.read(second))
    entries[5], entries[6] = entries[6], entries[5]
    segment.write(tmp_path / second.name, entries, "null")
    archive(database, tmp_path)
    assert list(opened(tmp_path).entries()) == list(opened(whole).entries())


def changed_byte(folder):
    path = sorted(folder.glob("segment-*"))[1]
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def deleted_segment(folder):
    sorted(folder.glob("segment-*"))[1].unlink()


def swapped_segments(folder):
    first, second = sorted(folder.glob("segment-*"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def changed_manifest(folder):
    path = folder / "manifest-000001.json"
    said = json.loads(path.read_bytes())
    said["manifest"]["segments"][0]["kinds"]["event"] += 1
    path.write_text(json.dumps(said))


def unsigned_manifest(folder):
    path = folder / "manifest-000001.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"signature": None}))


def changed_anchors(folder):
    (path,) = folder.glob("anchors-*")
    path.write_text(path.read_text().replace('"generation":1', '"generation":2'))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (changed_byte, "was changed: its SHA-256"),
        (deleted_segment, "is missing"),
        (swapped_segments, "was changed"),
        (changed_manifest, "signature of .* is wrong"),
        (unsigned_manifest, "is not signed"),
        (changed_anchors, "was changed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_found_and_named(copy, damage, words):
    """One byte, one file, one order, one number, one signature: reading refuses, and says which file it is."""
    damage(copy)
    with pytest.raises(ArchiveError, match=words) as raised:
        read_all(copy)
    assert str(copy) in str(raised.value)


def test_another_key_vouches_for_nothing(whole):
    """A manifest that a stranger has signed is refused."""
    stranger = new_key().public_key()
    with pytest.raises(ArchiveError, match="is signed by the key"):
        open_archive(whole, {key_id(stranger): stranger})


def test_a_manifest_cannot_be_left_out(ledger_database, tmp_path):
    """Each manifest names the one before it: without one in the middle the archive is refused."""
    play(settings_of(ledger_database), seeded_random(), players=1, steps=1)
    for _ in range(3):
        deposit(ledger_database, times=1)
        seal(ledger_database)
        archive(ledger_database, tmp_path)
    (tmp_path / "manifest-000002.json").unlink()
    with pytest.raises(ArchiveError, match="does not follow the manifest before it"):
        opened(tmp_path)


def test_a_log_that_was_changed_after_sealing_is_not_archived(ledger_database, tmp_path):
    """An export proves what it reads with the signed heads: a changed row stops it, and no manifest is written."""
    play(settings_of(ledger_database), seeded_random(), players=1, steps=3)
    seal(ledger_database)
    with psycopg.connect(ledger_database) as connection:
        disarm(connection)
        connection.execute("update wagerledger.commands set decided_at = decided_at - interval '1 day'")
    with pytest.raises(ArchiveError, match="the log was changed"):
        archive(ledger_database, tmp_path)
    assert not list(tmp_path.glob("manifest-*"))


def test_an_archive_is_of_one_log(database, whole, ledger_database, copy):
    """Exporting another database into it is refused."""
    play(settings_of(ledger_database), seeded_random(), players=1, steps=1)
    seal(ledger_database)
    with pytest.raises(ArchiveError, match="another log's archive"):
        archive(ledger_database, copy)


@pytest.mark.parametrize("codec", segment.CODECS)
def test_codecs_hold_the_same(whole, tmp_path, codec):
    """Compressed or not, the entries are the same."""
    entries = list(opened(whole).entries())
    segment.write(tmp_path / "one.avro", iter(entries), codec)
    assert list(segment.read(tmp_path / "one.avro")) == entries


def test_a_wallet_is_replayed_from_the_folder_alone(database, whole):
    """Without database, broker or registry every wallet comes out as it is stored."""
    nowhere = Settings(
        database_url="postgresql://nobody@127.0.0.1:9/none",
        kafka_bootstrap_servers="127.0.0.1:9",
        schema_registry_url="http://127.0.0.1:9",
    )
    with psycopg.connect(database) as connection:
        stored = connection.execute(WALLETS).fetchall()
    assert stored
    for wallet, *accounts in stored:
        found = replay(nowhere, wallet, archive=open_archive(whole, TRUSTED))
        assert [
            found.wallet.cash_minor,
            found.wallet.bonus_minor,
            found.wallet.held_minor,
            found.wallet.receivable_minor,
        ] == accounts
        expected = replay(settings_of(database), wallet, at_version=found.version - 1)
        assert replay(nowhere, wallet, at_version=found.version - 1, archive=opened(whole)) == expected


def test_parquet_answers_the_questions_of_bi(database, whole):
    """DuckDB reads events as typed columns, and the bytes beside them hash to what the chain says."""
    import duckdb

    events = f"read_parquet('{whole}/events-*.parquet')"
    with psycopg.connect(database) as connection:
        expected = connection.execute(
            "select event_type, count(*) from wagerledger.event_log group by 1 order by 1"
        ).fetchall()
        times = connection.execute("select min(recorded_at), max(recorded_at) from wagerledger.event_log").fetchone()
    with duckdb.connect() as connection:
        assert (
            connection.execute(f"select event_type, count(*) from {events} group by 1 order by 1").fetchall()
            == expected
        )
        assert connection.execute(
            f"select epoch_us(min(occurred_at)), epoch_us(max(occurred_at)) from {events}"
        ).fetchone() == tuple(int(time.timestamp() * 10**6 + 0.5) for time in times)
        broken = connection.execute(f"""
            select count(*) from {events} a join {events} b using (tenant_id, stream_type, stream_id)
            where b.stream_version = a.stream_version + 1 and (b.previous_hash <> a.hash or hex(a.hash) <> upper(sha256(a.body)))
        """).fetchone()
        assert broken == (0,)
        stakes = connection.execute(
            f"select sum(stake_minor), sum((payload->>'stake_minor')::bigint) from {events} where event_type = 'bet.authorized'"
        ).fetchone()
        assert stakes[0] == stakes[1] > 0
        sums = connection.execute(
            f"select currency, sum(amount) from (select unnest(postings).currency as currency, unnest(postings).amount_minor as amount from {events}) group by 1"
        ).fetchall()
        assert all(total == 0 for _, total in sums)


@pytest.mark.parametrize("query", [code for _, code in blocks(BI_TOOLS, "sql") if code.startswith("-- duckdb")])
def test_duckdb_answers_the_queries_of_the_page(whole, query):
    """Every query that bi-tools.md shows for DuckDB runs over the Parquet files and finds something; sums are zero."""
    import duckdb

    with duckdb.connect() as connection:
        asked = query.replace("DIR/", f"{whole}/").rstrip().rstrip(";")
        # As text: a time in Python would need a package of time zones.
        found = connection.execute(f"select columns(*)::varchar from ({asked})").fetchall()
    assert found
    if "as total" in query:
        assert {total for _, total in found} == {"0"}
