"""The columns of a table, written once: its SQL, its arrays and what others read of it are made of the one list."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from runtime.arrays import Array, Bool, Bytea, Int8, Text, Timestamptz, arrays_of

_ARRAYS: dict[str, type[Array]] = {
    "text": Text, "bigint": Int8, "bytea": Bytea, "boolean": Bool, "timestamptz": Timestamptz,
}  # fmt: skip


class _Column(NamedTuple):
    declaration: str
    name: str
    array: str
    """The type of its array: that in which its values travel."""
    stored_as: str
    """The type in which they are stored, where the statement must name it; else empty."""

    @property
    def read(self) -> str:
        return f"{self.name}::{self.array}" if self.stored_as else self.name

    @property
    def stored(self) -> str:
        return f"{self.name}::{self.stored_as}" if self.stored_as else self.name


class ColumnList:
    """Columns in their order, from SQL such as `bet_id text, final boolean, conversion text::json`.

    `text::json` is a column that is stored as json, and whose values travel as text. All properties are SQL to be
    filled into a statement; the list itself, in an f-string, is its names with commas. It is made at import, never for
    a request.
    """

    def __init__(self, declarations: str) -> None:
        self._declarations = declarations
        self._columns = {column.name: column for column in map(_column, declarations.split(","))}
        self.names = tuple(self._columns)
        self.row = attrgetter(*self.names)
        """Gives the values of an object whose attributes are called as the columns are."""
        self._kinds = tuple(_ARRAYS[column.array] for column in self._columns.values())

    def __str__(self) -> str:
        return ", ".join(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __add__(self, other: "ColumnList") -> "ColumnList":
        return ColumnList(f"{self._declarations}, {other._declarations}")  # another one of its own kind

    def only(self, *names: str) -> "ColumnList":
        """These columns, in this order: each of `names` is one, or several with commas."""
        wanted = [name.strip() for text in names for name in text.split(",")]
        return ColumnList(", ".join(self._columns[name].declaration for name in wanted))

    def but(self, *names: str) -> "ColumnList":
        """All columns except these."""
        assert set(names) <= set(self.names), f"{names} are not all among {self}"
        return self.only(*(name for name in self.names if name not in names))

    def picker(self, *names: str) -> Callable[[Sequence[Any]], Any]:
        """Gives the values of `names` of a row of these columns."""
        return itemgetter(*map(self.names.index, names))

    @property
    def read(self) -> str:
        """The select list of a query on the table, whose values come as they travel."""
        return ", ".join(column.read for column in self._columns.values())

    def of(self, alias: str) -> str:
        """The select list of the columns, of the table under its alias."""
        return ", ".join(f"{alias}.{column.read}" for column in self._columns.values())

    @property
    def stored(self) -> str:
        """The select list of an insert, of rows that came as arrays."""
        return ", ".join(column.stored for column in self._columns.values())

    @property
    def arrays(self) -> str:
        """The from-item that makes rows of one array per column (see `packed`)."""
        return f"unnest({', '.join(f'%b::{column.array}[]' for column in self._columns.values())})"

    def rows(self, alias: str) -> str:
        """The from-item of the arrays, with an alias for the rows and the names of their columns."""
        return f"{self.arrays} {alias}({self})"

    @property
    def values(self) -> str:
        """One placeholder for each column, for a row that comes as a sequence."""
        return ", ".join("%s" for _ in self)

    @property
    def named_values(self) -> str:
        """One placeholder for each column, for a row that comes as a mapping by name."""
        return ", ".join(f"%({name})s" for name in self)

    def assigned(self, alias: str) -> str:
        """The set list of an update from rows under `alias`."""
        return ", ".join(f"{name} = {alias}.{name}" for name in self)

    def packed(self, rows: Iterable[Sequence[Any]]) -> list[Array]:
        """Rows of these columns as the arrays of their statement."""
        return arrays_of(self._kinds, rows)


def _column(declaration: str) -> _Column:
    name, types = declaration.split()
    array, _, stored_as = types.partition("::")
    return _Column(declaration, name, array, stored_as)
