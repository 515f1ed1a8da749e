"""The named values of a policy, as people write them and as the database keeps them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ledger.core.policy import Policy

_TYPES: Mapping[str, Any] = get_type_hints(Policy)
CHOICES: Mapping[str, tuple[str, ...]] = {
    name: get_args(kind) for name, kind in _TYPES.items() if get_origin(kind) is Literal
}
"""What the values that are words may be, as `Policy` declares them. The others are true or false, or seconds."""
KINDS: Mapping[str, type] = {name: str if name in CHOICES else kind for name, kind in _TYPES.items()}
"""The type of each value of a policy by its name: bool, int (seconds) or, for a word, str."""
LONGEST_S = 10 * 366 * 86_400

Value = bool | int | str


class PolicyError(ValueError):
    """No such policy, or no such value; the message says what there is."""


def parse(name: str, text: str) -> Value:
    """The value that `text` says. Raises PolicyError."""
    kind = _kind_of(name)
    value: object = text
    if kind is bool:
        value = {"true": True, "false": False}.get(text, text)
    elif kind is int and text.isascii() and text.isdigit() and len(text) <= 10:
        value = int(text)
    return checked(name, value)


def checked(name: str, value: object) -> Value:
    """`value`, when it is one that `name` may have. Raises PolicyError."""
    kind = _kind_of(name)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LONGEST_S:
        return value
    if kind is str and isinstance(value, str) and value in CHOICES[name]:
        return value
    raise PolicyError(f"policy {name} cannot be {value!r}: it is {allowed(name)}")


def allowed(name: str) -> str:
    """For people: what `name` may be."""
    kind = _kind_of(name)
    if kind is bool:
        return "true or false"
    return f"0 to {LONGEST_S} seconds" if kind is int else " or ".join(CHOICES[name])


def in_force(defaults: Policy, stated: Mapping[str, object]) -> Policy:
    """`defaults` with what an integration says otherwise. Raises PolicyError, for example for what a newer version has
    written: better no answer than one by other rules.
    """
    values: Mapping[str, Any] = {name: checked(name, value) for name, value in stated.items()}
    return replace(defaults, **values)


def _kind_of(name: str) -> type:
    kind = KINDS.get(name)
    if kind is None:
        raise PolicyError(f"there is no policy {name!r}: there are {', '.join(KINDS)}")
    return kind
