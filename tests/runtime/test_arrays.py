import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import arrays

VALUES = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "bytea": st.binary(),
    "numeric": st.integers(-(10**30), 10**30),
}


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_sent_is_what_arrives(kind: str, bi_database_of_module: str) -> None:
    """PostgreSQL reads each column as it was, with nulls, in whatever language, and beyond 64 bits."""
    with psycopg.connect(bi_database_of_module) as connection:
        arrays.register(connection)

        @settings(max_examples=50)
        @given(st.lists(st.none() | VALUES[kind], min_size=1), st.integers(1, 3))
        def arrives(column: list[object], repeats: int) -> None:
            column = column * repeats
            row = connection.execute(f"select %b::{kind}[]", [arrays.array_of(column)]).fetchone()
            assert row == (column,)

        arrives()
