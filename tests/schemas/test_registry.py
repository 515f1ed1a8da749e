"""Schemas in a real registry: registered by a deploy step, checked, and read back from the wire."""

import json
import random
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from patience import Patience
from schemas import registry
from schemas.compatibility import incompatibilities
from schemas.events import EVENTS, VARIANTS, EventSchema, released
from schemas.registry import Reader, RegistryUnavailableError, SchemaMismatchError, UndecodableRecord, WireIds
from schemas.topics import Topics
from tests.support.seeds import seeded_random

OPENED = EVENTS["wallet.opened"]
WRITTEN: dict[str, Any] = {
    "event_type": "wallet.opened",
    "schema_version": "1.0.0",
    "event_id": "018f0000-0000-7000-8000-000000000000",
    "occurred_at": 1,
    "tenant_id": "brand-1",
    "region": "eu",
    "player_id": "player-1",
    "trace_id": "trace-1",
    "payload": {"currency": "EUR", "exponent": 2},
    "idempotency_key": "key-1",
    "stream_type": "player",
    "stream_id": "player-1",
    "stream_version": 1,
    "previous_hash": bytes(32),
    "wallet_id": "brand-1/player-1/EUR",
    "provider_id": None,
    "postings": [],
    "integration_id": None,
    "provider_occurred_at": None,
    "provider_transaction_id": None,
}
RECORD = OPENED.decode(OPENED.encode(WRITTEN))
"""The same with what the schema adds by default."""


@pytest.fixture
def client(schema_registry_url: str) -> Iterator[SchemaRegistryClient]:
    with registry.connect(schema_registry_url) as client:
        yield client


@pytest.fixture
def names(topic_prefix: str) -> Topics:
    return Topics(topic_prefix)


def evolved(schema: EventSchema, *fields: dict[str, Any]) -> EventSchema:
    """The schema with more fields in its envelope."""
    content = json.loads(schema.text)
    content["fields"] += fields
    return replace(schema, schema=content)


def test_registering_twice_changes_nothing(client: SchemaRegistryClient, names: Topics):
    """Every schema gets its subjects, other forms and refusals one of their own, and a second run gives the same ids."""
    first = registry.register(client, names)
    assert registry.register(client, names) == first
    assert {registration.subject for registration in first} == {
        *(subject for schema in EVENTS.values() for subject in registry.subjects(schema, names)),
        *(f"{names.of_type(form)}-value" for form in VARIANTS),
        f"{names.refusals}-value",
    }
    assert registry.check(client, names) == []


def test_check_names_what_is_missing(client: SchemaRegistryClient, names: Topics):
    """Before they are registered, check says of each subject of a type topic what to run."""
    missing = {finding.subject: finding.problem for finding in registry.check(client, names)}
    for schema in EVENTS.values():
        assert "run `wagerledger schemas register`" in missing[f"{names.of_type(schema.event_type)}-value"]


def test_check_names_a_subject_that_is_not_guarded(client: SchemaRegistryClient, names: Topics):
    """A subject that would take an incompatible schema is a finding."""
    registry.register(client, names)
    subject = f"{names.of_type('bet.settled')}-value"
    client.set_compatibility(subject, "NONE")
    assert registry.check(client, names) == [
        registry.SubjectFinding(
            subject, "its compatibility level is NONE, not FULL_TRANSITIVE; run `wagerledger schemas register`"
        )
    ]


def test_an_incompatible_schema_is_refused(
    client: SchemaRegistryClient, names: Topics, monkeypatch: pytest.MonkeyPatch
):
    """A new field without a default never gets in, and the error says how to do it."""
    registry.register(client, names)
    subject = f"{names.of_type(OPENED.event_type)}-value"
    with pytest.raises(SchemaMismatchError, match="add fields with defaults only"):
        registry._register_one(client, subject, evolved(OPENED, {"name": "more", "type": "string"}))


