"""Times that no calendar can say."""

from dataclasses import replace

import psycopg

from audit.explain import explain
from audit.replay import replay
from ledger.journal.writer import Journal
from ledger.store import history
from runtime.clock import to_datetime
from tests.support.commands import Asks
from tests.support.journals import accepted, players, settings_of

ask = Asks()
YEAR_33658_US = 999_999_999_999_999_000


def test_every_time_is_a_time() -> None:
    """The nearest one that a calendar can say; those that it can are exact."""
    assert to_datetime(YEAR_33658_US).year == 9999
    assert to_datetime(-YEAR_33658_US).year == 1
    assert to_datetime(1_758_326_400_000_001).isoformat() == "2025-09-20T00:00:00.000001+00:00"


async def test_an_event_of_a_far_year_blinds_no_reader(ledger_database: str) -> None:
    """Such a time is not written any more; those that were are read by whoever shows events."""
    settings = settings_of(ledger_database)

    async with Journal(settings) as journal:
        (session,) = await players(journal, ask, ["ann"])
        bet = ask.bet(session_id=session)
        far = replace(bet, origin=replace(bet.origin, provider_occurred_at=YEAR_33658_US))
        await accepted(journal, far)
    with psycopg.connect(ledger_database) as connection:
        events = history.latest(connection, "acme", "ann", 10)
    assert str(events[0]["provider_occurred_at"]).startswith("9999-12-31")
    assert explain(settings, "b1", integration_id="acme/eu/spin").steps
    assert replay(settings, "acme/ann/EUR")
