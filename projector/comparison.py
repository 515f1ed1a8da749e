"""Rebuilt models beside the live ones, at the same checkpoint: which rows differ."""

from collections.abc import Iterable
from typing import NamedTuple

from psycopg import Connection, sql

from projector.database import LIVE
from projector.models import Model
from projector.projection import Projection

NAMED = 20

# In any order, because a table has none: the sum of the rows' hashes.
DIGEST = "select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {} t"
COUNT = "select count(*), '' from {} t"
ROOTS = """
select c.relname from pg_class c
where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname = any(%s)
order by c.relname
"""

STREAMS = """
select coalesce(l.tenant_id, s.tenant_id) || '/' || coalesce(l.stream_id, s.stream_id),
    coalesce(l.version, 0), coalesce(s.version, 0)
from {live} l full join {shadow} s using (tenant_id, stream_type, stream_id)
where (l.version, l.tail_hashes, l.parked_reason) is distinct from (s.version, s.tail_hashes, s.parked_reason)
order by 1 limit %s
"""
REFUSALS = """
select count(*) filter (where l.command_id is null), count(*) filter (where s.command_id is null)
from {live} l full join {shadow} s using (command_id)
"""


class Moved(NamedTuple):
    """A stream that the rebuild has at another version than the live models, or parked where they have not."""

    stream: str
    live_version: int
    rebuilt_version: int


class Table(NamedTuple):
    """A table of a model, live and rebuilt."""

    model: str
    table: str
    live_rows: int | None
    """None where the live model has no such table."""
    rebuilt_rows: int
    same: bool | None
    """None where rules of another version made the live rows: they may differ."""


class Comparison(NamedTuple):
    """What a rebuild found."""

    tables: list[Table]
    streams: list[Moved]
    """At most `NAMED` of them."""
    refusals_more: int
    refusals_fewer: int

    @property
    def differing(self) -> list[Table]:
        return [table for table in self.tables if table.same is False]

    @property
    def same_gate(self) -> bool:
        """The rebuild folded the very events and refusals that the live models did."""
        return not (self.streams or self.refusals_more or self.refusals_fewer)


def compare(
    connection: Connection, shadow: str, projections: Iterable[Projection], live: dict[str, Model]
) -> Comparison:
    """Compare what one snapshot of the database shows."""
    tables = [table for one in projections for table in _tables(connection, shadow, one, live.get(one.name))]
    streams = connection.execute(_both(STREAMS, "streams", shadow), [NAMED]).fetchall()
    refusals = connection.execute(_both(REFUSALS, "refused_commands", shadow)).fetchone()
    assert refusals
    return Comparison(tables, [Moved(*row) for row in streams], *refusals)


def _tables(connection: Connection, shadow: str, projection: Projection, live: Model | None) -> Iterable[Table]:
    comparable = live is not None and live.version == projection.version and not live.stopped
    former = live.tables if live else []
    for (name,) in connection.execute(ROOTS, [shadow, projection.table_names]).fetchall():
        rows, digest = _digest(connection, shadow, name, DIGEST if comparable else COUNT)
        if name not in former:
            yield Table(projection.name, name, None, rows, None)
            continue
        live_rows, live_digest = _digest(connection, LIVE, name, DIGEST if comparable else COUNT)
        same = (rows, digest) == (live_rows, live_digest) if comparable else None
        yield Table(projection.name, name, live_rows, rows, same)


def _digest(connection: Connection, schema: str, table: str, query: str) -> tuple[int, str]:
    row = connection.execute(sql.SQL(query).format(sql.Identifier(schema, table))).fetchone()
    assert row
    return int(row[0]), str(row[1])


def _both(query: str, table: str, shadow: str) -> sql.Composed:
    return sql.SQL(query).format(live=sql.Identifier(LIVE, table), shadow=sql.Identifier(shadow, table))
