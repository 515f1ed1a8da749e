"""From a decided event to its row of the log: its place, its time, its chain, its bytes."""

import pytest

from ledger.core.chain import GENESIS, hash_of
from ledger.journal.recording import record
from ledger.streams import StreamHead, player_stream
from schemas.events import EVENTS
from tests.ledger.core.scene import wallet
from tests.support.commands import NOW, Asks
from tests.support.story import given

ask = Asks()
DEPOSIT = ask.deposit("10")


def recorded(head=StreamHead(), **more):
    (event,) = given(wallet()).when(DEPOSIT).decision.events
    return record(event, DEPOSIT.origin, head, **more)


def said(row):
    return EVENTS[row.event_type].decode(row.body)


def test_the_first_event_of_a_stream_begins_its_chain():
    """Version 1, and the hash that stands for nothing before it."""
    row = recorded()
    assert (row.stream, row.version, row.event_type) == (player_stream("acme", "ann"), 1, "wallet.credit.deposit")
    assert (said(row)["stream_version"], said(row)["previous_hash"]) == (1, GENESIS)


def test_each_event_carries_the_hash_of_the_one_before():
    """Of the very bytes that are kept."""
    first = recorded()
    second = recorded(first.head())
    assert second.version == 2
    assert said(second)["previous_hash"] == hash_of(first.body) == first.head().hash


@pytest.mark.parametrize(("now", "time"), [(NOW - 5, NOW), (NOW, NOW), (NOW + 5, NOW + 5)])
def test_time_never_runs_backwards_in_a_stream(now, time):
    """A clock that was set back gives the time of the event before."""
    assert StreamHead(3, bytes(32), NOW).time_after(now) == time


def test_the_time_of_an_event_is_the_one_it_was_decided_at():
    """In the row and in the bytes; one from before its predecessor is a fault of who decided it."""
    row = recorded(StreamHead(3, bytes(32), NOW))
    assert (row.recorded_at, said(row)["occurred_at"]) == (NOW, NOW)
    with pytest.raises(AssertionError, match="runs backwards"):
        recorded(StreamHead(3, bytes(32), NOW + 1))


def test_the_envelope_says_whose_and_by_whom():
    """Tenant, region, player, wallet, provider, key and trace are those of the command."""
    origin, envelope = DEPOSIT.origin, said(recorded(fingerprint=bytes(range(32))))
    assert envelope["wallet_id"] == "acme/ann/EUR"
    assert envelope["command_fingerprint"] == bytes(range(32))
    for name in ("tenant_id", "region", "provider_id", "idempotency_key", "trace_id"):
        assert envelope[name] == getattr(origin, name), name


def test_the_postings_are_written_and_sum_to_zero():
    """With the amounts that moved, in minor units."""
    postings = said(recorded())["postings"]
    assert {one["account"]: one["amount_minor"] for one in postings} == {"cash": 1000, "cashier": -1000}


def test_every_event_has_an_id_of_its_own():
    """Two records of one event are two rows, in the order of their ids."""
    first, second = recorded().event_id, recorded().event_id
    assert first < second


def test_without_a_variant_nothing_is_written_beside_the_log():
    """Neither another form of the event nor its fingerprint."""
    assert (recorded().second_form, recorded().second_fingerprint) == (None, None)
