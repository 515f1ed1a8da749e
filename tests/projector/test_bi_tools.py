import re

import psycopg
import pytest

from projector import grants
from tests.support.commands import BY
from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "bi-tools.md"
LOOK_UPS = [code for _, code in blocks(ROOT / "docs" / "how-to" / "bi-access.md", "sql")][1:]
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


def test_look_ups_of_the_page_find_something(administrator):
    """Every look-up that bi-access.md shows runs as a login that may see players, and finds its rows."""
    administrator.execute(ROLE)
    grants.grant(administrator, "analyst", "*", "*", may_see_players=True, by=BY)
    (player, moment), (integration, bet) = (
        administrator.execute(f"select {what} limit 1").fetchone()
        for what in (
            "player_id, as_of::text from bi.player_statements", "integration_id, bet_id from bi.bets where mode = 'real'",
        )
    )  # fmt: skip
    administrator.execute("set local role analyst")
    real = {
        "player-4711": player, "brand-7/EU/studio": integration, "bet-12": bet, "2026-01-15 12:00Z": moment,
        "real": "real", "2026-01-01Z": "-infinity", "2026-01-15Z": "-infinity", "2026-01-16Z": "infinity",
    }  # fmt: skip
    assert len(LOOK_UPS) == 5
    for query in LOOK_UPS:
        asked = re.sub("'([^']+)'", lambda shown: f"'{real[shown[1]]}'", query)
        assert administrator.execute(asked).fetchall(), query
