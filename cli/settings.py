"""The settings of a command, or a clear end."""

from pydantic import ValidationError

from cli.output import fail
from runtime.settings import PREFIX, Settings, load_settings


def settings_or_fail() -> Settings:
    """Settings from the environment; a bad one ends the command and is named."""
    try:
        return load_settings()
    except ValidationError as error:
        fail(
            "\n".join(
                f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors(include_input=False)
            )
        )
    except ValueError as error:
        fail(str(error))
