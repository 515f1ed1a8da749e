"""The audit of an archive: whatever happened to it is found and named, however many processes read it."""

import json
from dataclasses import replace

import psycopg
import pytest

from audit.archive import verify_archive
from audit.archive_folds import verify_folds
from audit.findings import AuditReport
from audit.published_heads import PublishedHead
from bench.archive import entries_of_play, write_entries
from evidence.archive.reader import open_archive
from evidence.archive.segment import read
from evidence.heads import SignedHead
from ledger.core.chain import GENESIS, hash_of
from ledger.entry import COMMAND, EVENT, Entry, canonical
from runtime.progress import silent
from schemas.events import BY_FINGERPRINT
from tests.support.journals import settings_of
from tests.support.random_game import play
from tests.support.seals import archive, deposit, opened, seal
from tests.support.seeds import seeded_random

SEGMENT_LEAVES = 256
PLAYER = b"player-0000007"


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """The events of 20 players and their commands, as the rule book decided them."""
    return list(entries_of_play(events=1000, events_per_player=50))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def check(folder, entries=None, heads=(), units=1) -> AuditReport:
    """What an auditor says of an archive; of one that somebody made of other `entries`, with manifests that fit."""
    if entries is not None:
        write_entries(folder, iter(entries), SEGMENT_LEAVES)
    report = AuditReport()
    verify_archive(open_archive(folder, None), report, silent, heads, units)
    return report


def head_of(folder) -> PublishedHead:
    archive = open_archive(folder, None)
    return PublishedHead(archive.tree_size, bytes.fromhex(archive.root or ""), 1, "a head from outside")


def texts(report: AuditReport, code: str) -> str:
    assert code in report.counts, f"no {code} in\n{report.text()}"
    return "\n".join(str(finding) for finding in report.findings if finding.code == code)


def events_of(entries, player=PLAYER) -> list[int]:
    """Where the events of a player are."""
    return [n for n, entry in enumerate(entries) if entry.kind == EVENT and player in entry.body]


def changed(entry: Entry, **fields) -> Entry:
    schema = BY_FINGERPRINT[entry.fingerprint]
    return entry._replace(body=schema.encode(schema.decode(entry.body) | fields))


def chained(entries: list[Entry], player=PLAYER) -> list[Entry]:
    """With the hashes that a forger would compute: from the first event of the player on, all fit again."""
    before, result = GENESIS, list(entries)
    for n in events_of(entries, player):
        result[n] = changed(entries[n], previous_hash=before)
        before = hash_of(result[n].body)
    return result


@pytest.mark.parametrize(("units", "apart"), [(1, False), (2, False), (3, False), (3, True)])
def test_what_is_right_is_clean_however_many_read_it(folder, entries, monkeypatch, units, apart):
    """The same verdict, counts and balances in one piece and in several, which cut streams and database transactions
    apart; also where processes read them.
    """
    if apart:
        monkeypatch.setattr("audit.archive.LEAST_LEAVES", 0)
    report = check(folder, entries, units=units)
    assert report.ok, report.text()
    assert report.checked == {
        "archive.entries": len(entries),
        "archive.events": len(entries) // 2,
        "archive.streams": 20,
    }
    assert report.accounts["bench", "EUR", "cashier"] == -20 * 100_000
    assert sum(report.accounts.values()) < 0, "the players have the rest"


def test_the_root_of_every_head_is_proven(folder, entries):
    """A head that was signed over any number of entries is compared, within a segment too."""
    check(folder, entries)
    whole = head_of(folder)
    (folder / "part").mkdir()
    assert check(folder / "part", entries[:320]).ok
    part = head_of(folder / "part")
    assert check(folder, heads=[whole, part]).checked["archive.heads"] == 2
    wrong = part._replace(root=whole.root)
    assert "the first 320 entries" in texts(check(folder, heads=[whole, wrong]), "archive_not_anchored")


@pytest.mark.parametrize("place", [100, 20_000, -100])
def test_a_changed_byte_is_found(folder, entries, place):
    """A byte of a file: the file is named, and the event where it is one's."""
    write_entries(folder, iter(entries), SEGMENT_LEAVES)
    path = sorted(folder.glob("segment-*.avro"))[2]
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    assert path.name in texts(check(folder), "archive_changed")


def test_a_changed_event_is_named(folder, entries):
    """Even where files and manifests fit to it: the next event does not."""
    n = events_of(entries)[4]
    forged = [*entries[:n], changed(entries[n], region="elsewhere"), *entries[n + 1 :]]
    assert "bench/player/player-0000007 version 6" in texts(check(folder, forged), "chain_broken")


