"""The documentation says what is there, and all of it: links, generated pages, and every name that it mentions."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from starlette.routing import Route

import gateway.metrics
import ledger.journal.writer
import outbox_relay.metrics
import projector.metrics
import sealer.metrics
from cli import pages
from cli import reference as cli_reference
from gateway.app import build_app
from gateway.dialect.signing import Place, sign
from ledger.admin.secrets import new_secrets_key
from ledger.core.decide import RULES
from ledger.core.state import OPEN, ROLLED_BACK, SETTLED, TOMBSTONED
from runtime import settings
from schemas import errors
from schemas.events import EVENTS, VARIANTS
from schemas.topics import Topics
from tests.ledger.core.test_planted_faults import FAULTS
from tests.support.pages import PACKAGES, PAGES, ROOT, blocks, code_spans, name_of, source_files

MEASURED = gateway.metrics, ledger.journal.writer, outbox_relay.metrics, projector.metrics, sealer.metrics
EXTERNAL = "http://", "https://"
MADE_UP = re.compile(r"daily_games|gifts")
"""In the names of files that pages have their readers write."""
READ_BESIDE = (ROOT / "requirements" / "README.md",)
"""Pages outside of docs/ that name files."""
TEST_VARIABLES = {f"WAGERLEDGER_TEST_{name}" for name in ("SERVERS", "SEED", "KILLS", "LOGS")}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists, and a heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(EXTERNAL):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{link} is not there"
        assert not anchor or anchor in set(anchors(target)), f"{link} names no heading of {name_of(target)}"


def anchors(page: Path) -> Iterator[str]:
    """The headings as links name them."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_can_be_found() -> None:
    """From the README, by links, one gets to every page."""
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
        waiting += [(page.parent / link).resolve() for link in links if not link.startswith(EXTERNAL)]
    assert set(PAGES) <= seen


def test_pages_made_from_the_code_are_current() -> None:
    """Each is what the code makes now, and none is left of an event type that is gone."""
    assert not list(pages.stale()), "these are not what the code makes now: run `make pages`"


def test_stale_pages_are_written_again(tmp_path: Path) -> None:
    """`make pages` writes what is missing or differs, removes what nothing makes any more, and leaves the rest alone."""
    for name in pages.pages():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    gone, changed, kept = (tmp_path / "docs/events" / name for name in ("bet.flown.md", "README.md", "asyncapi.yaml"))
    assert set(pages.write(tmp_path)) == set(pages.pages())
    gone.write_text("of a type that was never released")
    changed.write_text("something else")
    before = kept.stat().st_mtime_ns
    assert pages.write(tmp_path) == ["docs/events/README.md", "docs/events/bet.flown.md"]
    assert (list(pages.stale(tmp_path)), gone.exists(), kept.stat().st_mtime_ns) == ([], False, before)


def test_metrics_are_those_of_the_code() -> None:
    """operations.md lists every metric that a process exports, under the name that it exports, and no other."""
    listed = re.findall(
        r"^\| `(wagerledger_\w+)` \| (?:gateway|relay|projector|sealer) \|",
        (ROOT / "docs" / "operations.md").read_text(),
        re.MULTILINE,
    )
    assert len(listed) == len(set(listed))
    assert set(listed) == set(exported_metrics())


