"""What a run of the tests promises whoever reads its end: everything has an end, failures have names and can be had again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.order import LONGEST, rank, shuffled
from tests.support.seeds import Draws, command_for, drawing, seeded_random

ROOT = Path(__file__).parents[1]
LIMIT_S = 120
PLANTED = """
import os, random, threading
from hypothesis import given, strategies
from tests.support import limits
from tests.support.seeds import seeded_random
import pytest

limits.LIMIT_S = 3

@pytest.fixture(scope="module")
def of_the_module():
    return seeded_random().random()

def show(name, value):
    with open(os.environ["SHOWN"], "a") as shown:
        shown.write(f"{name} {value}\\n")

def test_first(of_the_module):
    show("module", of_the_module)

def test_hangs():
    threading.Event().wait()

def test_ends_its_worker():
    os._exit(1)

def test_draws(of_the_module):
    show("module again", of_the_module)
    show("test", seeded_random().random())
    drawn = []
    @given(strategies.integers())
    def inner(number):
        drawn.append(number)
    inner()
    show("hypothesis", drawn)
"""


PLUGINS = "xdist", *(f"tests.support.{name}" for name in ("seeds", "order", "limits", "traces"))


def planted_run(folder: Path, *arguments: str) -> tuple[str, str]:
    """What pytest said of the planted file, and what its tests wrote."""
    (folder / "test_planted.py").write_text(PLANTED)
    shown = folder / "shown.txt"
    shown.write_text("")
    ours = {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "WAGERLEDGER_TEST_SEED": "7",
        "WAGERLEDGER_TEST_LOGS": str(folder / "logs"),
        "SHOWN": str(shown),
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(f"-p{plugin}" for plugin in PLUGINS)),
            *("-c", ROOT / "pyproject.toml", f"--rootdir={folder}", *arguments),
        ],
        cwd=ROOT, env=plain | ours, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr, shown.read_text()


def test_a_run_ends_names_what_failed_and_keeps_its_traces(tmp_path):
    """A test that hangs and one that ends its worker fail by their names; the others are run, once; order and command are left."""
    said, _ = planted_run(tmp_path, "-n", "1", str(tmp_path / "test_planted.py"))
    assert "2 failed, 2 passed" in said, said
    assert "test_planted.py::test_hangs took more than 3 s" in said
    assert "crashed while running 'test_planted.py::test_ends_its_worker'" in said
    assert re.search(r"^WAGERLEDGER_TEST_SEED=7 .*-m pytest test_planted.py::test_hangs$", said, re.MULTILINE)
    assert f"order of tests and servers' logs: {tmp_path / 'logs'}" in said
    order = (tmp_path / "logs" / "gw0" / "order.txt").read_text().split()
    assert order == [f"test_planted.py::test_{name}" for name in ("first", "hangs", "ends_its_worker")]


def test_numbers_follow_from_the_seed_and_the_test(tmp_path):
    """Alone, a test and the fixture of its module draw what they drew among others. Green leaves nothing."""
    file = str(tmp_path / "test_planted.py")
    said, among_others = planted_run(tmp_path, "-k", "first or draws", file)
    assert "2 passed" in said, said
    _, alone = planted_run(tmp_path, f"{file}::test_draws")
    assert among_others.splitlines()[1:] == alone.splitlines()
    assert among_others.splitlines()[0].split()[1] == alone.splitlines()[0].split()[2]
    assert not (tmp_path / "logs").exists()


def test_each_draw_is_another_one(monkeypatch):
    """Two generators of one test differ, and a fixture inside draws as it always does."""
    monkeypatch.setenv("WAGERLEDGER_TEST_SEED", "7")
    with drawing("test"):
        first, second = seeded_random().random(), seeded_random().random()
        with drawing("fixture"):
            inner = seeded_random().random()
    with drawing("fixture"):
        assert seeded_random().random() == inner
    assert len({first, second, inner}) == 3
    drawn = Draws("test").seed()
    assert drawn != Draws("other").seed()
    monkeypatch.setenv("WAGERLEDGER_TEST_SEED", "8")
    assert drawn != Draws("test").seed()


def test_the_command_can_be_pasted(monkeypatch):
    """Ids with brackets and spaces are quoted."""
    monkeypatch.setenv("WAGERLEDGER_TEST_SEED", "7")
    assert command_for("tests/a.py::b[c d]").endswith(" -m pytest 'tests/a.py::b[c d]'")


def test_files_are_shuffled_whole(request: pytest.FixtureRequest):
    """Tests of a file stay together and in their order, which is the same for the same seed."""
    items = request.session.items
    again = shuffled(items, 3)
    assert sorted(map(id, again)) == sorted(map(id, items))
    assert again == shuffled(items, 3)
    here = [item.name for item in items if item.path == Path(__file__)]
    assert [item.name for item in again if item.path == Path(__file__)] == here


def test_what_takes_longest_begins_first():
    """Each heap that takes minutes is there by its name, and comes before all that is not named."""
    assert all((ROOT / heap).exists() for heap in LONGEST)
    named = [f"{heap}test_any.py::test_it" if heap.endswith("/") else f"{heap}::test_it" for heap in LONGEST]
    others = ["tests/audit/test_verify.py::test_it", "tests/test_tidy.py::test_it"]
    assert sorted(others + named, key=rank) == named + others