@pytest.mark.parametrize("units", [1, 3])
def test_a_deleted_event_is_named(folder, entries, units):
    """A hole in the versions."""
    n = events_of(entries)[20]
    report = check(folder, entries[:n] + entries[n + 1 :], units=units)
    assert "bench/player/player-0000007 version 21: version 21 is gone" in texts(report, "version_missing")
    assert "names versions 21 to 21" in texts(report, "command_unexplained")


@pytest.mark.parametrize("units", [1, 3])
def test_two_swapped_events_are_named(folder, entries, units):
    """Each in the place of the other."""
    first, second = events_of(entries)[10:12]
    swapped = list(entries)
    swapped[first], swapped[second] = (
        swapped[second]._replace(xid=entries[first].xid),
        swapped[first]._replace(xid=entries[second].xid),
    )
    report = check(folder, swapped, units=units)
    assert "player-0000007 version 11" in texts(report, "version_missing")
    assert "player-0000007 version 11" in texts(report, "version_repeated")


def test_an_added_event_is_named(folder, entries):
    """One that continues the chain truly has no command."""
    last = entries[events_of(entries)[-1]]
    version = BY_FINGERPRINT[last.fingerprint].decode(last.body)["stream_version"]
    added = changed(last, stream_version=version + 1, previous_hash=hash_of(last.body))
    report = check(folder, [*entries, added])
    assert f"player-0000007 version {version + 1}" in texts(report, "command_missing")


def test_a_wallet_rolled_back_to_an_old_state_is_caught_by_the_heads(folder, entries):
    """Who takes the last events of a wallet away, and their commands, leaves a whole story: only the heads know more."""
    check(folder, entries)
    head = head_of(folder)
    (folder / "forged").mkdir()
    gone = {entries[n] for n in events_of(entries)[-4:]}
    versions = {f'"last_version":{version},'.encode() for version in range(46, 50)}
    shorter = [
        entry
        for entry in entries
        if entry not in gone and not (PLAYER in entry.body and any(version in entry.body for version in versions))
    ]
    assert len(shorter) == len(entries) - 8
    assert check(folder / "forged", shorter).ok
    head = head._replace(tree_size=len(shorter))
    assert "a head from outside" in texts(check(folder / "forged", heads=[head]), "archive_not_anchored")


def test_a_chain_with_recomputed_hashes_is_caught_by_the_heads(folder, entries):
    """A forger who computes every hash again, also those of the tree, contradicts what was signed before."""
    check(folder, entries)
    head = head_of(folder)
    (folder / "forged").mkdir()
    n = events_of(entries)[4]
    forged = chained([*entries[:n], changed(entries[n], region="elsewhere"), *entries[n + 1 :]])
    assert check(folder / "forged", forged).ok
    assert "a head from outside" in texts(check(folder / "forged", heads=[head]), "archive_not_anchored")


@pytest.mark.parametrize("units", [1, 3])
def test_money_from_nowhere_is_found(folder, entries, units):
    """Postings that do not sum to zero, and an account that falls below zero, at the version at which it does."""
    place = events_of(entries)[30]
    record = BY_FINGERPRINT[entries[place].fingerprint].decode(entries[place].body)
    unbalanced = [{"account": "cash", "amount_minor": 5, "currency": "EUR"}]
    report = check(
        folder,
        chained([*entries[:place], changed(entries[place], postings=unbalanced), *entries[place + 1 :]]),
        units=units,
    )
    assert f"player-0000007 version {record['stream_version']}" in texts(report, "postings_unbalanced")
    assert "sum to" in texts(report, "books_unbalanced")
    (folder / "negative").mkdir()
    negative = [
        {"account": "cash", "amount_minor": -(10**9), "currency": "EUR"},
        {"account": "house", "amount_minor": 10**9, "currency": "EUR"},
    ]
    report = check(
        folder / "negative",
        chained([*entries[:place], changed(entries[place], postings=negative), *entries[place + 1 :]]),
        units=units,
    )
    assert "cash of wallet player-0000007/EUR" in texts(report, "account_negative")


@pytest.mark.parametrize("units", [1, 3])
def test_commands_and_events_that_do_not_fit_are_named(folder, entries, units):
    """A command that is gone, one that says something else than its event, and one that was asked for twice."""
    gone, other, twice = [n for n, entry in enumerate(entries) if entry.kind == COMMAND and PLAYER in entry.body][5:8]
    forged = list(entries)
    forged[other] = Entry(forged[other].xid, COMMAND, canonical(json.loads(forged[other].body) | {"operation": "else"}))
    forged.insert(twice, forged[twice])
    del forged[gone]
    report = check(folder, forged, units=units)
    assert "player-0000007 version 6" in texts(report, "command_missing")
    assert "operation 'else', the event 'api'" in texts(report, "command_differs")
    assert "names versions 8 to 8" in texts(report, "command_unexplained")
    assert report.counts.total() == 3


