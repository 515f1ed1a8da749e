"""Style that no linter checks. Every file is read once; each exception stands here with its reason."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.pages import PACKAGES, ROOT

FOLDERS = (*PACKAGES, "spark")
"""All that hold code of ours; spark is not installed."""
LONGEST_LINE = 120
LONGEST_FUNCTION = 50
SHORTEST_FILE = 10
SHORTEST_DOCSTRING = 4
MOST_POSITIONAL = 7
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}

CATCH_ALL = {
    "cli/doctor.py": "one look that fails is said, and does not keep from the others; what is no trouble goes on",
    "cli/trouble.py": "a command ends in our words; what is no trouble with a server goes on as it was",
    "gateway/serving.py": "the last resort: the caller gets the one error shape, the log gets everything",
    "gateway/host/provider_calls.py": "a code that a dialect's author forgot must not end the connection",
    "gateway/auth/keys.py": "a refresher that died in silence would keep revoked keys alive",
    "ledger/journal/kept_reader.py": "what goes wrong in a callback of the event loop is raised where the statement is waited for",
    "ledger/journal/writer.py": "whatever fails a transaction, its callbacks are tried one by one and each of them hears something",
    "projector/page/watch.py": "a watch that died in silence would show old figures as today's; it is logged, counted and told",
    "ledger/journal/transaction.py": "a bug in one callback must not cost its neighbours their answers; it is logged and raised to its caller",
}
"""Files that may say `except Exception`, and why."""

BANNED_WORDS = {
    r"\b(TODO|FIXME|XXX|HACK)\b": "finish it, or write down in the documentation that it is missing",
    r"\b(pypi|registry\.npmjs|repo1?\.maven|proxy\.golang|crates)\.(org|io|apache\.org)\b": "hosts of package registries are settings of the tools",
    r"\b(?:chat)?gpt|\bllms?\b|\bcopilot\b|language model|\bprompt(?:s|ed)?\b(?! for)": "the project speaks of itself alone",
    r"\b(?:ai|AI)[- ](?:assisted|generated|agent)|\b(?:sub)?agents?\b|\bco-?founders?\b": "the project speaks of itself alone",
    r"/work/(?:main|shared)|/tmp/(?:brief|dev)": "paths of one machine",
    r"\b(?:[Hh]e|[Hh]im|[Hh]is|[Hh]imself|[Ss]he|[Hh]ers|[Hh]erself)\b": "a caller, a reader, a player is they; a program is it",
}
WORDS_ALLOWED = {
    ("sandbox/servers/artifacts.py", "repo"): "the jars of the embedded servers come from Maven Central, by name",
    ("ledger/store/migrations/0003_evidence.sql", "h"): "migrations are added, never edited",
}
OURS = {".py", ".sql", ".md", ".toml", ".avsc", ".yml", ".yaml", ".sh", ""}
NOT_OURS = ("LICENSE", "requirements/runtime.txt", "requirements/dev.txt", "tests/data/", "tests/test_tidy.py")


def tracked_files() -> list[Path]:
    """What git has or would take in; without git, what lies there."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return [
        path
        for folder in (*FOLDERS, "tests", "docs", "deploy")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    ]


FILES = [
    path for path in tracked_files() if path.suffix in OURS and not str(path.relative_to(ROOT)).startswith(NOT_OURS)
]
CODE = [path for path in FILES if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in FOLDERS]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """The syntax tree of a file; parsing is what takes time here."""
    return list(ast.walk(ast.parse(path.read_text())))


def test_lines_fit() -> None:
    """No line of code is longer than 120 characters, not counting what tells a checker why."""
    long = {}
    for path in CODE:
        lines = enumerate(re.sub(r" +# (noqa|type: ignore|fmt:).*", "", path.read_text()).splitlines(), 1)
        if numbers := [number for number, line in lines if len(line) > LONGEST_LINE]:
            long[name_of(path)] = numbers
    assert long == {}


def test_functions_fit() -> None:
    """No function is longer than half a screen; ruff counts its branches and parameters."""
    long = {}
    for path in CODE:
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long[f"{name_of(path)}:{node.name}"] = length
    assert long == {}


LISTS = {
    "document": "the parts of a page",
    "java": "a command line",
    "only": "the columns of a statement",
    "select": "the columns of a table",
}
"""Functions that take a list, member by member, and what it is a list of: their arguments cannot be swapped."""

HOT_CALLS = {
    "ledger/core/bets.py:Bet",
    "ledger/core/bets.py:BetAuthorized",
    "ledger/core/state.py:Bet",
    "ledger/core/state.py:Wallet",
    "ledger/core/wins.py:BetSettled",
    "ledger/core/wins.py:Settlement",
    "ledger/journal/recording.py:Recorded",
    "ledger/outcome.py:Outcome",
}
"""Calls that every bet or win comes by: keywords there make it 3 to 4 µs dearer, of 24 (`ledger/core/value.py`)."""


def test_calls_name_what_they_pass() -> None:
    """No call passes more than seven arguments by their places: texts that stand side by side are swapped unseen."""
    unnamed = {
        f"{name_of(path)}:{_called(node)}"
        for path in CODE
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL and _called(node) not in LISTS
    }
    assert unnamed == HOT_CALLS


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


SHORT_FILES = {"cli/__main__.py": "Python's own name for what `python -m cli` runs"}
"""Files under ten lines, and why they are files."""


