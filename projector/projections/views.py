"""Views of schema `bi`, described: columns with their meanings, which become the comments in the database."""

from collections.abc import Iterable
from typing import NamedTuple


class Column(NamedTuple):
    """A column of a view, its meaning, and the expression that it stands for where that is not its name."""

    name: str
    meaning: str
    expression: str | None = None


TENANT = Column("tenant_id", "Brand whose books these are.")
REGION = Column("region", "Region that holds the data.")
PLAYER = Column("player_id", "The operator's opaque id of the player.")
PROVIDER = Column("provider_id", "Game provider; null for what the operator did.")
INTEGRATION = Column("integration_id", "Integration: one provider for one tenant and region.")
GAME = Column("game_id", "The game; null where nobody named it.")
CURRENCY = Column("currency", "Currency of the wallet: ISO 4217 or the operator's own code.")
EXPONENT = Column("exponent", "Decimals of the currency in this tenant: an amount is minor units / 10^exponent.")
MODE = Column("mode", "real or demo; demo moves no money.")
TRACE = Column("trace_id", "Trace of the callback that caused the last event that changed the row.")
AS_OF_VERSION = Column(
    "as_of_version", "Version in the player's stream of the last event that changed the row.", "stream_version"
)
AS_OF = Column(
    "as_of", "When the ledger recorded the last event that changed the row (timestamptz, UTC).", "occurred_at"
)
SUMMED = AS_OF._replace(expression="max(occurred_at)")
"""`as_of` where the row of a view is the sum of many."""


def amount(name: str, meaning: str, minor: str | None = None, exponent: str = "exponent") -> tuple[Column, Column]:
    """The two columns of an amount: in minor units and in the currency. `minor` is the expression of the minor units,
    where that is not `<name>_minor`.
    """
    minor = minor or f"{name}_minor"
    return (
        Column(f"{name}_minor", f"{meaning} Minor units.", minor),
        Column(name, f"{meaning} In the currency.", f"projections.amount({minor}, {exponent})"),
    )


def summed(name: str, meaning: str) -> tuple[Column, Column]:
    """The two columns of an amount that is the sum of many rows of one currency."""
    return amount(name, meaning, f"sum({name}_minor)", "max(exponent)")


def view(name: str, about: str, columns: Iterable[Column], source: str) -> str:
    """The SQL statements that make a view from `source`, the rest of a select after its columns, with all comments."""
    columns = list(columns)
    selected = ",\n    ".join(f"{one.expression} as {one.name}" if one.expression else one.name for one in columns)
    comments = [f"comment on view {name} is {_quoted(about)};"]
    comments += [f"comment on column {name}.{one.name} is {_quoted(one.meaning)};" for one in columns]
    return "\n".join((f"create or replace view {name} as\nselect {selected}\n{source.strip()};", *comments, ""))


def fenced(table: str, condition: str = "true") -> str:
    """The from-item of a table of tenants: the rows that the reader may see, under the table's name.

    PostgreSQL moves comparisons that it holds leakproof below a row policy, where they meet everybody's rows, and
    EXPLAIN or the clock shows how far they came. It moves nothing below an offset, also of 0.
    """
    return f"(select * from {table} where {condition} offset 0) as {table}"  # noqa: S608  # our own constants


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
