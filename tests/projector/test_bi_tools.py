import psycopg
import pytest

from projector import grants
from tests.docs.pages import ROOT, blocks
from tests.support.asks import BY

PAGE = ROOT / "docs" / "how-to" / "bi-tools.md"
ROLE, *QUERIES = [code for _, code in blocks(PAGE, "sql") if not code.startswith("-- duckdb")]


@pytest.fixture
def administrator(folded):
    """Whatever is done is undone."""
    info = folded.connection.info
    with psycopg.connect(
        host=info.host, port=info.port, user=info.user, password=info.password, dbname=info.dbname
    ) as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("query", QUERIES)
def test_queries_of_the_page_give_rows(administrator, query):
    """Every query that bi-tools.md shows for psql runs and finds something."""
    assert administrator.execute(query).fetchall()


def test_the_role_of_the_page_reads_views_and_no_tables(administrator):
    """The role that bi-tools.md makes may ask every query of the page in the masked schema once it is granted, and not read what is behind the views."""
    administrator.execute(ROLE)
    grants.grant(administrator, "analyst", "*", "*", may_see_players=False, by=BY)
    administrator.execute("set local role analyst")
    for query in QUERIES:
        assert administrator.execute(query.replace("bi.", "bi_masked.")).fetchall(), query
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        administrator.execute("select * from projections.bets")
