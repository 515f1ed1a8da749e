"""Bytes of an earlier version are read as today's, for ever."""

import json
from dataclasses import replace

import pytest

from ledger.core.chain import GENESIS, hash_of
from ledger.core.evolve import event_of
from ledger.journal.recording import record
from ledger.streams import StreamHead
from schemas.compatibility import incompatibilities
from schemas.events import BY_FINGERPRINT, EVENTS, EventSchema
from schemas.releases import release
from tests.support.golden import ADDED_SINCE, EARLIER, FOLDER, history, today_of
from tests.support.story import replay

HISTORY = json.loads((EARLIER / "history.json").read_text())
TODAY = json.loads((FOLDER / "history.json").read_text())
TODAY["events"] = TODAY["events"][: len(HISTORY)]  # what was added since 0.9.0 had its history is of later versions


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The earlier versions, as if they had been released."""
    for event_type in {entry["event_type"] for entry in HISTORY}:
        schema = EventSchema(
            event_type, "0.9.0", json.loads((EARLIER / f"{event_type}.avsc").read_text()), read_as=EVENTS[event_type]
        )
        monkeypatch.setitem(BY_FINGERPRINT, schema.fingerprint, schema)


def read():
    """Body, the schema that wrote it, and today's record, of every event in order."""
    by_type = {
        (schema.event_type, schema.schema_version): schema for schema in BY_FINGERPRINT.values() if schema.read_as
    }
    for entry in HISTORY:
        schema = by_type[entry["event_type"], "0.9.0"]
        body = (EARLIER / entry["file"]).read_bytes()
        yield body, schema, BY_FINGERPRINT[schema.fingerprint].decode(body)


def lacking(fields):
    """The fields of today's golden record with the defaults of what 0.9.0 did not have."""
    if isinstance(fields, list):
        return [lacking(part) for part in fields]
    if not isinstance(fields, dict):
        return fields
    return {name: None if name in ADDED_SINCE else lacking(part) for name, part in fields.items()}


def test_an_earlier_record_is_todays_with_defaults():
    """Envelope, payload and records inside: what was added since has its default, all else is what was written."""
    for (_, _, decoded), entry in zip(read(), TODAY["events"], strict=True):
        today = today_of(entry)
        assert list(decoded) == list(today)
        assert decoded["payload"] == lacking(today["payload"])
        assert (decoded["operation"], decoded["command_fingerprint"]) == ("", None)
        assert decoded["schema_version"] == "0.9.0", "it says who wrote it"


def test_the_hash_covers_the_earlier_bytes():
    """The chain of then holds: nothing is encoded anew."""
    previous = GENESIS
    for (body, _, decoded), entry in zip(read(), HISTORY, strict=True):
        assert hash_of(body).hex() == entry["sha256"]
        if decoded["stream_type"] == "player":
            assert decoded["previous_hash"] == previous
            previous = hash_of(body)


def test_an_earlier_stream_folds_and_goes_on():
    """Today's rules fold it to the balances of then, and today's next event continues its chain."""
    events = [event_of(decoded) for _, _, decoded in read()]
    wallet = replay(events).wallet("acme", "ann", "EUR")
    assert {name: getattr(wallet, name) for name in TODAY["wallet"]} == TODAY["wallet"]
    *_, (last, _, decoded) = (one for one in read() if one[2]["stream_type"] == "player")
    event, origin = history()[1]
    head = StreamHead(decoded["stream_version"], hash_of(last), decoded["occurred_at"])
    recorded = record(replace(event, at=head.time_after(event.at)), origin, head)
    continued = BY_FINGERPRINT[recorded.schema_fingerprint].decode(recorded.body)
    assert continued["stream_version"] == decoded["stream_version"] + 1
    assert continued["previous_hash"] == hash_of(last)


def test_the_earlier_schemas_could_have_been_released(tmp_path):
    """They follow our rules: so will every version to come be read like this one."""
    for _, schema, _ in read():
        assert incompatibilities(schema.schema, EVENTS[schema.event_type].schema) == []
    assert release({schema.event_type: schema for _, schema, _ in read()}, tmp_path)


@pytest.mark.parametrize("damage", [lambda body: body + b"\0", lambda body: body[:-1], lambda body: b""])
def test_earlier_bytes_that_are_damaged_are_refused(damage):
    """An earlier version is read as strictly as today's."""
    for body, schema, _ in read():
        with pytest.raises(ValueError, match=r"0\.9\.0"):
            schema.decode(damage(body))