def exported_metrics() -> Iterator[str]:
    assert MEASURED
    for family in REGISTRY.collect():
        if family.name.startswith("wagerledger_"):
            yield f"{family.name}_total" if family.type == "counter" else family.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_metrics_exist(page: Path) -> None:
    """Also in alerts."""
    assert set(re.findall(r"\bwagerledger_(?!app\b|reader\b|owner\b|sealer\b)\w+", page.read_text())) <= set(
        exported_metrics()
    ) | {"wagerledger_bi"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_settings_exist(page: Path) -> None:
    """A mistyped variable would be ignored in silence."""
    known = {settings.PREFIX + name.upper() for name in settings.Settings.model_fields}
    named = {name.removesuffix("_FILE") for name in re.findall(r"\bWAGERLEDGER_[A-Z_]*[A-Z]", page.read_text())}
    assert named <= known | TEST_VARIABLES


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "cli.md" and page.parent.name != "providers"], ids=name_of
)
def test_named_codes_exist(page: Path) -> None:
    """Whatever begins like an error code is one; providers have codes of their own."""
    first_words = {code.partition("_")[0] for code in errors.ERRORS}
    named = {span for span in code_spans(page) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", span)}
    assert {name for name in named if name.partition("_")[0] in first_words} <= set(errors.ERRORS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_event_types_and_topics_exist(page: Path) -> None:
    named = {span for span in code_spans(page) if re.fullmatch(r"(bet|session|wallet|ledger)\.[a-z._\-]+", span)}
    known = set(EVENTS) | set(Topics().all)
    assert {name.removesuffix("-value") for name in named} <= known


COMMANDS = {name.removeprefix("wagerledger "): command for name, command in cli_reference.commands()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_commands_exist(page: Path) -> None:
    """Every `wagerledger ...` is a command, with options that it has."""
    groups = {name.split()[0] for name in COMMANDS}
    for words in re.findall(r"(?<![\w/])wagerledger ((?:[a-z\-]+ ?)+[^`\n|]*)", page.read_text()):
        parts = words.split()
        if parts[0] not in groups:
            assert page.name == "cli.md", f"wagerledger {words}"
            continue
        command = COMMANDS.get(" ".join(parts[:2]).rstrip(",.;:`")) or COMMANDS.get(parts[0].rstrip(",.;:`"))
        if command is None:
            assert parts[1:] == [], f"wagerledger {words} is no command"
            continue
        options = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        } | {"--help"}
        named = set(re.findall(r"(?<!\S)--[a-z][a-z\-]*", words))
        assert named <= options, f"wagerledger {words}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=name_of)
def test_command_lines_can_be_typed(page: Path) -> None:
    """Where a command stands with arguments it has all that it demands, but for lines that leave something out (…)."""
    for words in map(str.split, command_lines(page)):
        name = next((name for n in (3, 2, 1) if (name := " ".join(words[:n])) in COMMANDS), "")
        arguments = words[len(name.split()) :]
        if not name or not arguments or {"…", "..."} & {*words}:
            continue
        command = COMMANDS[name]
        given, _, _ = command.make_parser(command.make_context(name, [], resilient_parsing=True)).parse_args(arguments)
        demanded = {parameter.name for parameter in command.params if parameter.required}
        assert demanded <= {*given}, f"wagerledger {' '.join(words)}"


def command_lines(page: Path) -> Iterator[str]:
    """What follows `wagerledger` in code: in blocks, where a line may go on in the next one, and between backticks."""
    text = re.sub(r"\\\n\s*", "", page.read_text())
    shell = "\n".join(code for language, code in blocks(page, "sh"))
    shell = re.sub(r"\\\n\s*", "", shell)
    yield from re.findall(r"^\s*(?:\w+=\S+ )*wagerledger (.+)", shell, re.MULTILINE)
    yield from re.findall(r"^    (?:\w+=\S+ )*wagerledger (.+)", text, re.MULTILINE)
    yield from re.findall(r"`wagerledger ([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", [*PAGES, *READ_BESIDE], ids=name_of)
def test_named_files_exist(page: Path) -> None:
    """Every path into the repository leads to a file or folder; what a reader is to add stands in add-a-….md only."""
    folders = "|".join((*PACKAGES, "spark", "tests", "docs", "deploy", "requirements"))
    for span in code_spans(page):
        path = span.partition("::")[0]
        if re.fullmatch(rf"({folders})/[\w./\-]*", path) and not MADE_UP.search(path):
            assert (ROOT / path).exists(), f"{span} is not there"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_make_targets_exist(page: Path) -> None:
    """Every `make …` is one that `make help` shows."""
    known = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [span.split()[1] for span in code_spans(page) if re.match(r"make [a-z-]+", span)]
    shell = "\n".join(code for _, code in blocks(page, "sh"))
    named += re.findall(r"^    make ([a-z-]+)", page.read_text(), re.MULTILINE)
    named += re.findall(r"^make ([a-z-]+)", shell, re.MULTILINE)
    assert {*named} <= known


def test_contributors_see_every_make_target() -> None:
    """CONTRIBUTING.md explains each that `make help` shows, but `help` and `clean`, which explain themselves."""
    known = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert [target for target in known if f"| `make {target}` |" not in page] == ["help", "clean"]


def test_contributors_see_every_room() -> None:
    """The table of rooms in CONTRIBUTING.md has each folder of code."""
    rooms = (ROOT / "CONTRIBUTING.md").read_text().partition("## Rooms")[2].partition("## ")[0]
    assert [room for room in (*PACKAGES, "spark") if f"`{room}`" not in rooms] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_test_runs_name_what_is_there(page: Path) -> None:
    """Whoever types `pytest tests/…` or `make test ARGS=tests/…` from a page runs something."""
    for line in re.findall(r".*(?:pytest|ARGS=).*", page.read_text()):
        for path in re.findall(r"\btests/[\w/]*(?:\.py)?", line):
            assert (ROOT / path).exists(), f"{line.strip()}: {path} is not there"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_tests_exist(page: Path) -> None:
    """A promise rests on a test that is there."""
    for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text()):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            f"{path}::{name} is not there"
        )


