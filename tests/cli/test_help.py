"""The helps of all commands: examples that are right, groups, and nothing that only a program would say."""

import io
import json
import shlex

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.help import AUDIENCES, examples
from cli.main import app
from cli.output import COULD_NOT, table, write_or_fail
from cli.reference import commands

COMMANDS = {name.removeprefix("wagerledger "): command for name, command in commands()}
FILES = "rates.csv", "games.csv"


def test_every_command_has_an_example() -> None:
    """And every example is of a command."""
    assert set(examples()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_command_lines(name: str, tmp_path, monkeypatch) -> None:
    """Each is a command line that the command takes, with all that it must be given; the help shows it, and no word for the type of a switch."""
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        (tmp_path / file).touch()
    for rest in examples()[name]:
        COMMANDS[name].make_context(name, shlex.split(rest))
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"}).output
    assert "<bool>" not in shown
    for rest in examples()[name]:
        assert f"wagerledger {name} {rest}".rstrip() in " ".join(shown.split())


def test_the_first_help_groups_commands_by_who_needs_them() -> None:
    """Every command is in one group, and the groups stand in the order of a newcomer."""
    shown = CliRunner().invoke(app, ["--help"]).output
    places = [shown.index(f"─ {title} ─") for title in AUDIENCES]
    assert places == sorted(places)
    assert "<bool>" not in shown
    assert "─ Commands ─" not in shown


def test_errors_are_json_under_json() -> None:
    """For a command of its own words, and for a server that is away; without --json they are text."""
    nowhere = {"WAGERLEDGER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "WAGERLEDGER_PATIENCE_S": "0"}
    for arguments in (("audit", "explain"), ("bets", "open")):
        done = CliRunner().invoke(app, [*arguments, "--json"], env=nowhere)
        told = json.loads(done.stderr.splitlines()[-1])
        assert (done.exit_code, told["exit_code"], done.stdout) == (COULD_NOT, COULD_NOT, "")
        text = CliRunner().invoke(app, arguments, env=nowhere).stderr
        assert " ".join(told["error"].split())[:40] in " ".join(text.split())
        assert "{" not in text


def test_no_id_is_cut() -> None:
    """A table that is wider than the terminal folds its cells."""
    written = io.StringIO()
    narrow = Console(width=40, file=written)
    id_ = "brand-7/EU/a-studio-with-a-rather-long-name"
    narrow.print(table(("integration", "reason"), [(id_, "x" * 30)]))
    shown = written.getvalue()
    assert "…" not in shown
    told = "".join(line.split("│")[1].strip() for line in shown.splitlines() if "│" in line)
    assert told.endswith(id_) or id_ in told


def test_a_written_page_is_said(tmp_path, capsys) -> None:
    """On standard error, so that standard output stays the answer."""
    write_or_fail(tmp_path / "page.html", "x")
    told = capsys.readouterr()
    assert ("page.html" in told.err, told.out) == (True, "")
