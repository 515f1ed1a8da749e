"""What the helps of all commands have in common: examples, groups by who needs a command, no types of switches."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from typer import Context
from typer.core import TyperGroup

AUDIENCES = {
    "Try it": ("demo", "up", "down", "casino-provider"),
    "Players and money": ("wallet", "player", "limits", "bets", "rates"),
    "Brands and providers": ("brand", "integration", "games"),
    "Audit": ("audit", "anchor-key"),
    "Analysis": ("bi", "topics", "schemas"),
    "Run it": ("gateway", "relay", "project", "seal", "migrate", "new-generation", "doctor", "bench"),
}
"""The commands by who needs them, in the order of the first help."""
EXAMPLES_OF_A_GROUP = 2


@cache
def examples() -> Mapping[str, Sequence[str]]:
    """What follows each command in its examples, by its name."""
    return tomllib.loads((files("cli") / "examples.toml").read_text("utf-8"))


def complete(root: TyperGroup) -> None:
    """Give the helps of all commands their examples, and the first one its groups."""
    audiences = {name: audience for audience, names in AUDIENCES.items() for name in names}
    known = [name for name in audiences if name in root.commands]
    root.commands = {name: root.commands[name] for name in (*known, *(root.commands.keys() - audiences.keys()))}
    for name, command in root.commands.items():
        command.rich_help_panel = audiences.get(name)  # type: ignore[attr-defined]  # typer's own, of groups too
        _complete(command, name)


def _complete(command: Any, name: str) -> None:
    lines = list(_lines(command, name))
    if lines:
        command.epilog = "\n\n".join([f"Example{'s' * (len(lines) > 1)}:", *lines])
    plain(command)
    for child_name, child in getattr(command, "commands", {}).items():
        _complete(child, f"{name} {child_name}")


def plain(command: Any) -> None:
    """A switch takes no value: its help has no word for a type."""
    for parameter in (*command.params, command.get_help_option(Context(command))):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""


def _lines(command: Any, name: str) -> Iterator[str]:
    """The examples of a command; of a group the first ones of its own."""
    own = [f"wagerledger {name} {rest}".rstrip() for rest in examples().get(name, ())]
    below = (line for child, one in getattr(command, "commands", {}).items() for line in _lines(one, f"{name} {child}"))
    yield from (own or list(below)[:EXAMPLES_OF_A_GROUP])