def test_promises_name_every_planted_fault() -> None:
    """Faults and promises are told in the same words, and none is left out."""
    text = (ROOT / "docs" / "promises.md").read_text()
    named = {
        fault
        for line in re.findall(r"^- Planted: (.+)$", text, re.MULTILINE)
        for fault in re.findall(r"\*([^*]+)\*", line)
    }
    assert named == {fault.split(" ", 1)[1] for fault in FAULTS if re.match(r"I\d", fault)}


def test_the_topics_are_those_of_the_code() -> None:
    """topics.md tells of every topic that is not named like an event type."""
    page = (ROOT / "docs" / "reference" / "topics.md").read_text()
    assert set(re.findall(r"^\| `(ledger\.[\w\-]+)` \|", page, re.MULTILINE)) == set(Topics().all) - set(
        EVENTS | VARIANTS
    )


def test_the_glossary_is_in_order() -> None:
    """Whoever looks a word up finds it once, where the alphabet says."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    words = [word.replace("*", "").lower() for word in re.findall(r"^\| (\*\*.+?) \|", page, re.MULTILINE)]
    assert words == sorted(set(words))


def test_the_tour_uses_the_names_of_the_code() -> None:
    """Every function, class and table that the tour shows is still called that."""
    words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in source_files())))
    words |= {path.name for path in source_files()} | {"make", "lint"}
    for span in code_spans(ROOT / "docs" / "tour.md"):
        if re.fullmatch(r"\w[\w.]*", span) or re.fullmatch(r"_\w+", span):
            assert set(re.findall(r"\w+", span.removesuffix(".py").removesuffix(".sql"))) <= words, span


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_name_is_in_the_file_that_the_page_says(page: Path) -> None:
    """Where a page says `name` in `file.py`, or `name` (`file.py`, the file has that name."""
    said = re.findall(r"`([\w.]+)`\s(?:in\s|\()`(\w+/[\w/]+\.py)`", page.read_text())
    moved = [
        (name, file)
        for name, file in said
        if not re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", (ROOT / file).read_text())
    ]
    assert moved == []


def test_the_tour_draws_the_layers_that_lint_checks() -> None:
    """Each column of the picture has the rows of its import contract, from top to bottom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    titles = {"all of it": "Arrows point down"}
    titles |= {f"inside {room}": f"Arrows point down in the {room} too" for room in ("gateway", "ledger")}
    text = (ROOT / "docs" / "tour.md").read_text()
    (picture,) = (
        block for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if "all of it" in block
    )
    header, _, *lines = picture.splitlines()
    starts = sorted(header.index(title) for title in titles)
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        column = "\n".join(line[start:end].strip() for line in lines).strip().replace("·\n", "· ")
        (layers,) = (one["layers"] for one in contracts if one["name"] == titles[header[start:end].strip()])
        assert [row.split(" · ") for row in column.split("\n")] == [layer.split(" | ") for layer in layers]


def test_the_tour_draws_the_states_of_a_bet() -> None:
    """The picture has every state that a bet can be in, and names commands that there are."""
    text = (ROOT / "docs" / "tour.md").read_text()
    (picture,) = (
        block for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if "settled" in block
    )
    assert {OPEN, SETTLED, ROLLED_BACK, TOMBSTONED} <= set(re.findall(r"\w+", picture))
    commands = {command.__name__ for command in RULES}
    assert set(re.findall(r"\b[A-Z]\w+", picture)) <= commands


def test_the_tour_passes_every_folder() -> None:
    text = (ROOT / "docs" / "tour.md").read_text()
    assert [package for package in PACKAGES if f"`{package}" not in text] == []


def test_the_api_page_has_every_route() -> None:
    """api.md lists exactly the routes of the public port."""
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    listed = re.findall(r"^\| `(GET|POST) (/\S+)` \|", page, re.MULTILINE)
    app = build_app(settings.Settings(secrets_key=new_secrets_key()))
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert sorted(listed) == sorted(
        (method, route.path) for route in routes for method in (route.methods or ()) if method != "HEAD"
    )


def test_the_api_page_s_vector_is_right() -> None:
    """Providers test their own code with it."""
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    signed, v3 = re.search(r"^    wagerledger\\n(.*)\n    v3=(\w+)$", page, re.MULTILINE).groups()
    timestamp, method, target, *place, key, body = signed.split("\\n")
    told = {"idempotency_key": key, "timestamp_s": int(timestamp)}
    header = sign("k_1", "s3cret", method, target, body.encode(), place=Place(*place), **told)
    assert header.endswith(f",v3={v3}")
    older, v1 = re.search(r"^    (\d+\.POST\..*)\n    v1=(\w+)$", page, re.MULTILINE).groups()
    assert older == f"{timestamp}.{method}.{target}.{key}.{body}"
    assert sign("k_1", "s3cret", method, target, body.encode(), **told).endswith(f",v1={v1}")
