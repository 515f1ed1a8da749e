"""What a read model is made of."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from projector.metrics import stage
from projector.tables import Tables


class Admitted(NamedTuple):
    """An event that is next in its stream."""

    record: dict[str, Any]
    """The event's envelope, decoded."""
    partition: int
    """The event's partition of the topic; no two projectors work on one at the same time."""


Fold = Callable[[Sequence[Admitted], Tables], Iterator[None] | None]
FoldRefusals = Callable[[Sequence[dict[str, Any]], Tables], None]


@dataclass(frozen=True)
class Projection:
    """A read model: its tables, its views (schema `bi`) and its fold.

    Whoever changes the tables, the views or the fold raises `version`.
    """

    name: str
    version: int
    tables: str
    """DDL of tables and indexes. No statement names their schema: the connection says whether it is the live one
    (`projections`) or that of a rebuild.
    """
    views: str
    """Statements `create or replace view bi.x as ...` and their comments."""
    apply: Fold
    """Gets each event exactly once, each stream in its order, different streams in any order. What it makes may not
    depend on how the events are split into batches. One that asks the database yields, and goes on when the others have
    folded, by when the answer is there.
    """
    refusals: FoldRefusals | None = None
    """Gets each record of the topic of refusals exactly once, in any order; as `apply`, it may not depend on the
    batches.
    """
    needs: tuple[str, ...] = ()
    """Models whose tables the fold reads: they are folded before it, in the same transaction, and rebuilt with it."""

    @property
    def table_names(self) -> list[str]:
        return TABLE.findall(self.tables)

    @property
    def view_names(self) -> list[str]:
        return view_names(self.views)

    @property
    def look_ups(self) -> list[tuple[str, str, str]]:
        """The view, first column and column of each of its look-ups, which its keys and indexes make."""
        keys = [(table, "integration_id", column) for table, column in KEY.findall(self.tables)]
        return keys + [(table, "tenant_id", column) for table, column in LOOK_UP.findall(self.tables)]


def apply(projections: Iterable[Projection], events: Sequence[Admitted], tables: Tables) -> None:
    """Fold events into these models."""
    waiting = []
    for projection in projections:
        with stage(projection.name):
            rest = projection.apply(events, tables)
            if rest:
                next(rest, None)
                waiting.append((projection.name, rest))
    for name, rest in waiting:
        with stage(name):
            for _ in rest:
                pass


def view_names(ddl: str) -> list[str]:
    return VIEW.findall(ddl)


TABLE = re.compile(r"^create (?:unlogged )?table (\w+)", re.MULTILINE)
KEY = re.compile(r"^create table (\w+) \([^;]*\n {4}primary key \(integration_id, (\w+)", re.MULTILINE)
LOOK_UP = re.compile(
    r'^create (?:unique )?index \w+ on (\w+) \(\s*tenant_id collate "C", region collate "C", (\w+)', re.MULTILINE
)
VIEW = re.compile(r"^create or replace view (bi\.\w+)", re.MULTILINE)


def incoming(columns: str) -> str:
    """The from-item of a statement of `Tables`: the rows as `e`, from columns such as `bet_id text, win_minor bigint`.

    A column of type `moment` arrives as microseconds since the epoch and is a timestamptz in `e`.
    """
    names, types = zip(*(column.split() for column in columns.split(",")), strict=True)
    arrays = ", ".join(f"%b::{'bigint' if kind == 'moment' else kind}[]" for kind in types)
    rows = f"unnest({arrays}) as e ({', '.join(names)})"
    moments = {name for name, kind in zip(names, types, strict=True) if kind == "moment"}
    if not moments:
        return rows
    converted = ", ".join(f"projections.moment({name})" if name in moments else name for name in names)
    return f"(select {converted} from {rows}) as e ({', '.join(names)})"  # noqa: S608  # our own constants
