"""What is left of trouble when patience is at its end."""

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException
from typer import Typer
from typer.testing import CliRunner

from audit.findings import CannotCheckError
from cli.trouble import PatientGroup
from ledger.journal.writer import DeadlineExceeded, Overloaded, Unavailable
from outbox_relay.relay import WaitingError
from patience import TransientError
from patience.postgresql import UnknownOutcomeError
from projector.checkpoint import CheckpointMovedError
from schemas import registry

TROUBLE = [
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