def test_a_damaged_segment_is_blamed_alone(folder, entries):
    """What cannot be read is named, and not everything that would have been in it."""
    write_entries(folder, iter(entries), SEGMENT_LEAVES)
    path = sorted(folder.glob("segment-*.avro"))[3]
    path.write_bytes(path.read_bytes()[:-500])
    for units in (1, 2):
        report = check(folder, units=units)
        assert set(report.counts) == {"archive_changed", "archive_unreadable"}, report.text()
        assert path.name in texts(report, "archive_unreadable")


def test_a_manifest_that_says_something_else_is_found(folder, entries):
    """Roots and counts of the manifest are those of the entries."""
    write_entries(folder, iter(entries), SEGMENT_LEAVES)
    archive = open_archive(folder, None)
    (manifest,) = archive.manifests
    wrong = replace(manifest.segments[1], root="00" * 32, kinds={"event": 1})
    segments = manifest.segments[0], wrong, *manifest.segments[2:]
    report = AuditReport()
    verify_archive(replace(archive, manifests=(replace(manifest, segments=segments),)), report, silent)
    assert report.counts == {"archive_differs": 2}


def test_what_the_rules_forbid_is_found_by_the_fold(folder, entries):
    """A bet that begins twice, and an answer that tells other balances: the bytes alone do not show them."""
    first, second = events_of(entries)[3], events_of(entries)[5]

    def payload_of(n):
        return BY_FINGERPRINT[entries[n].fingerprint].decode(entries[n].body)["payload"]

    twice = changed(entries[second], payload=payload_of(second) | {"bet_id": payload_of(first)["bet_id"]})
    forged = chained([*entries[:second], twice, *entries[second + 1 :]])
    for place, entry in enumerate(forged):
        if entry.kind == COMMAND and b"player-0000008" in entry.body and b'"last_version":9,' in entry.body:
            command = json.loads(entry.body)
            outcome = json.loads(command["outcome"])
            outcome["balances"][2] += 1
            forged[place] = entry._replace(body=canonical(command | {"outcome": json.dumps(outcome)}))
    assert check(folder, forged).ok
    report = AuditReport()
    verify_folds(open_archive(folder, None), report, silent)
    assert "player-0000007 version 6" in texts(report, "fold_refused")
    assert "player-0000008 version 9" in texts(report, "command_differs")
    assert report.counts.total() == 2, report.text()


def test_keys_with_quotes_are_compared_too(folder, entries):
    """Text that JSON writes with a backslash is no reason to blame anybody."""
    n = events_of(entries)[0]
    key = 'say "key"\\ \u00e9\n'
    quoted = chained([*entries[:n], changed(entries[n], idempotency_key=key), *entries[n + 1 :]])
    for place, entry in enumerate(quoted):
        if entry.kind == COMMAND and PLAYER in entry.body and b'"first_version":1,' in entry.body:
            quoted[place] = entry._replace(body=canonical(json.loads(entry.body) | {"idempotency_key": key}))
    report = check(folder, quoted)
    assert report.ok, report.text()


def test_a_random_life_of_a_ledger_is_clean(ledger_database_of_module, tmp_path):
    """Every kind of command, event, refusal and act, as a database sealed and exported them, with its own heads; and the
    tenants' balances are those of the database.
    """
    play(settings_of(ledger_database_of_module), seeded_random(), players=4, steps=40)
    for _ in range(2):
        seal(ledger_database_of_module)
        deposit(ledger_database_of_module)
    seal(ledger_database_of_module)
    archive(ledger_database_of_module, tmp_path)
    found = opened(tmp_path)
    heads = [
        PublishedHead(head.tree_size, bytes.fromhex(head.head.root), head.head.generation, "the topic")
        for head in map(SignedHead.parse, found.anchors())
    ]
    report = AuditReport()
    verify_archive(found, report, silent, heads)
    assert report.ok, report.text()
    assert report.checked["archive.heads"] == len(heads) == 3
    for shards in (1, 3):
        verify_folds(found, folds := AuditReport(), silent, shards)
        assert folds.ok, folds.text()
        assert folds.checked["archive.events_folded"] == report.checked["archive.events"]
    with psycopg.connect(ledger_database_of_module) as connection:
        query = "select sum(cash_minor + bonus_minor + held_minor + receivable_minor) from wagerledger.wallets where tenant_id = 'acme' and currency = 'EUR'"
        ((players_minor,),) = connection.execute(query).fetchall()
    tenant = sum(
        amount for (tenant, currency, _), amount in report.accounts.items() if (tenant, currency) == ("acme", "EUR")
    )
    assert players_minor == -tenant
    assert sum(1 for segment in found.segments for _ in read(found.path(segment))) == report.checked["archive.entries"]
