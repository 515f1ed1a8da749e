"""The shape that every table's file gives its SQL."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """SQL with its parameters, ready to run. `rows`: how many rows it must touch; None where any number is right."""

    sql: str
    params: Sequence[Any]
    rows: int | None = None
