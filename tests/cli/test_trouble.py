"""Exit codes by which a script knows whether something was found."""

import pytest
import typer
from typer.testing import CliRunner

from cli.output import COULD_NOT, FINDING, fail
from cli.trouble import PatientGroup, VerdictGroup

app = typer.Typer(cls=PatientGroup)
verdicts = typer.Typer(cls=VerdictGroup)
app.add_typer(verdicts, name="judge")


@verdicts.command()
def find() -> None:
    fail("found", FINDING)


@verdicts.command()
def crash() -> None:
    raise RecursionError("a bug, or a file that nobody foresaw")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [("find", FINDING, "found"), ("crash", COULD_NOT, "nobody foresaw"), ("no", 2, "No such")],
)
def test_what_stops_a_judge_unforeseen_is_no_finding(command: str, code: int, said: str) -> None:
    """Code 1 is a verdict. A crash has found nothing out, and shows its traceback."""
    done = CliRunner().invoke(app, ["judge", command])
    assert done.exit_code == code, done.output
    assert said in done.output
