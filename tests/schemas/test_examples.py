"""The examples of the documentation: one story that could have happened."""

import json

import pytest

from ledger.core.chain import GENESIS, hash_of
from ledger.core.evolve import event_of, evolve
from ledger.core.postings import totals_by_currency
from ledger.core.state import State
from schemas.errors import ERRORS
from schemas.events import EVENTS
from schemas.examples import example, readable, story
from schemas.releases import TYPES


def test_every_type_happens_in_the_story():
    """No type is without an example."""
    assert {record["event_type"] for record in story()} == set(EVENTS)


@pytest.mark.parametrize("event_type", TYPES)
def test_an_example_is_what_its_topic_holds(event_type):
    """It can be written and comes back as it was, and it can be shown as JSON."""
    schema, record = TYPES[event_type], example(event_type)
    assert schema.decode(schema.encode(record)) == record
    assert set(json.loads(json.dumps(readable(schema, record)))) == {field["name"] for field in schema.schema["fields"]}


def test_the_story_is_chained_and_folds():
    """Versions, hashes, times and postings are those of a true stream, and the rules accept it from its first to its last event."""
    state, previous, occurred_at = State(), GENESIS, 0
    for version, record in enumerate(story(), 1):
        assert (record["stream_version"], record["previous_hash"]) == (version, previous)
        assert record["occurred_at"] > occurred_at
        event = event_of(record)
        assert not any(totals_by_currency(event.postings).values()), record["event_type"]
        state.put(*evolve(state, event))
        previous, occurred_at = hash_of(EVENTS[record["event_type"]].encode(record)), record["occurred_at"]
    wallet = state.wallet("brand-7", "p_demo_1", "EUR")
    assert (wallet.cash_minor, wallet.bonus_minor, wallet.held_minor, wallet.receivable_minor) == (3160, 0, 0, 0)


def test_ids_fit_together():
    """What a later event of the story names, an earlier one has made."""
    bets, bonuses, sessions = set(), set(), set()
    for record in story():
        payload = record["payload"]
        if record["event_type"] == "bet.authorized":
            bets.add(payload["bet_id"])
        bonuses |= {payload["bonus_id"]} if record["event_type"] == "bonus.issued" else set()
        sessions |= {payload["session_id"]} if record["event_type"] == "session.started" else set()
        if record["event_type"].startswith(("bet.settled", "bet.rolled", "bet.reinst", "bet.final", "wager.")):
            assert payload["bet_id"] in bets
        assert payload.get("bonus_id") in {None, *bonuses}
        assert payload.get("session_id") in {None, *sessions}


def test_the_refused_example_names_a_code_that_there_is():
    """A reader finds it in the error catalogue."""
    assert example("command.refused")["code"] in ERRORS
