"""What commands, events, entities and outcomes are made with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(*, slots: bool = True) -> Callable[[type[T]], type[T]]:
    """A dataclass whose instances never change: the type checker sees to it.

    Not frozen at run time as well: that makes an instance three times as dear, and a bet makes twenty of them, a tenth
    of its whole time. For the same reason the lines that every bet comes by make their values by position; all
    others use keywords. Keywords there make a bet and its win 3 to 4 µs dearer in `decide` and `evolve`, of 24.
    """
    return dataclass(slots=slots, unsafe_hash=True)
