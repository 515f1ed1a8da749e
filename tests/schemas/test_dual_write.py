"""Other forms of an event type, written during a migration."""

import pytest
from pydantic import ValidationError

from ledger.core.chain import hash_of
from ledger.journal.recording import record
from ledger.streams import StreamHead
from outbox_relay.producer import NOTICES
from runtime.settings import Settings
from schemas.dual_write import chosen, notices
from schemas.events import EVENTS, VARIANTS, EventSchema
from schemas.examples import example
from tests.support.golden import history

FORM = "bet.settled.v2"
SETTLED = next((event, origin) for event, origin in history() if event.payload.event_type == "bet.settled")


def test_every_form_can_be_chosen_and_names_a_type_of_the_log():
    """No form is without its function."""
    for name, schema in VARIANTS.items():
        assert list(chosen(name)) == [schema.form_of]
        assert schema.form_of in EVENTS


def test_a_form_says_the_same_in_its_own_shape():
    """The envelope is the log's but for the type and its version; each amount is one value with its currency."""
    one, other = example("bet.settled"), example(FORM)
    assert {name for name in one if one[name] != other[name]} == {"event_type", "schema_version", "payload"}
    assert (other["event_type"], other["schema_version"]) == (FORM, "2.0.0")
    assert other["payload"]["win"] == {"amount_minor": 1460, "currency": "EUR", "exponent": 2}
    assert other["payload"]["bet"] == {"amount_minor": 200, "currency": "EUR", "exponent": 2}
    assert other["payload"]["asked"] is None


def test_a_form_keeps_the_amount_that_was_asked_for():
    """A win in another currency than the wallet's has both."""
    form = chosen(FORM)["bet.settled"]
    said = example("bet.settled")
    conversion = {
        "currency": "USD", "exponent": 2, "amount_minor": 1600, "rate_numerator": 73, "rate_denominator": 80,
        "source": "bank", "as_of": 1,
    }  # fmt: skip
    body = form.encode(said | {"payload": {**said["payload"], "conversion": conversion}})
    assert form.schema.decode(body)["payload"]["asked"] == {"amount_minor": 1600, "currency": "USD", "exponent": 2}


def test_the_hash_does_not_know_the_form():
    """With or without it the event has the same bytes, but for its id, and the chain goes over those."""
    event, origin = SETTLED
    alone = record(event, origin, StreamHead())
    both = record(event, origin, StreamHead(), variants=chosen(FORM))
    assert (alone.second_form, alone.second_fingerprint) == (None, None)
    assert both.second_fingerprint == VARIANTS[FORM].fingerprint
    assert both.head().hash == hash_of(both.body)
    assert EVENTS["bet.settled"].decode(both.body) | {"event_id": ""} == EVENTS["bet.settled"].decode(alone.body) | {
        "event_id": ""
    }
    assert VARIANTS[FORM].decode(both.second_form)["event_id"] == both.event_id


@pytest.mark.parametrize(
    ("names", "said"),
    [("bet.settled.v9", "is no other form"), ("bet.settled", "is no other form"), (f"{FORM},{FORM}", "one at a time")],
)
def test_a_wrong_name_is_refused_when_a_process_starts(names, said):
    """The setting names what there is, and one form of a type."""
    with pytest.raises(ValidationError, match=said):
        Settings(dual_write=names)


def test_nothing_is_written_twice_unless_it_is_asked_for():
    """Without the setting there is one form of everything."""
    assert chosen(Settings().dual_write) == {}


def test_a_topic_that_goes_says_since_when_and_until_when():
    """Deprecation as RFC 9745 writes it, Sunset as RFC 8594 does; a topic that stays says nothing."""
    going = EventSchema("bet.settled", "1.0.0", {}, deprecated="2027-01-01", sunset="2027-07-01")
    assert dict(notices(going)) == {"Deprecation": b"@1798761600", "Sunset": b"Thu, 01 Jul 2027 00:00:00 GMT"}
    assert not any(NOTICES.values())
