"""The log against its anchors: whatever was changed after it was sealed is found and named, also by somebody who forges all
that the database holds.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection, IsolationLevel

from audit.anchors import verify_anchors
from audit.differences import ADDED, CHANGED, MISSING, MOVED, differences
from audit.findings import AuditReport, CannotCheckError
from audit.sources import Sources
from evidence import anchors, heads, keys, merkle
from evidence.heads import SignedHead
from ledger.core.chain import hash_of
from ledger.journal.writer import Journal
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT
from tests.support.commands import Asks
from tests.support.journals import accepted, run, settings_of
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_database
from tests.support.wrong_hand import disarm

KEY = keys.new_key()

XID_OF = "select xid::text::bigint from wagerledger.event_log where event_id = %s"
SOME_EVENT = """
select event_id, body, schema_fingerprint from wagerledger.event_log where event_type = 'wallet.credit.deposit'
order by xid, position limit 1
"""


def sealing(database_url: str) -> Iterator[tuple[Connection[Any], Connection[Any], anchors.Tree]]:
    with (
        psycopg.connect(database_url, autocommit=True) as writer,
        psycopg.connect(database_url, autocommit=True) as reader,
    ):
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        yield writer, reader, anchors.load(writer)


def seal(database_url: str, key=KEY, name: str = "wagerledger") -> list[str]:
    """Chunk by chunk, each with a head of its own; gives all published lines."""
    for writer, reader, tree in sealing(database_url):
        for _ in anchors.extend(tree, reader, writer):
            anchors.anchor(tree, writer, key, name)
        return [one.line for one in anchors.heads_after(writer, None, tree.newest.head)]
    raise AssertionError


@pytest.fixture(scope="module")
def history(servers, ledger_database_of_module) -> tuple[str, list[str]]:
    """A sealed random history, and the heads as they lie outside."""
    play(Settings(database_url=ledger_database_of_module), seeded_random(), players=3, steps=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchors, "CHUNK_LEAVES", 15)
        return ledger_database_of_module, seal(ledger_database_of_module)


def deposit(database_url: str) -> None:
    """Something new."""

    async def main():
        async with Journal(settings_of(database_url)) as journal:
            await accepted(journal, Asks("acme", None).deposit("1", "p0"))

    run(main)


class Intruder:
    """Somebody with all rights on the database, and what the auditor says afterwards."""

    def __init__(self, database_url: str, outside: Path) -> None:
        self.database_url = database_url
        self.outside = outside

    def __call__(self, statement: str, *parameters: object) -> list[Any]:
        with psycopg.connect(self.database_url) as connection:
            disarm(connection)
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def audit(self) -> AuditReport:
        settings = Settings(database_url=self.database_url, anchor_public_keys=keys.to_text(KEY.public_key()))
        report = AuditReport()
        verify_anchors(Sources(settings), report, files=[self.outside])
        return report

    def found(self) -> dict[str, int]:
        return dict(self.audit().counts)

    def text(self, code: str) -> str:
        return "\n".join(str(finding) for finding in self.audit().findings if finding.code == code)


@pytest.fixture
def intruder(servers, history, tmp_path) -> Iterator[Intruder]:
    url, lines = history
    outside = tmp_path / "heads.jsonl"
    outside.write_text("\n".join(lines) + "\n")
    with fresh_database(servers.database_url, template=url) as copy:
        yield Intruder(copy, outside)


def changed_body(body: bytes, fingerprint: bytes) -> bytes:
    schema = BY_FINGERPRINT[fingerprint]
    record = schema.decode(body)
    return schema.encode(record | {"occurred_at": record["occurred_at"] + 1})


def test_an_untouched_log_extends_all_that_was_anchored(intruder):
    """Every head agrees with the log as it stands, and what came later is no finding."""
    report = intruder.audit()
    assert report.ok, report.text()
    assert report.checked["anchors.heads"] > 3
    assert report.checked["anchors.entries"] == intruder("select max(tree_size) from wagerledger.anchors")[0][0]
    deposit(intruder.database_url)
    assert intruder.audit().ok


def test_a_changed_byte_of_an_event_is_named(intruder):
    """One byte of one event: its id, stream, version and leaf are told, and nothing else."""
    ((event_id, body, fingerprint),) = intruder(SOME_EVENT)
    statement = "update wagerledger.event_log set body = %s where event_id = %s"
    intruder(statement, changed_body(body, fingerprint), event_id)
    assert intruder.found() == {"entry_changed": 1}
    assert f"event {event_id} (wallet.credit.deposit)" in intruder.text("entry_changed")
    intruder(statement, b"\x00", event_id)
    assert "which cannot be read" in intruder.text("entry_changed")


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (
            "update wagerledger.commands set answer = 'x' where ctid = (select min(ctid) from wagerledger.commands)",
            "command",
        ),
        (
            "update wagerledger.refusals set code = 'X' where refusal_id = (select min(refusal_id) from wagerledger.refusals)",
            "refusal",
        ),
        (
            "update wagerledger.acts set reason = 'x' where position = (select min(position) from wagerledger.acts)",
            "act",
        ),
    ],
)
def test_changed_commands_refusals_and_acts_are_named(intruder, statement, name):
    """What was asked, answered, refused and administered is proven as the events are."""
    intruder(statement)
    assert set(intruder.found()) == {"entry_changed"}
    assert f"than {name} " in intruder.text("entry_changed")


def test_a_deleted_row_is_missed(intruder):
    """A row that is gone is told with its leaf, its hash and its neighbour."""
    ((event_id, *_),) = intruder(SOME_EVENT)
    intruder("delete from wagerledger.event_log where event_id = %s", event_id)
    intruder("delete from wagerledger.refusals where refusal_id = (select max(refusal_id) from wagerledger.refusals)")
    assert intruder.found() == {"entry_missing": 2}
    assert "it stood after" in intruder.text("entry_missing")


def test_an_added_row_is_named(intruder):
    """A row that was put among sealed ones is no longer part of any signed tree."""
    intruder("""
        insert into wagerledger.refusals (scope, operation, idempotency_key, command_id, kind, tenant_id, code, details, trace_id,
            refused_at, xid)
        select scope, operation, 'forged', command_id, kind, tenant_id, code, details, trace_id, refused_at, xid
        from wagerledger.refusals order by refusal_id limit 1
    """)
    assert intruder.found() == {"entry_added": 1}
    assert "forged" in intruder.text("entry_added")


def test_two_swapped_rows_are_named(intruder):
    """Two events of one transaction that changed their places."""
    first, second = intruder("""
        select event_id from wagerledger.event_log where xid = (
            select xid from wagerledger.event_log group by xid having count(*) > 1 order by xid limit 1)
        order by position limit 2
    """)
    intruder("set local role wagerledger_owner; alter table wagerledger.event_log alter column position drop identity")
    intruder(
        """
        update wagerledger.event_log e set position = o.position from wagerledger.event_log o
        where (e.event_id = %s and o.event_id = %s) or (e.event_id = %s and o.event_id = %s)
        """,
        *first, *second, *second, *first,
    )  # fmt: skip
    assert intruder.found() == {"entry_moved": 2}


def test_a_log_rolled_back_to_an_earlier_state_is_behind_its_heads(intruder):
    """Rows, hashes and anchors of the end removed together: the heads outside remember."""
    ((xid, size),) = intruder("select last_xid, tree_size from wagerledger.anchors order by tree_size offset 2 limit 1")
    for statement in (
        "delete from wagerledger.event_log where xid > %s::text::xid8",
        *(f"delete from wagerledger.{table} where xid > %s" for table in ("commands", "refusals", "acts")),
        *(f"delete from wagerledger.{table} where last_xid > %s" for table in ("sealed_leaves", "anchors")),
    ):
        intruder(statement, str(xid) if "xid8" in statement else xid)
    found = intruder.found()
    assert set(found) == {"anchor_ahead"}
    assert f"only {size} are sealed here" in intruder.text("anchor_ahead")


def forge(intruder: Intruder) -> None:
    """Change an event, and recompute every hash of its stream and of all the rest that the database holds."""
    ((event_id, body, fingerprint),) = intruder(SOME_EVENT)
    record = BY_FINGERPRINT[fingerprint].decode(body)
    stream = record["tenant_id"], record["stream_type"], record["stream_id"]
    rows = intruder(
        """
        select event_id, body, schema_fingerprint from wagerledger.event_log
        where (tenant_id, stream_type, stream_id) = (%s, %s, %s) order by stream_version
        """,
        *stream,
    )
    previous = None
    for one, one_body, one_fingerprint in rows:
        schema = BY_FINGERPRINT[one_fingerprint]
        new = schema.decode(one_body)
        if previous:
            new["previous_hash"] = previous
        elif one != event_id:
            continue
        if one == event_id:
            new["trace_id"] = "forged"
        new_body = schema.encode(new)
        intruder("update wagerledger.event_log set body = %s where event_id = %s", new_body, one)
        previous = hash_of(new_body)
    intruder(
        "update wagerledger.streams set head_hash = %s where (tenant_id, stream_type, stream_id) = (%s, %s, %s)",
        previous,
        *stream,
    )


def test_a_forged_chain_is_named_and_a_forged_tree_is_caught_from_outside(intruder):
    """Recomputed hash chains differ from what was sealed; recomputed leaves, heads signed anew with the stolen key and an
    emptied table do not help against the heads outside.
    """
    forge(intruder)
    assert set(intruder.found()) == {"entry_changed"}
    intruder("delete from wagerledger.sealed_leaves")
    intruder("delete from wagerledger.anchors")
    seal(intruder.database_url)
    found = intruder.found()
    assert set(found) <= {"anchor_contradicted", "anchor_forked"}
    assert found["anchor_contradicted"] > 1
    assert "was signed over" in intruder.text("anchor_contradicted")


def test_changed_leaf_hashes_are_not_taken_for_changed_entries(intruder):
    """Where only the stored hashes were changed, that is what is said."""
    intruder("update wagerledger.sealed_leaves set hashes = sha256(hashes) || substr(hashes, 33) where first_leaf = 0")
    assert intruder.found() == {"sealed_leaves_changed": 1}
    intruder("delete from wagerledger.sealed_leaves where first_leaf = 0")
    assert "sealed_leaves_broken" in intruder.found()


def test_forged_and_forked_heads_outside_are_named(intruder, history):
    """A head with a stranger's signature, a line that is none, and a second history under the right key."""
    lines = history[1]
    first = SignedHead.parse(lines[0])

    def with_line(line: str) -> dict[str, int]:
        intruder.outside.write_text("\n".join([*lines, line]) + "\n")
        return intruder.found()

    def signed(key) -> str:
        head = {"log": "wagerledger", "generation": 1, "tree_size": first.tree_size}
        return heads.sign(key, **head, root=merkle.EMPTY_ROOT, previous=None).line

    assert with_line(signed(keys.new_key())) == {"anchor_forged": 1}
    assert with_line("nonsense") == {"anchor_unreadable": 1}
    assert with_line(signed(KEY)) == {"anchor_forked": 1, "anchor_contradicted": 1}


