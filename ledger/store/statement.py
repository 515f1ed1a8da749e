"""The shape that every table's file gives its SQL.

What looks rows up by their keys says so in a way that leaves the planner no choice: `cross join lateral (… offset 0)`
where it loads, `= any(array[…])` where it changes. Told by a plain join it would read a whole index for each batch, and
go on with that, where it was asked while the tables were analyzed and empty.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """SQL with its parameters, ready to run. `rows`: how many rows it must touch; None where any number is right."""

    sql: str
    params: Sequence[Any]
    rows: int | None = None