@pytest.mark.parametrize(
    ("field", "compatible"),
    [
        ({"name": "more", "type": ["null", "string"], "default": None}, True),
        ({"name": "more", "type": {"type": "array", "items": "string"}, "default": []}, True),
        ({"name": "more", "type": "string"}, False),
        ({"name": "more", "type": ["null", "long"]}, False),
    ],
)
def test_the_registry_and_our_own_check_agree(client, names, field, compatible):
    """After the released version, both take the same next versions and refuse the same."""
    subject = f"{names.of_type(OPENED.event_type)}-value"
    registry._demand_compatibility(client, subject)
    registry._register_one(client, subject, released(OPENED)[0])
    later = replace(evolved(OPENED, field), schema_version="1.1.0")
    assert (incompatibilities(OPENED.schema, later.schema) == []) is compatible
    if compatible:
        registry._register_one(client, subject, later)
    else:
        with pytest.raises(SchemaMismatchError):
            registry._register_one(client, subject, later)


def test_wire_ids_are_looked_up_and_never_registered(client: SchemaRegistryClient, names: Topics):
    """A schema that the registry lacks is an error that says what to run; afterwards its ids are found, and asked for once."""
    with pytest.raises(SchemaMismatchError, match="run `wagerledger schemas register`"):
        WireIds(client, names).of(OPENED.fingerprint)
    registry.register(client, names)
    wire_ids = WireIds(client, names)
    prefixes = wire_ids.of(OPENED.fingerprint)
    for prefix, subject in zip(prefixes, registry.subjects(OPENED, names), strict=True):
        magic, schema_id = struct.unpack(">bI", prefix)
        assert (magic, schema_id) == (0, client.lookup_schema(subject, Schema(OPENED.text, "AVRO")).schema_id)
    client.close()
    assert wire_ids.of(OPENED.fingerprint) is prefixes


def test_the_reader_gives_back_body_and_record(client: SchemaRegistryClient, names: Topics):
    """Wire bytes become the very body and the record that was written."""
    registry.register(client, names)
    prefixes = WireIds(client, names).of(OPENED.fingerprint)
    body = OPENED.encode(RECORD)
    reader = Reader(client)
    for prefix in prefixes:
        wire = reader.read(prefix + body)
        assert (wire.schema, wire.body, wire.record) == (OPENED, body, RECORD)


def test_a_newer_schema_is_read_as_ours(client: SchemaRegistryClient, names: Topics):
    """A field that a later version added is left out; the body stays what it is."""
    newer = evolved(OPENED, {"name": "more", "type": ["null", "string"], "default": None})
    schema_id = client.register_schema(f"{names.prefix}newer-value", Schema(newer.text, "AVRO"))
    body = newer.encode(RECORD | {"more": "news"})
    wire = Reader(client).read(struct.pack(">bI", 0, schema_id) + body)
    assert (wire.schema.fingerprint, wire.body, wire.record) == (newer.fingerprint, body, RECORD)


def test_an_unknown_event_type_is_read_as_it_was_written(client: SchemaRegistryClient, names: Topics):
    """A type of a later version can be ordered, chained and kept, though this code knows nothing of it."""
    content = json.loads(OPENED.text) | {"name": "WalletPainted"}
    unknown = EventSchema("wallet.painted", "1.0.0", content)
    schema_id = client.register_schema(f"{names.prefix}unknown-value", Schema(unknown.text, "AVRO"))
    record = RECORD | {"event_type": "wallet.painted"}
    wire = Reader(client).read(struct.pack(">bI", 0, schema_id) + unknown.encode(record))
    assert wire.record == record


@pytest.mark.parametrize(
    "value", [None, b"", b"\x00\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01x", b"{}", b'{"event_type": "bet.settled"}']
)
def test_what_is_not_in_the_wire_format_is_undecodable(client: SchemaRegistryClient, value: bytes | None):
    """Tombstones, short values and other magic bytes are told from events without asking the registry."""
    client.close()
    with pytest.raises(UndecodableRecord):
        Reader(client).read(value)


def test_an_unknown_schema_id_is_undecodable(client: SchemaRegistryClient):
    """An id that the registry does not know makes one bad record, not an outage."""
    with pytest.raises(UndecodableRecord, match="does not know schema id 2147483647"):
        Reader(client).read(struct.pack(">bI", 0, 2**31 - 1) + b"x")


