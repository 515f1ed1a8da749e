"""`audit export`, `verify-archive`, `replay --from-archive`, `restore`, `detach`: what an operator types, and what it says."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from evidence.keys import to_text
from tests.cli.commands import COULD_NOT, FINDING, OK
from tests.support.seals import KEY, deposit, seal
from tests.support.servers import Servers, fresh_database

BY = "--actor", "ops", "--reason", "a test"
NOTHING_SET = dict.fromkeys(
    [
        "WAGERLEDGER_DATABASE_URL",
        "WAGERLEDGER_BI_DATABASE_URL",
        "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS",
        "WAGERLEDGER_SCHEMA_REGISTRY_URL",
    ]
)
AUDITOR = {"WAGERLEDGER_ANCHOR_PUBLIC_KEYS": to_text(KEY.public_key()), "WAGERLEDGER_ANCHOR_KEY": None}


def run(*arguments: str | Path, code: int = OK, **environment: str | None) -> str:
    """As the sealer's host would, with a database; else with what is said."""
    given = NOTHING_SET | {"WAGERLEDGER_ANCHOR_KEY": to_text(KEY), "COLUMNS": "200"} | environment
    done = CliRunner().invoke(app, list(map(str, arguments)), env=given)
    assert done.exit_code == code, f"{arguments}: {done.exit_code}\n{done.output}\n{done.exception!r}"
    return done.output


@pytest.fixture(scope="module")
def database(ledger_database_of_module: str) -> str:
    deposit(ledger_database_of_module, opens="p1")
    seal(ledger_database_of_module)
    return ledger_database_of_module


@pytest.fixture(scope="module")
def folder(database: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    assert "the archive holds 10 entries" in run("audit", "export", folder, WAGERLEDGER_DATABASE_URL=database)
    return folder


@pytest.fixture
def empty(servers: Servers, ledger_template: str) -> Iterator[str]:
    with fresh_database(servers.database_url, template=ledger_template) as url:
        yield url


def test_an_archive_is_made_once(database: str, folder: Path) -> None:
    """A second run finds nothing new, and says what would make something new."""
    assert "wagerledger seal" in run("audit", "export", folder, WAGERLEDGER_DATABASE_URL=database)


def test_an_auditor_needs_the_folder_and_a_public_key(folder: Path) -> None:
    """Verifying and replaying work where nothing else is configured; a wallet comes out with its balance."""
    said = run("audit", "verify-archive", folder, **AUDITOR)
    assert "Everything agrees" in said
    assert said.splitlines()[-1].startswith("Not checked: tree heads from outside (--heads), bets and answers")
    wallet: dict[str, Any] = json.loads(
        run("audit", "replay", "--wallet", "acme/p1/EUR", "--from-archive", str(folder), "--json", **AUDITOR)
    )
    assert (wallet["cash_minor"], wallet["version"]) == (1500, 4)
    earlier = run(
        "audit", "replay", "--wallet", "acme/p1/EUR", "--from-archive", folder, "--version", "2", "--json", **AUDITOR
    )
    assert json.loads(earlier)["cash_minor"] == 500


def test_without_a_key_nothing_is_taken_for_signed(folder: Path) -> None:
    """Whoever has no public key must say that signatures do not matter."""
    nothing = dict.fromkeys(AUDITOR)
    assert "or say --unsigned" in run("audit", "verify-archive", folder, code=COULD_NOT, **nothing)
    assert "Everything agrees" in run("audit", "verify-archive", folder, "--unsigned", **nothing)
    assert "is signed by the key" in run(
        "audit", "verify-archive", folder, code=FINDING,
        WAGERLEDGER_ANCHOR_KEY=None, WAGERLEDGER_ANCHOR_PUBLIC_KEYS="qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=",
    )  # fmt: skip


def test_files_that_no_manifest_names_are_told(folder: Path, tmp_path: Path) -> None:
    """What a stopped export left is no part of the archive: it is no finding, and nobody takes it for checked."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "segment-000000000010-000000000011.avro").write_bytes(b"")
    said = json.loads(run("audit", "verify-archive", copy, "--json", **AUDITOR))
    assert (said["ok"], said["checked"]["archive.files_not_named"]) == (True, 1)
    assert "no manifest names segment-000000000010-000000000011.avro" in said["notes"][0]


@pytest.mark.parametrize("command", [("verify-archive",), ("replay", "--wallet", "acme/p1/EUR", "--from-archive")])
def test_a_folder_without_an_archive_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    """An empty folder and a missing one are no archive: nothing could be checked."""
    assert "holds no manifest" in run("audit", *command, tmp_path, code=COULD_NOT)
    assert "there is no folder" in run("audit", *command, tmp_path / "none", code=COULD_NOT)


def test_a_restore_needs_an_empty_database(folder: Path, empty: str, database: str) -> None:
    """Into a full one nothing goes; into an empty one everything, and the audit agrees."""
    assert "is not empty" in run("audit", "restore", folder, *BY, code=FINDING, WAGERLEDGER_DATABASE_URL=database)
    assert "10 entries are back" in run("audit", "restore", folder, *BY, WAGERLEDGER_DATABASE_URL=empty)
    assert "Everything agrees" in run("audit", "verify", "--no-topics", WAGERLEDGER_DATABASE_URL=empty)


def test_an_archive_of_another_log_changes_nothing(folder: Path, empty: str) -> None:
    """`export` into the archive of another database is refused, by name."""
    deposit(empty, opens="p2")
    seal(empty)
    assert "another log's archive" in run("audit", "export", folder, code=FINDING, WAGERLEDGER_DATABASE_URL=empty)
