"""The schema registry: registering as a deploy step, checking, and the wire format `0x00 | schema id (4 bytes) | Avro`.

Every event is published twice. Its subject in `ledger.events` is the record's name, because many types share that
topic; in its type topic it is `<topic>-value`, which sinks expect. Another form of a type has its topic only.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from json import JSONDecodeError
from struct import Struct
from typing import Any, NamedTuple, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import HTTPError

from patience import IMPATIENT, Patience, TransientError
from schemas.events import BY_FINGERPRINT, EVENTS, REFUSAL, REFUSAL_VERSIONS, VARIANTS_BY_FINGERPRINT, EventSchema
from schemas.topics import Topics

T = TypeVar("T")

COMPATIBILITY = "FULL_TRANSITIVE"
TIMEOUT_S = 5.0
MAGIC = 0
PREFIX = Struct(">BI")
BUSY = frozenset({408, 429})
"""What another attempt may answer, like every 5xx. Else somebody has to mend something, such as the credentials."""

_EVENT_TYPES = {schema.record_name: schema.event_type for schema in EVENTS.values()}
_ENVELOPE_FIELDS = frozenset(field["name"] for field in next(iter(EVENTS.values())).schema["fields"])


class RegistryUnavailableError(Exception):
    """The schema registry does not answer what it was asked. The message says what to mend."""


class RegistryAwayError(RegistryUnavailableError, TransientError):
    """The schema registry does not answer now; another attempt may fare better."""


class SchemaMismatchError(ValueError):
    """The registry does not hold the schema of this code. The message says which, and what to do."""


class UndecodableRecord(ValueError):  # noqa: N818, it names what is at fault
    """A record's bytes can never be read as an event, however often it is tried."""


ERRORS = (RegistryUnavailableError, SchemaMismatchError)
"""The errors that a deploy step may meet at the registry."""


class SubjectFinding(NamedTuple):
    """Something that is wrong with a subject of the registry."""

    subject: str
    problem: str


class Registration(NamedTuple):
    """A schema as the registry has it: its subject and its id."""

    subject: str
    schema_id: int


class WirePrefixes(NamedTuple):
    """The five bytes before an event's body in each of its two topics."""

    events: bytes
    of_type: bytes


class VariantTarget(NamedTuple):
    """The type topic that another form of an event goes to, and the five bytes before its body there."""

    event_type: str
    topic: str
    prefix: bytes


class WireRecord(NamedTuple):
    """A value from a topic, taken apart: `record` is the envelope as this code knows it; the hash covers `body`."""

    schema: EventSchema
    """The schema that wrote `body`, perhaps of another version than this code's."""
    body: bytes
    record: dict[str, Any]


def connect(url: str) -> SchemaRegistryClient:
    """A client of the schema registry that gives up soon: its caller decides how often to try."""
    return SchemaRegistryClient({"url": url, "timeout": TIMEOUT_S, "max.retries": 0})


def subjects(schema: EventSchema, topics: Topics) -> tuple[str, ...]:
    """The registry's subjects of an event type: in `ledger.events` (where another form of a type never goes), and in
    its type topic. Refusals have a topic of their own.
    """
    if schema.record_name == REFUSAL.record_name:
        return (f"{topics.refusals}-value",)
    of_type = f"{topics.of_type(schema.event_type)}-value"
    return (of_type,) if schema.form_of else (schema.record_name, of_type)


def _versions() -> tuple[EventSchema, ...]:
    """Every version of every type, the oldest first: the log may hold bytes of each."""
    return *BY_FINGERPRINT.values(), *VARIANTS_BY_FINGERPRINT.values(), *REFUSAL_VERSIONS


def register(client: SchemaRegistryClient, topics: Topics, patience: Patience = IMPATIENT) -> list[Registration]:
    """Register the schemas of this code and demand FULL_TRANSITIVE compatibility of all to come. Safe to repeat.

    Raises SchemaMismatchError where the registry refuses a schema, RegistryUnavailableError (retryable).
    """
    registrations = []
    for schema in _versions():
        for subject in subjects(schema, topics):
            _patiently(patience, _demand_compatibility, client, subject)
            registrations.append(Registration(subject, _patiently(patience, _register_one, client, subject, schema)))
    return registrations


def check(client: SchemaRegistryClient, topics: Topics, patience: Patience = IMPATIENT) -> list[SubjectFinding]:
    """Compare the registry with this code; no findings means that it holds every schema and guards every subject.
    Raises RegistryUnavailableError (retryable).
    """
    findings = []
    for schema in _versions():
        for subject in subjects(schema, topics):
            try:
                _patiently(patience, _look_up, client, subject, schema)
            except SchemaMismatchError as error:
                findings.append(SubjectFinding(subject, str(error)))
                continue
            level = _patiently(patience, _compatibility, client, subject)
            if level != COMPATIBILITY:
                problem = f"its compatibility level is {level}, not {COMPATIBILITY}; run `wagerledger schemas register`"
                findings.append(SubjectFinding(subject, problem))
    return findings