def test_files_are_worth_opening() -> None:
    """What has a few lines stands beside what it belongs to; only packages may say less, in their `__init__`."""
    short = {
        name_of(path)
        for path in CODE
        if path.name != "__init__.py" and len(path.read_text().splitlines()) < SHORTEST_FILE
    }
    assert short == set(SHORT_FILES)


PARTICIPLES = re.compile(r"(ed|ing|told|kept|held|made|known|shown|written|seen|heard|said|done|sent|read|found)$")
NOUNS = {
    "bookkeeping": "what a bookkeeper does",
    "incoming": "a request as it comes in",
    "folding": "the folding of a batch, as the projector's one step",
    "mapping": "which column of a report means what",
    "recording": "a recorded event and how it is made",
    "serving": "what every answer of the gateway goes through",
    "signing": "the scheme of signatures",
    "bgaming": "a provider's name",
}
"""Files that end like participles and are named by nouns."""


def test_files_are_named_by_nouns() -> None:
    """A file is named by what stands in it, not by what happens to that: `archive`, not `archived`."""
    named = {path.stem: name_of(path) for path in CODE if PARTICIPLES.search(path.stem)}
    assert {name: where for name, where in named.items() if name not in NOUNS} == {}
    assert NOUNS.keys() <= named.keys(), "an exception for a file that is not there"


def test_files_are_named_after_what_they_hold() -> None:
    """A file has a noun of the field, not a drawer's label."""
    assert [name_of(path) for path in FILES if BANNED_NAMES & set(re.split(r"[_.]", path.stem.lower()))] == []
    assert [
        name_of(path) for path in FILES if BANNED_NAMES & {part.lower() for part in path.relative_to(ROOT).parts[:-1]}
    ] == []


def test_nothing_catches_everything_but_what_has_a_reason() -> None:
    """Swallowed errors are lost money."""
    catching = {name_of(path) for path in CODE if any(map(_catches_all, nodes_of(path)))}
    assert catching == set(CATCH_ALL)


def _catches_all(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    names = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    if not any(
        name is None or (isinstance(name, ast.Name) and name.id in ("Exception", "BaseException")) for name in names
    ):
        return False
    # Cleaning up and raising the same again hides nothing.
    return not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)


def test_docstrings_can_be_read_alone() -> None:
    """What stands below a name, also of a field, names its subject: fewer than four words only point elsewhere."""
    short = [
        f"{name_of(path)}:{node.lineno}: {node.value.value!r}"
        for path in CODE
        for node in nodes_of(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if len(node.value.value.split()) < SHORTEST_DOCSTRING
    ]
    assert short == []


@pytest.mark.parametrize("pattern", BANNED_WORDS)
def test_files_speak_of_the_project_alone(pattern: str) -> None:
    """No leftovers, no hosts of registries, no machine's paths, and nothing about how it is made."""
    found = [
        f"{name_of(path)}: {match[0]!r}"
        for path in FILES
        for match in re.finditer(pattern, path.read_text(errors="replace"))
        if not any(name_of(path) == file and match[0].startswith(word) for file, word in WORDS_ALLOWED)
    ]
    assert found == [], BANNED_WORDS[pattern]


OWN_NAMES = {
    "tests/schemas/test_topics.py": "the names themselves; nothing is made",
    "tests/audit/test_topics.py": "topics that nobody made",
    "tests/cli/test_cli.py": "topics that nobody made",
}
"""Tests that write a topic prefix down, and why they may."""


def test_no_test_shares_its_topics() -> None:
    """A prefix that stands in a test finds the records of the run before, where the servers outlive a run."""
    fixed = {
        name_of(path)
        for path in FILES
        if path.suffix == ".py" and name_of(path).startswith("tests/")
        if any(map(_fixed_prefix, nodes_of(path)))
    }
    assert fixed == set(OWN_NAMES)


def _fixed_prefix(node: ast.AST) -> bool:
    """Where names of topics are made, a text that ends with a dot; or one under the setting's name."""
    match node:
        case ast.Call(func=ast.Name(id=("Topics" | "kafka_of")) | ast.Attribute(attr=("Topics" | "kafka_of"))):
            return any(isinstance(one, ast.Constant) and str(one.value).endswith(".") for one in node.args)
        case ast.keyword(arg=("topic_prefix" | "TOPIC_PREFIX"), value=ast.Constant() | ast.JoinedStr()):
            return True
        case ast.Dict():
            named = zip(node.keys, node.values, strict=True)
            return any(_names_prefix(key) and isinstance(value, ast.Constant | ast.JoinedStr) for key, value in named)
        case ast.Tuple(elts=[first, ast.Constant()]):
            return _names_prefix(first)
    return False


def _names_prefix(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).lower().endswith("topic_prefix")


def test_no_thread_of_a_test_outlives_it() -> None:
    """One that hangs after a failure must not keep the process: it is a daemon."""
    lasting = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        if path.suffix == ".py" and name_of(path).startswith("tests/")
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("threading.Thread", "Thread")
        if "daemon" not in {keyword.arg for keyword in node.keywords}
    ]
    assert lasting == []


def test_every_test_file_has_a_test() -> None:
    """A file named test_*.py that holds none is a promise that nobody checks."""
    empty = [
        name_of(path)
        for path in FILES
        if path.name.startswith("test_")
        and not re.search(r"^ *(async )?def test_|TestCase\b", path.read_text(), re.MULTILINE)
    ]
    assert empty == []
