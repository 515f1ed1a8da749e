"""Proofs for one entry, checked by the script that auditors take along, alone in a Python of its own."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection, IsolationLevel
from typer.testing import CliRunner

from cli.main import app
from evidence import anchors, keys, log, merkle, proof
from evidence.proof import ProofError
from ledger.entry import ACT, COMMAND, EVENT, REFUSAL, Entry
from runtime.settings import Settings
from tests.audit.test_anchored import KEY, deposit, seal
from tests.support.random_game import play
from tests.support.seeds import seeded_random

SCRIPT = Path(__file__).parents[2] / "docs" / "check_inclusion.py"
TRUSTED = {keys.key_id(KEY.public_key()): KEY.public_key()}
PUBLIC = keys.to_text(KEY.public_key())


@pytest.fixture(scope="module")
def database_url(ledger_database_of_module) -> str:
    """A random history that was sealed chunk by chunk, with a head after each."""
    play(Settings(database_url=ledger_database_of_module), seeded_random(), players=3, steps=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchors, "CHUNK_LEAVES", 40)
        seal(ledger_database_of_module)
    return ledger_database_of_module


@pytest.fixture
def connection(database_url) -> Iterator[Connection[Any]]:
    with psycopg.connect(database_url) as opened:
        opened.isolation_level, opened.read_only = IsolationLevel.REPEATABLE_READ, True
        yield opened


@pytest.fixture
def entries(connection) -> list[Entry]:
    return list(log.entries(connection, 0, log.horizon(connection)))


def prove(connection: Connection[Any], entry: Entry) -> dict[str, Any]:
    said = proof.content(entry)
    if entry.kind in (EVENT, ACT):
        return proof.prove_id(connection, said.get("event_id") or said["act_id"], TRUSTED)
    return proof.prove_command(connection, said["scope"], said["operation"], said["idempotency_key"], TRUSTED)


def check(folder: Path, content: object, *key: str) -> subprocess.CompletedProcess[str]:
    path = folder / "proof.json"
    path.write_text(json.dumps(content))
    return subprocess.run(
        [sys.executable, "-I", SCRIPT, path, *key], capture_output=True, text=True, timeout=120, check=False
    )


def test_every_entry_has_a_proof(connection, entries):
    """Any event, command and act is proven at its own leaf, under the first head that was signed after it."""
    proven = set()
    for leaf, entry in [(0, entries[0]), *enumerate(entries)][:: 1 + len(entries) // 150]:
        if entry.kind == REFUSAL:
            continue  # of several under one key the last counts
        made = prove(connection, entry)
        assert (made["leaf_index"], base64.b64decode(made["entry"]["leaf"])) == (leaf, entry.leaf)
        proven.add(entry.kind)
    assert proven == {EVENT, COMMAND, ACT}


def test_every_head_extends_every_earlier_one(connection, entries):
    """Between any two heads there is a proof that the later one extends the earlier one."""
    leaves = [merkle.leaf_hash(entry.leaf) for entry in entries]
    sizes = [size for (size,) in connection.execute("select tree_size from wagerledger.anchors order by 1")]
    for size in sizes:
        for later in sizes[sizes.index(size) :]:
            path = [bytes.fromhex(one) for one in proof.prove_extension(connection, size, later)["path"]]
            assert merkle.verify_consistency(size, later, path, merkle.root(leaves[:size]), merkle.root(leaves[:later]))


def test_the_script_accepts_true_proofs(connection, entries, tmp_path):
    """An event, a command, a refusal and an act, with the key from elsewhere and a later head, or without either."""
    for kind in (EVENT, COMMAND, REFUSAL, ACT):
        made = prove(connection, next(entry for entry in entries if entry.kind == kind))
        size = made["signed_head"]["head"]["tree_size"]
        if kind == EVENT:
            done = check(tmp_path, made)
            assert "Compare the roots with heads of your own, and " in done.stdout, done
        made["later"] = proof.prove_extension(connection, size, None)
        done = check(tmp_path, made, PUBLIC)
        assert (done.returncode, done.stdout.count("holds")) == (0, 2), done
        assert made["signed_head"]["head"]["root"] in done.stdout
        said = done.stdout.partition(" says: ")[2].rpartition("\nCompare")[0]
        assert json.loads(said) == made["entry"]["content"]


Change = Callable[[dict[str, Any]], object]
TAMPERED: dict[str, Change] = {
    "another leaf": lambda made: made["entry"].update(leaf=base64.b64encode(b"command\x00{}").decode()),
    "shown otherwise": lambda made: made["entry"]["content"].update(trace_id="another"),
    "another kind": lambda made: made["entry"].update(kind="act"),
    "another place": lambda made: made.update(leaf_index=made["leaf_index"] ^ 1),
    "a changed path": lambda made: made["path"].__setitem__(0, "00" * 32),
    "a longer path": lambda made: made["path"].append("00" * 32),
    "no path": lambda made: made.update(path=[]),
    "a changed root": lambda made: made["signed_head"]["head"].update(root="00" * 32),
    "another size": lambda made: made["signed_head"]["head"].update(tree_size=10**6),
    "a changed signature": lambda made: made["signed_head"].update(signature=base64.b64encode(bytes(64)).decode()),
    "a later head of another tree": lambda made: made["later"]["path"].__setitem__(0, "00" * 32),
    "a later head without a path": lambda made: made["later"].update(path=[]),
    "an unsigned later head": lambda made: made["later"]["signed_head"]["head"].update(root="00" * 32),
    "nothing in it": lambda made: made.clear(),
}
TAMPERED_EVENTS: dict[str, Change] = {
    "another amount": lambda entry: entry["content"]["payload"].update(stake_minor=1),
    "another schema": lambda entry: entry.update(schema=entry["schema"].replace("stake_cash", "stake_gift")),
    "both": lambda entry: entry.update(json.loads(json.dumps(entry).replace("stake_cash", "stake_gift"))),
    "no schema": lambda entry: entry.pop("schema"),
}


def test_the_script_refuses_every_tampered_proof(connection, entries, tmp_path):
    """Whatever part of a proof is changed, it does not hold, and says so in one line."""
    command = next(entry for entry in entries if entry.kind == COMMAND)
    for name, change in TAMPERED.items():
        made = prove(connection, command)
        made["later"] = proof.prove_extension(connection, made["signed_head"]["head"]["tree_size"], None)
        change(made)
        done = check(tmp_path, made, PUBLIC)
        assert done.returncode == 1, f"{name}: {done}"
        assert done.stderr.startswith("does not hold: "), f"{name}: {done}"
        assert done.stderr.count("\n") == 1, f"{name}: {done}"
    event = next(entry for entry in entries if entry.kind == EVENT and "stake_minor" in proof.content(entry)["payload"])
    for name, change in TAMPERED_EVENTS.items():
        made = prove(connection, event)
        change(made["entry"])
        done = check(tmp_path, made, PUBLIC)
        assert (done.returncode, done.stderr[:15]) == (1, "does not hold: "), f"{name}: {done}"
    stranger = keys.to_text(keys.new_key().public_key())
    assert check(tmp_path, prove(connection, command), stranger).returncode == 1


def test_what_cannot_be_proven_says_why(connection, entries, database_url):
    """An unknown entry, one that is not sealed yet, and sizes of which no head speaks."""
    unknown = "00000000-0000-7000-8000-000000000000"
    with pytest.raises(ProofError, match=f"there is no event or act {unknown}"):
        proof.prove_id(connection, unknown, TRUSTED)
    with pytest.raises(ProofError, match="is no id"):
        proof.prove_id(connection, "x", TRUSTED)
    with pytest.raises(ProofError, match="there are no heads of 1 and"):
        proof.prove_extension(connection, 1, None)
    with pytest.raises(ProofError, match="no valid signature"):
        proof.prove_id(connection, proof.content(entries[-1]).get("event_id") or str(first_event(entries)), {})


def first_event(entries: list[Entry]) -> str:
    return str(proof.content(next(entry for entry in entries if entry.kind == EVENT))["event_id"])


def test_the_command_prints_proofs(database_url, entries, tmp_path, monkeypatch):
    """`audit prove` prints what the script takes, exits 1 where there is nothing to prove, and never shows a key."""
    monkeypatch.setenv("WAGERLEDGER_DATABASE_URL", database_url)
    monkeypatch.setenv("WAGERLEDGER_ANCHOR_PUBLIC_KEYS", PUBLIC)
    run = CliRunner().invoke
    done = run(app, ["audit", "prove", first_event(entries), "--later", "0"])
    assert done.exit_code == 0, done.output
    assert check(tmp_path, json.loads(done.stdout), PUBLIC).returncode == 0
    assert run(app, ["audit", "prove", "--command", "x", "bet", "y"]).exit_code == 1
    assert run(app, ["audit", "prove"]).exit_code == 2
    deposit(database_url)
    with psycopg.connect(database_url) as connection:
        (newest,) = connection.execute("select event_id from wagerledger.event_log order by xid desc").fetchone()
    assert run(app, ["audit", "prove", str(newest)]).exit_code == 1
    monkeypatch.setenv("WAGERLEDGER_ANCHOR_KEY", keys.to_text(KEY))
    public = run(app, ["anchor-key", "--public"]).stdout
    assert PUBLIC in public
    assert keys.to_text(KEY) not in public
    pair = json.loads(run(app, ["anchor-key", "--json"]).stdout)
    assert keys.key_id(keys.signing_key(Settings(anchor_key=pair["private_key"])).public_key()) == pair["key_id"]