@pytest.mark.parametrize(
    "schema",
    [
        Schema('{"type": "record", "name": "Stranger", "fields": [{"name": "a", "type": "string"}]}', "AVRO"),
        Schema('{"type": "string"}', "AVRO"),
        Schema('{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}', "JSON"),
    ],
)
def test_a_schema_of_something_else_is_undecodable(client: SchemaRegistryClient, names: Topics, schema: Schema):
    """A record whose schema is no event's is undecodable, whatever it is."""
    schema_id = client.register_schema(f"{names.prefix}stranger-value", schema)
    with pytest.raises(UndecodableRecord):
        Reader(client).read(struct.pack(">bI", 0, schema_id) + b"\x02a")


def test_damaged_bodies_are_undecodable_or_another_record(client: SchemaRegistryClient, names: Topics):
    """Whatever happens to the bytes, the reader gives a record or UndecodableRecord, and no other error."""
    rng: random.Random = seeded_random()
    registry.register(client, names)
    newer = evolved(OPENED, {"name": "more", "type": ["null", "string"], "default": None})
    newer_id = client.register_schema(f"{names.prefix}newer-value", Schema(newer.text, "AVRO"))
    reader = Reader(client)
    sources = [
        WireIds(client, names).of(OPENED.fingerprint).events + OPENED.encode(RECORD),
        struct.pack(">bI", 0, newer_id) + newer.encode(RECORD | {"more": None}),
    ]
    undecodable = 0
    for _ in range(3000):
        value = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 4)):
            value[rng.randrange(5, len(value))] = rng.randrange(256)
        try:
            reader.read(bytes(value[: rng.randrange(5, len(value) + 1)]))
        except UndecodableRecord:
            undecodable += 1
    assert undecodable > 1000


def test_a_registry_that_is_down_is_worth_another_try(names: Topics):
    """No answer is RegistryUnavailableError, never a verdict about the record or the schema; the URL's password is not told."""
    with registry.connect("http://user:sesame@127.0.0.1:9/") as client:
        for ask in (
            lambda: registry.register(client, names),
            lambda: registry.check(client, names),
            lambda: WireIds(client, names).of(OPENED.fingerprint),
            lambda: Reader(client).read(struct.pack(">bI", 0, 1) + b"x"),
        ):
            with pytest.raises(RegistryUnavailableError) as raised:
                ask()
            assert "sesame" not in str(raised.value)


@pytest.fixture
def odd_registry() -> Iterator[tuple[str, list[int]]]:
    """Somebody else's server at the registry's address: it answers each request with the first status of the list."""
    statuses: list[int] = []

    class Odd(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()
            self.wfile.write(b"<html>Log in</html>")

        do_GET = do_POST = do_PUT = answer  # noqa: N815, the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", statuses
    server.shutdown()
    thread.join(60)
    server.server_close()


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 405, 429, 500, 503])
def test_odd_answers_are_said_in_our_words(odd_registry: tuple[str, list[int]], names: Topics, status: int):
    """Whatever is at the registry's address, what a deploy step or a reader hears is an error of ours."""
    url, statuses = odd_registry
    statuses.append(status)
    with registry.connect(url) as client:
        for ask in (
            lambda: registry.register(client, names),
            lambda: WireIds(client, names).of(OPENED.fingerprint),
            lambda: Reader(client).read(struct.pack(">bI", 0, 1) + b"x"),
        ):
            with pytest.raises((*registry.ERRORS, UndecodableRecord)):
                ask()


def test_a_deploy_step_outlasts_a_busy_registry(odd_registry: tuple[str, list[int]], names: Topics):
    """What may pass is tried again; what somebody must mend ends it at once."""
    url, statuses = odd_registry
    statuses += [503, 429, 500, 403]
    with registry.connect(url) as client, pytest.raises(RegistryUnavailableError, match="403"):
        registry.register(client, names, Patience())
    assert statuses == [403]
