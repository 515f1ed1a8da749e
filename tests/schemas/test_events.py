"""The events on the wire: schemas, codec, and bytes that must stay readable forever."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from io import BytesIO
from types import NoneType, UnionType
from typing import get_args, get_origin

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.chain import GENESIS, hash_of
from ledger.core.evolve import PAYLOADS, event_of
from ledger.journal.recording import record
from ledger.streams import StreamHead
from schemas.events import BY_FINGERPRINT, EVENTS, VARIANTS, _without_logical_types
from tests.support.golden import FOLDER, history
from tests.support.story import replay

WRITTEN = sorted(name for name, schema in EVENTS.items() if not schema.announced)
"""The types that have a rule; the others are announced."""
TYPES = EVENTS | VARIANTS
AVRO_TYPES = {str: "string", int: ("int", "long"), bool: "boolean", Mapping: "record", Sequence: "array"}


def payload_schema(event_type):
    (field,) = [field for field in TYPES[event_type].schema["fields"] if field["name"] == "payload"]
    return field["type"]


@pytest.mark.parametrize("event_type", WRITTEN)
def test_payload_class_is_its_schema(event_type):
    """Names, order, types and nullability of the class are those of the Avro record."""
    declared = fields(PAYLOADS[event_type])
    written = payload_schema(event_type)["fields"]
    assert [field.name for field in declared] == [field["name"] for field in written]
    for ours, avro in zip(declared, written, strict=True):
        nullable = isinstance(ours.type, UnionType)
        python_type = next(t for t in get_args(ours.type) if t is not NoneType) if nullable else ours.type
        avro_type = avro["type"]
        assert isinstance(avro_type, list) == nullable, ours.name
        if nullable:
            assert avro_type[0] == "null", ours.name
            assert avro["default"] is None, ours.name
            avro_type = avro_type[1]
        if isinstance(avro_type, dict):
            avro_type = avro_type["type"]
        assert avro_type in AVRO_TYPES[get_origin(python_type) or python_type], ours.name


def test_every_event_has_a_schema_and_every_schema_an_event():
    """But those that are announced; and each its own record name and fingerprint."""
    assert set(WRITTEN) == set(PAYLOADS)
    assert len({schema.fingerprint for schema in TYPES.values()}) == len(TYPES)
    assert len({schema.record_name for schema in TYPES.values()}) == len(TYPES)


def test_the_topics_of_the_integration_contract_are_all_there():
    """Every topic that providers and BI are promised exists, also those whose rules come later."""
    promised = {
        *("session.started", "session.ended", "bet.authorized", "bet.settled", "bet.rolled_back"),
        *("bonus.issued", "bonus.consumed", "wager.progress.updated", "rg.limit.hit", "rg.reality_check"),
    }
    assert promised <= set(EVENTS)
    assert {"wallet.debit", "wallet.credit"} <= {event_type.rpartition(".")[0] for event_type in WRITTEN}


def test_payloads_have_no_default_of_their_own():
    """Every field is said where an event is made; defaults are for readers of old bytes."""
    for payload in PAYLOADS.values():
        assert all(field.default is MISSING for field in fields(payload)), payload


def test_money_is_a_long_with_its_currency_and_exponent():
    """I10: no float, double, bytes or decimal in any schema; what has an amount names currency and exponent."""
    for event_type, schema in TYPES.items():
        assert not {'"float"', '"double"', '"decimal"'} & set(
            schema.text.replace(",", " ").replace(":", " ").split()
        ), event_type
        written = {field["name"]: field["type"] for field in payload_schema(event_type)["fields"]}
        amounts = {name for name in written if name.endswith("_minor")}
        assert all(written[name] in ("long", ["null", "long"]) for name in amounts), event_type
        assert not amounts or {"currency", "exponent"} <= set(written), event_type


def test_every_field_is_documented():
    """Whoever reads a topic finds what each field means in its schema."""
    for event_type, schema in TYPES.items():
        assert schema.consumers, event_type
        undocumented = [
            f["name"]
            for f in payload_schema(event_type)["fields"] + schema.schema["fields"]
            if not f.get("doc") and f["name"] != "payload"
        ]
        assert undocumented == [], event_type


def test_fingerprint_is_the_rabin_fingerprint_of_the_canonical_form():
    """CRC-64-AVRO, as any other Avro library computes it: 8 bytes, and independent of docs."""
    for schema in TYPES.values():
        canonical = to_parsing_canonical_form(json.loads(schema.text))
        assert schema.fingerprint.hex() == fingerprint(canonical, "CRC-64-AVRO")
        assert len(schema.fingerprint) == 8
        assert _rabin(canonical.encode()) == schema.fingerprint


def _rabin(data: bytes) -> bytes:
    """The algorithm of the Avro specification, written down a second time."""
    empty = 0xC15D213AA4D7A795
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
        table.append(value)
    value = empty
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return struct.pack("<Q", value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LONGS = st.integers(-(2**63), 2**63 - 1)
KINDS = {
    "string": TEXTS,
    "long": LONGS,
    "int": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "Sha256": st.binary(min_size=32, max_size=32),
    "Money": st.fixed_dictionaries(
        {"amount_minor": LONGS, "currency": TEXTS, "exponent": st.integers(-(2**31), 2**31 - 1)}
    ),
}


def values_of(avro):
    """Any record of a schema."""
    if isinstance(avro, list):
        return st.one_of([st.none() if part == "null" else values_of(part) for part in avro])
    if isinstance(avro, str):
        return KINDS[avro]
    kind = avro["type"]
    if kind == "record":
        return st.fixed_dictionaries({field["name"]: values_of(field["type"]) for field in avro["fields"]})
    if kind == "array":
        return st.lists(values_of(avro["items"]), max_size=4)
    if kind == "fixed":
        return st.binary(min_size=avro["size"], max_size=avro["size"])
    return KINDS[kind]


def plain_avro(schema, written):
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(_without_logical_types(schema.schema)), written)
    return out.getvalue()


@pytest.mark.parametrize("event_type", sorted(TYPES))
def test_what_is_encoded_is_decoded(event_type):
    """Any record comes back as it was, and its bytes are those of a plain Avro writer."""
    schema = TYPES[event_type]

    @settings(max_examples=30)
    @given(values_of(schema.schema))
    def round_trip(written):
        body = schema.encode(written)
        assert body == plain_avro(schema, written)
        assert schema.decode(body) == written
        assert schema.encode(schema.decode(body)) == body

    round_trip()


def golden_bytes(event_type):
    """Of today's version: the newest."""
    entries = json.loads((FOLDER / "history.json").read_text())["events"]
    *_, newest = (entry["file"] for entry in entries if entry["event_type"] == event_type)
    return (FOLDER / newest).read_bytes()