def test_a_head_that_is_just_being_written_is_no_finding(intruder, history):
    """A file's last line without its end says nothing yet; with its end it must be a head."""
    lines = history[1]
    intruder.outside.write_text("\n".join(lines)[:-20])
    assert intruder.found() == {}
    intruder.outside.write_text("\n".join(lines)[:-20] + "\n")
    assert intruder.found() == {"anchor_unreadable": 1}


def test_an_anchors_row_that_says_otherwise_is_named(intruder):
    """A row of the table whose columns are not what its head says, and a head that somebody else signed."""
    intruder("update wagerledger.anchors set frontier = sha256(frontier) || substr(frontier, 33)")
    assert set(intruder.found()) == {"anchor_forged"}
    line = intruder("select signed_head::text from wagerledger.anchors limit 1")[0][0]
    intruder("update wagerledger.anchors set signed_head = %s", json.dumps(json.loads(line) | {"signature": "AAAA"}))
    assert set(intruder.found()) <= {"anchor_forged", "anchor_unreadable"}


def test_without_heads_or_key_nothing_is_claimed(intruder, tmp_path):
    """No head, no key, no file or no database is not the same as in order."""
    settings = Settings(database_url=intruder.database_url, anchor_public_keys=keys.to_text(KEY.public_key()))
    for changes, files, text in (
        ({}, [tmp_path / "none"], "cannot be read"),
        ({"anchor_public_keys": ""}, [intruder.outside], "WAGERLEDGER_ANCHOR_PUBLIC_KEYS is not set"),
        ({"anchor_log": "another"}, [intruder.outside], "has no valid head of log another"),
    ):
        with pytest.raises(CannotCheckError, match=text):
            verify_anchors(Sources(settings.model_copy(update=changes)), AuditReport(), files=files)


