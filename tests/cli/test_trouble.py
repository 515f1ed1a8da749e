"""What is left of trouble when patience is at its end."""

import subprocess
import sys
import tomllib

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException
from typer import Typer
from typer.testing import CliRunner

from audit.findings import CannotCheckError
from cli.trouble import EXTRAS, PatientGroup, in_words
from ledger.journal.writer import DeadlineExceeded, Overloaded, Unavailable
from outbox_relay.relay import WaitingError
from patience import TransientError
from patience.postgresql import UnknownOutcomeError
from projector.checkpoint import CheckpointMovedError
from schemas import registry
from tests.support.pages import ROOT

TROUBLE = [
    *(ModuleNotFoundError(f"No module named {name!r}", name=name) for name in EXTRAS),
    psycopg.OperationalError("connection refused"),
    psycopg.errors.InsufficientPrivilege("permission denied"),
    KafkaException(KafkaError(KafkaError._TRANSPORT)),
    TimeoutError("nothing came"),
    *(kind("the registry") for kind in (*registry.ERRORS, registry.RegistryAwayError)),
    *(kind() for kind in (Unavailable, Overloaded, DeadlineExceeded)),
    *(
        kind("why")
        for kind in (CannotCheckError, CheckpointMovedError, WaitingError, TransientError, UnknownOutcomeError)
    ),
]


def ended(error: BaseException):
    """A command that raises this."""
    app = Typer(cls=PatientGroup)

    @app.callback()
    def main() -> None:
        pass

    @app.command()
    def fails() -> None:
        raise error

    return CliRunner().invoke(app, ["fails"])


@pytest.mark.parametrize("error", TROUBLE, ids=repr)
def test_trouble_with_a_server_is_could_not(error: BaseException):
    """Whatever server it is and whichever command met it, code 2 says that nothing was found out, and why; nobody sees a traceback."""
    done = ended(error)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert done.output.strip()


def test_a_bug_stays_a_bug():
    """What is no trouble with a server is not taken for one."""
    assert isinstance(ended(ZeroDivisionError()).exception, ZeroDivisionError)


def test_whoever_lacks_an_extra_is_told_its_name():
    """A command whose modules come with an extra names it; the list of them is that of the distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = {name.replace("-", "_"): extra for extra in ("archive", "sandbox") for name in project[extra]}
    assert listed == EXTRAS
    assert in_words(ModuleNotFoundError("psutil", name="psutil")) == (
        "psutil is not installed: pip install 'wagerledger[sandbox]'"
    )
    assert in_words(ModuleNotFoundError("of_ours", name="of_ours")) is None


@pytest.mark.parametrize("arguments", [("integration", "dialects"), ("audit", "--help")])
def test_whoever_reads_no_further_is_told_nothing_more(arguments: tuple[str, ...]):
    """As `head` does: no traceback, and no exit code that says that something was found."""
    command = [sys.executable, "-m", "cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 2