@pytest.mark.parametrize("event_type", WRITTEN)
@pytest.mark.parametrize(
    "damage", [lambda body: body + b"\0", lambda body: body[:-1], lambda body: b"", lambda body: b"\xff" * 40]
)
def test_bytes_that_are_not_one_record_are_refused(event_type, damage):
    """Too many, too few, none, nonsense: ValueError, never another error and never a record."""
    schema = EVENTS[event_type]
    body = golden_bytes(event_type)
    with pytest.raises(ValueError, match=event_type):
        schema.decode(damage(body))


WRONG = {
    "a text that UTF-8 cannot carry": {"tenant_id": "\ud800"},
    "a text that is none": {"tenant_id": 7},
    "a number that does not fit": {"stream_version": 2**63},
    "a number that does not fit below zero": {"stream_version": -(2**63) - 1},
    "a float": {"stream_version": 1e6},
    "nothing where something must be": {"trace_id": None},
    "a hash of another length": {"previous_hash": b"short"},
    "a posting without its currency": {"postings": [{"account": "cash", "amount_minor": 1}]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_refused(wrong):
    """I10: nothing is rounded, cut or guessed on the way into the log."""
    schema = EVENTS["wallet.opened"]
    right = schema.decode((FOLDER / "wallet.opened.avro").read_bytes())
    with pytest.raises((TypeError, AttributeError, KeyError, ValueError, OverflowError)):
        schema.encode(right | WRONG[wrong])


def test_golden_bytes_decode_forever():
    """Bytes written by the first version decode, name their schema by fingerprint, chain and fold to the balances of then.

    A failure means that history would be lost: never make these files anew; add to them.
    """
    written = json.loads((FOLDER / "history.json").read_text())
    events, previous = [], GENESIS
    for entry in written["events"]:
        body = (FOLDER / entry["file"]).read_bytes()
        assert hash_of(body).hex() == entry["sha256"], entry["file"]
        decoded = BY_FINGERPRINT[bytes.fromhex(entry["schema_fingerprint"])].decode(body)
        assert decoded["event_type"] == entry["event_type"]
        assert decoded["payload"] == dict.fromkeys(decoded["payload"]) | entry["payload"], (
            "what was added since is null"
        )
        if entry["stream"] == "player":
            assert decoded["previous_hash"] == previous
            previous = hash_of(body)
        events.append(event_of(decoded))
    wallet = replay(events).wallet("acme", "ann", "EUR")
    assert {name: getattr(wallet, name) for name in written["wallet"]} == written["wallet"]
    assert {event.payload.event_type for event in events} >= set(WRITTEN), "an event type without golden bytes"


def test_golden_bytes_are_still_what_is_written():
    """The same event encodes to the same bytes today: the hash of history does not depend on the version of a library."""
    previous, golden = StreamHead(), set()
    for entry, (event, origin) in zip(
        json.loads((FOLDER / "history.json").read_text())["events"], history(), strict=True
    ):
        body = (FOLDER / entry["file"]).read_bytes()
        schema = BY_FINGERPRINT[bytes.fromhex(entry["schema_fingerprint"])]
        assert schema.encode(schema.decode(body)) == body
        assert vars(event.payload) == schema.decode(body)["payload"]
        golden.add((record(event, origin, previous).schema_fingerprint, schema.fingerprint))
    missing = [one for one in WRITTEN if (EVENTS[one].fingerprint, EVENTS[one].fingerprint) not in golden]
    assert missing == [], "a new schema version needs golden bytes of its own, beside the old ones"


@pytest.mark.parametrize("event_type", WRITTEN)
def test_a_foreign_reader_reads_the_golden_bytes(event_type):
    """fastavro with the schema's registered text alone, logical types and all."""
    body = golden_bytes(event_type)
    decoded = fastavro.schemaless_reader(
        BytesIO(body), fastavro.parse_schema(json.loads(EVENTS[event_type].text)), None
    )
    assert decoded["event_type"] == event_type
    assert decoded["occurred_at"].tzinfo is not None
