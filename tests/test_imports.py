"""The import contracts themselves: what they allow is a list, so that whatever comes to be is closed until it is named."""

import subprocess
import sys
import tomllib
from typing import Any

import pytest
from grimp import ImportGraph

from tests.support.allowed_imports import contract
from tests.support.pages import PACKAGES, ROOT

TOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACTS: list[dict[str, Any]] = [one for one in TOOLS["importlinter"]["contracts"] if one["type"] == "allowed"]
PROVIDERS, CORE = "gateway.providers", "ledger.core"


def broken(importer: str, imported: str) -> list[tuple[str, str]]:
    """What the contract of `importer`'s room says, were this the only import."""
    (options,) = [one for one in CONTRACTS if any(importer.startswith(source) for source in one["source_modules"])]
    graph = ImportGraph()
    for module in {*options["source_modules"], importer, imported}:
        graph.add_module(module)
    graph.add_import(importer=importer, imported=imported)
    check = contract(options["name"], {name: value for name, value in options.items() if name not in ("name", "type")})
    return check.check(graph, verbose=False).metadata["found"]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        (f"{PROVIDERS}.new", "ledger.newly_made"),
        (f"{PROVIDERS}.new", "ledger.journal"),
        (f"{PROVIDERS}.new.bodies", "gateway.newly_made"),
        (f"{PROVIDERS}.new", "gateway.dialects_of_old"),
        (f"{PROVIDERS}.new", "newly_installed"),
        (f"{CORE}.new", "ledger.newly_made"),
        (f"{CORE}.new", "newly_installed"),
        (f"{CORE}.new", "schemas"),
    ],
)
def test_what_nobody_named_is_closed(importer: str, imported: str) -> None:
    """A module that is made tomorrow, ours or another's, is closed to the providers and the core without anybody remembering it."""
    assert broken(importer, imported) == [(importer, imported)]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        (f"{PROVIDERS}.new", "gateway.dialect.fields"),
        (f"{PROVIDERS}.new", "ledger.core.money"),
        (f"{PROVIDERS}.new", "ledger.outcome"),
        (f"{PROVIDERS}.new", "pydantic"),
        (f"{PROVIDERS}.new", "hashlib"),
        (f"{CORE}.new", f"{CORE}.money"),
        (f"{CORE}.new", "dataclasses"),
    ],
)
def test_what_is_named_is_open(importer: str, imported: str) -> None:
    """The dialect interface, the ledger's words, the standard library and the third parties in the list can be used."""
    assert broken(importer, imported) == []


def test_every_room_has_a_place() -> None:
    """A folder of code that nobody has named is found: else it would be open to all, unchecked and not installed."""
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    (house,) = [one for one in TOOLS["importlinter"]["contracts"] if one["name"] == "Arrows point down"]
    layers = {room.strip() for layer in house["layers"] for room in layer.split("|")}
    assert rooms == layers == set(TOOLS["importlinter"]["root_packages"])
    assert rooms | {"tests"} == set(TOOLS["mypy"]["packages"])
    assert rooms - {"spark"} == set(PACKAGES)


HEAVY = (
    "audit.database", "fastavro", "ledger.jobs", "ledger.journal.writer", "outbox_relay", "projector", "pyarrow",
    "sandbox.servers", "schemas.events", "schemas.registry", "sqlalchemy", "starlette", "uvicorn",
)  # fmt: skip


def loaded_of_these(statement: str) -> list[str]:
    """Which heavy modules a new interpreter has after a statement."""
    code = f"import sys; {statement}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


def test_a_command_starts_without_what_another_needs() -> None:
    """Whoever asks for help, or for one wallet, does not wait for the imports of all commands."""
    assert loaded_of_these("import cli.main") == []
    assert "ledger.journal.writer" in loaded_of_these("import cli.main, ledger.jobs.abandoned_bets")
