import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projector.arrays import packed

VALUES = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "bytea": st.binary(),
    "numeric": st.integers(-(10**30), 10**30),
}


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_packed_is_what_arrives(kind: str, bi_database_of_module: str) -> None:
    """PostgreSQL reads each column as it was, with nulls, in whatever language, and beyond 64 bits."""
    with psycopg.connect(bi_database_of_module) as connection:

        @settings(max_examples=50)
        @given(st.lists(st.none() | VALUES[kind], min_size=1))
        def arrives(column: list[object]) -> None:
            row = connection.execute(f"select %b::{kind}[]", [packed(column)]).fetchone()
            assert row == (column,)

        arrives()
