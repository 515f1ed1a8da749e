"""The audit of the read model of balances: as the projector made it, and as somebody changed it."""

import threading

import psycopg
import pytest

from audit.findings import CannotCheckError
from audit.verify import verify
from projector.consumer import project
from runtime.settings import Settings
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.topic_filler import kafka_of, logged


@pytest.fixture
def projected(servers, ledger_database, bi_database, topic_prefix, wire_ids):
    """A random history, of which the read model has all but the last event of one player."""
    with kafka_of(servers, ledger_database, topic_prefix, wire_ids) as kafka:
        settings = kafka.settings.model_copy(
            update={"bi_database_url": type(kafka.settings.database_url)(bi_database), "projector_group": topic_prefix}
        )
        play(settings, seeded_random(), players=3, steps=20)
        log = logged(ledger_database)
        moved = [row for row in log if row.event_type == "wallet.credit.deposit"][-1]
        behind = [row for row in log if row.stream_id == moved.stream_id and row.version >= moved.version]
        kafka.publish(row for row in log if row not in behind)
        project(settings, threading.Event(), until_caught_up=True)
        yield settings


def test_the_read_model_is_compared_with_the_fold(projected):
    """Each balance is right at the version that it names; one that is behind is counted and is no fault; any other is named."""
    report = verify(projected, topics=False, bi=True)
    assert report.ok, report.text()
    assert report.checked["bi.balances"] >= 5
    assert report.checked["bi.balances_behind"] >= 1

    with psycopg.connect(projected.bi_database_url.get_secret_value()) as connection:
        connection.execute(
            "update projections.balances set cash_minor = cash_minor + 1 where player_id = 'p0' and currency = 'EUR'"
        )
        connection.execute(
            "update projections.balances set stream_version = 1000 where player_id = 'p0' and currency = 'JPY'"
        )
        connection.execute(
            "insert into projections.balances select tenant_id, 'ghost', currency, exponent, region, 5, 0, 0, 0, opened_at, 1, occurred_at, trace_id from projections.balances limit 1"
        )
    report = verify(projected, topics=False, bi=True)
    assert report.counts == {"balance_differs": 1, "balance_unexplained": 2}, report.text()
    assert {finding.stream for finding in report.findings} == {"acme/player/p0", "acme/player/ghost"}


def test_a_read_model_that_does_not_answer_is_no_verdict(ledger_database, bi_database):
    """Without its tables there is nothing to compare, and the error names the variable."""
    with pytest.raises(CannotCheckError, match="WAGERLEDGER_BI_DATABASE_URL"):
        verify(Settings(database_url=ledger_database, bi_database_url=bi_database), topics=False, bi=True)