def _patiently(patience: Patience, ask: Callable[..., T], *arguments: Any) -> T:
    """One request: a few hundred of them in a row would hardly all be answered by a registry that restarts."""
    return patience.call(lambda: ask(*arguments), "schema registry")


class WireIds:
    """The registry's ids of the schemas that events were written with: looked up once each, never registered."""

    def __init__(self, client: SchemaRegistryClient, topics: Topics) -> None:
        self._client = client
        self._topics = topics
        self._known: dict[bytes, WirePrefixes] = {}
        self._variants: dict[bytes, VariantTarget] = {}
        self._refusals = b""

    def of(self, fingerprint: bytes) -> WirePrefixes:
        """The prefixes, in both topics, of events that were written with the schema of this fingerprint.

        Raises SchemaMismatchError where this code or the registry lacks it, RegistryUnavailableError (retryable).
        """
        known = self._known.get(fingerprint)
        if known is None:
            known = self._known[fingerprint] = self._look_up(fingerprint)
        return known

    def _look_up(self, fingerprint: bytes) -> WirePrefixes:
        schema = _known_schema(BY_FINGERPRINT, fingerprint)
        return WirePrefixes(*self._prefixes(schema))

    def of_variant(self, fingerprint: bytes) -> VariantTarget:
        """The topic and prefix of another form that was written with the schema of this fingerprint. Raises as `of`
        does.
        """
        known = self._variants.get(fingerprint)
        if known is None:
            schema = _known_schema(VARIANTS_BY_FINGERPRINT, fingerprint)
            (prefix,) = self._prefixes(schema)
            topic = self._topics.of_type(schema.event_type)
            known = self._variants[fingerprint] = VariantTarget(schema.event_type, topic, prefix)
        return known

    def of_refusals(self) -> bytes:
        """The prefix of refusals, which are all written with today's schema. Raises as `of` does."""
        if not self._refusals:
            (self._refusals,) = self._prefixes(REFUSAL)
        return self._refusals

    def _prefixes(self, schema: EventSchema) -> list[bytes]:
        ids = [_look_up(self._client, subject, schema) for subject in subjects(schema, self._topics)]
        return [PREFIX.pack(MAGIC, schema_id) for schema_id in ids]


def _known_schema(schemas: Mapping[bytes, EventSchema], fingerprint: bytes) -> EventSchema:
    schema = schemas.get(fingerprint)
    if schema is None:
        raise SchemaMismatchError(
            f"the event log holds events of schema {fingerprint.hex()}, which this version does not know; "
            "upgrade the relay before the gateways"
        )
    return schema


class Reader:
    """Reads the values of records in event topics. The registry is asked once per schema id.

    `unread` are fields of the envelope that no caller reads: records come without them, and so a third faster.
    """

    def __init__(self, client: SchemaRegistryClient, unread: Collection[str] = ()) -> None:
        self._client = client
        self._unread = unread
        self._schemas: dict[int, EventSchema] = {}

    def read(self, value: bytes | None) -> WireRecord:
        """The event in a record's value. Raises UndecodableRecord where it can never be read; RegistryUnavailableError
        (retryable).
        """
        schema = self.schema_of(value)
        assert value, "it has a schema"
        body = value[PREFIX.size :]
        try:
            return WireRecord(schema, body, schema.decode(body))
        except ValueError as error:
            raise UndecodableRecord(str(error)) from error

    def schema_of(self, value: bytes | None) -> EventSchema:
        """The schema that a record's value was written with. Raises as `read` does."""
        if value is None or len(value) <= PREFIX.size:
            raise UndecodableRecord(f"a value of {len(value or b'')} bytes is too short for an event")
        magic, schema_id = PREFIX.unpack_from(value)
        if magic != MAGIC:
            raise UndecodableRecord(f"the value begins with byte {magic}, not with {MAGIC} and a schema id")
        return self._schemas.get(schema_id) or self._look_up(schema_id)

    def _look_up(self, schema_id: int) -> EventSchema:
        """The schema that wrote, with the one to read as."""
        try:
            writer = _schema_of(self._client, schema_id)
        except LookupError as error:
            # Not remembered: it may be registered later, and the next reader of the record shall see it.
            raise UndecodableRecord(f"the registry does not know schema id {schema_id}") from error
        known = BY_FINGERPRINT.get(writer.fingerprint)
        if known is None and not _ENVELOPE_FIELDS.issubset(field["name"] for field in writer.schema["fields"]):
            raise UndecodableRecord(
                f"schema id {schema_id} ({writer.record_name}) is no event's: it lacks envelope fields"
            )
        # A version that we do not know yet is read as ours; a type that we do not know yet, as it was written.
        schema = known or replace(writer, read_as=EVENTS.get(writer.event_type))
        found = self._schemas[schema_id] = replace(schema, unread=self._unread)
        return found