def mutations(sealed: list[bytes]) -> dict[str, Callable[[int], list[bytes]]]:
    return {
        CHANGED: lambda at: [*sealed[:at], b"new", *sealed[at + 1 :]],
        MISSING: lambda at: [*sealed[:at], *sealed[at + 1 :]],
        ADDED: lambda at: [*sealed[:at], b"new", *sealed[at:]],
    }


@given(st.integers(1, 30).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_a_difference_is_told_once_and_in_its_place(pair):
    """Each single mutation gives exactly one difference, at its leaf; two swapped entries give two."""
    size, at = pair
    sealed = [b"%d" % number for number in range(size)]
    assert not list(differences(sealed, sealed))
    for code, change in mutations(sealed).items():
        assert [(one.code, one.leaf, one.found_at) for one in differences(sealed, change(at))] == [(code, at, at)]
    duplicated = [*sealed[: at + 1], sealed[at], *sealed[at + 1 :]]
    assert [one.code for one in differences(sealed, duplicated)] == [ADDED]
    if at:
        swapped = [*sealed]
        swapped[0], swapped[at] = swapped[at], swapped[0]
        assert [(one.code, one.leaf) for one in differences(sealed, swapped)] == [(MOVED, 0), (MOVED, at)]


@given(st.lists(st.sampled_from("abcdef"), max_size=8), st.lists(st.sampled_from("abcdef"), max_size=8))
def test_any_two_different_sequences_differ(sealed, found):
    """No difference is told exactly where there is none."""
    told = list(differences([s.encode() for s in sealed], [f.encode() for f in found]))
    assert bool(told) == (sealed != found)
