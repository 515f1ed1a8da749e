"""The page of the reference about the command. `python -m cli.reference` prints it."""

import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from cli.help import examples
from cli.main import app

HEAD = """# The `wagerledger` command

Settings come from the environment ([settings.md](settings.md)). Exit codes of all commands: **0** done or in order,
**1** refused by a rule or something was found, **2** could not be tried (a bad setting, an unreachable server). Errors
go to standard error and name the variable to mend. `--json` prints one JSON value on standard output, and errors as
`{"error": ..., "exit_code": ...}` on standard error.

Made from the command itself by `python -m cli.reference`.
"""


def reference_page() -> str:
    """The text of docs/reference/cli.md: every command with its options."""
    lines = [HEAD]
    for name, command in commands():
        lines += [f"## `{name}`", "", _sentence(command.help), "", *_parameters(name, command)]
    return "\n".join(lines).rstrip() + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name. A group is left out unless it runs by itself."""
    for name, child in _group().commands.items():
        yield from _below(f"wagerledger {name}", child)


def _group() -> TyperGroup:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    for child_name, child in command.commands.items():
        yield from _below(f"{name} {child_name}", child)


def _parameters(name: str, command: Any) -> Iterator[str]:
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    usage = [row[0] for row in rows if row[1]]
    yield f"    {' '.join([name, *usage])}" + (" [options]" if any(not row[1] for row in rows) else "")
    yield ""
    if rows:
        yield "| parameter | required | default | meaning |"
        yield "|---|---|---|---|"
        for shown, required, default, meaning in rows:
            yield f"| `{shown}` | {'yes' if required else ''} | {default} | {meaning} |"
        yield ""
    for rest in examples()[name.removeprefix("wagerledger ")]:
        yield f"    {name} {rest}".rstrip()
    yield ""


def _row(parameter: Any) -> tuple[str, bool, str, str]:
    help_text = _sentence(getattr(parameter, "help", None))
    if isinstance(parameter, TyperArgument):
        return str(parameter.name).upper(), parameter.required, _default(parameter), help_text
    shown = "/".join([*parameter.opts, *parameter.secondary_opts])
    if not getattr(parameter, "is_flag", False):
        shown += f" {str(parameter.name).upper()}"
    return shown, parameter.required, _default(parameter), help_text


def _default(parameter: Any) -> str:
    value = parameter.default
    if value in (None, "", False) or callable(value):
        return ""
    return "on" if value is True else f"`{value}`"


def _sentence(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


if __name__ == "__main__":
    print(reference_page(), end="")