class RefusalReader(Reader):
    """Reads the values of records in the topic of refusals."""

    def _look_up(self, schema_id: int) -> EventSchema:
        try:
            writer = _schema_of(self._client, schema_id)
        except LookupError as error:
            raise UndecodableRecord(f"the registry does not know schema id {schema_id}") from error
        if writer.record_name != REFUSAL.record_name:
            raise UndecodableRecord(f"schema id {schema_id} ({writer.record_name}) is no refusal's")
        found = self._schemas[schema_id] = replace(writer, read_as=REFUSAL)
        return found


@contextmanager
def _answering(subject: str) -> Iterator[None]:
    """Around one request, with what the caller makes of its own answers inside: what leaves is in our words."""
    try:
        yield
    except HTTPError as error:
        raise RegistryAwayError(
            f"the schema registry does not answer ({type(error).__name__}: {error}); "
            "check WAGERLEDGER_SCHEMA_REGISTRY_URL"
        ) from error
    except SchemaRegistryError as error:
        passing = error.http_status_code >= 500 or error.http_status_code in BUSY
        kind = RegistryAwayError if passing else RegistryUnavailableError
        raise kind(f"the schema registry answers {error} for {subject}") from error
    except JSONDecodeError as error:
        raise RegistryUnavailableError(
            f"the schema registry answers no JSON for {subject}; check WAGERLEDGER_SCHEMA_REGISTRY_URL"
        ) from error


def _demand_compatibility(client: SchemaRegistryClient, subject: str) -> None:
    with _answering(subject):
        client.set_compatibility(subject, COMPATIBILITY)


def _compatibility(client: SchemaRegistryClient, subject: str) -> str:
    with _answering(subject):
        try:
            return str(client.get_compatibility(subject))
        except SchemaRegistryError as error:
            if error.http_status_code != 404:
                raise
        return str(client.get_compatibility())


def _register_one(client: SchemaRegistryClient, subject: str, schema: EventSchema) -> int:
    with _answering(subject):
        try:
            client.register_schema(subject, Schema(schema.text, "AVRO"))
        except SchemaRegistryError as error:
            if error.http_status_code not in {409, 422}:
                raise
            raise SchemaMismatchError(
                f"the registry refuses {schema.event_type} {schema.schema_version} for {subject}: "
                f"{error.error_message}; add fields with defaults only; a change of meaning is a new event type"
            ) from error
    return _look_up(client, subject, schema)


def _look_up(client: SchemaRegistryClient, subject: str, schema: EventSchema) -> int:
    """The id of the schema in the subject. What the id stands for is read back and must be the code's own schema."""
    with _answering(subject):
        try:
            schema_id = client.lookup_schema(subject, Schema(schema.text, "AVRO")).schema_id
        except SchemaRegistryError as error:
            if error.http_status_code != 404:
                raise
            raise SchemaMismatchError(
                f"the registry lacks {schema.event_type} {schema.schema_version} in subject {subject}; "
                "run `wagerledger schemas register`"
            ) from error
    assert isinstance(schema_id, int)
    client.clear_caches()  # type: ignore[no-untyped-call]  # else it answers with what it was just asked
    try:
        held = _schema_of(client, schema_id)
    except (LookupError, UndecodableRecord) as error:
        raise SchemaMismatchError(f"the registry gives id {schema_id} in subject {subject}, but {error}") from error
    if held.record_name != schema.record_name or held.fingerprint != schema.fingerprint:
        raise SchemaMismatchError(
            f"the registry's id {schema_id} in subject {subject} is {held.record_name} {held.fingerprint.hex()}, "
            f"not {schema.record_name} {schema.fingerprint.hex()} as in this code; "
            "run `wagerledger schemas register` against the right registry"
        )
    return schema_id


def _schema_of(client: SchemaRegistryClient, schema_id: int) -> EventSchema:
    """Raises LookupError where the registry has no such schema; UndecodableRecord where it is no Avro record."""
    with _answering(f"schema id {schema_id}"):
        try:
            schema = client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code != 404:
                raise
            raise LookupError(f"the registry does not know schema id {schema_id}") from error
    content = None
    if schema.schema_type == "AVRO" and schema.schema_str:
        with suppress(JSONDecodeError):
            content = json.loads(schema.schema_str)
    if not isinstance(content, dict) or content.get("type") != "record":
        raise UndecodableRecord(f"schema id {schema_id} is not an Avro record")
    unnamed = EventSchema("", "", content)
    return replace(unnamed, event_type=_EVENT_TYPES.get(unnamed.record_name, unnamed.record_name))
