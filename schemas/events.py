"""The Avro schemas of the events, and their codec.

Each file `avro/<event type>.avsc` is a payload; `avro/envelope.avsc` is what surrounds it. Together they make the
record schema that is registered. What was released stays in `released/<event type>/<version>.avsc`, because bytes of
every version stay in the log.
"""

import json
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.read import SchemaResolutionError
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.decoder import decoder, picker
from schemas.encoder import encoder

Schema = dict[str, Any]

CURRENT = files("schemas") / "avro"
RELEASED = files("schemas") / "released"


@dataclass(frozen=True)
class EventSchema:
    """The Avro schema of one version of one event type, with its codec."""

    event_type: str
    schema_version: str
    schema: Schema
    """The record schema as it is registered: with docs, defaults and logical types."""
    announced: bool = False
    """Whether nothing writes this type yet: the rule that will comes later."""
    form_of: str | None = None
    """Of another form of a type: that type. Such events are never in the log or in `ledger.events`, only in a topic of
    their own.
    """
    consumers: str = ""
    """Who reads events of this type, for the documentation."""
    deprecated: str | None = None
    """The day (ISO 8601) since which the type's topic should not get new readers."""
    sunset: str | None = None
    """The day (ISO 8601) from which nothing more comes into the type's topic."""
    read_as: "EventSchema | None" = None
    """Of an earlier version: today's schema of the type, as which its records are read."""
    unread: Collection[str] = ()
    """Fields of the envelope that `decode` leaves out, because its caller reads none of them."""

    @cached_property
    def record_name(self) -> str:
        """The schema's full Avro name: its subject in `ledger.events` (record name strategy)."""
        return f"{self.schema['namespace']}.{self.schema['name']}"

    @cached_property
    def fingerprint(self) -> bytes:
        """CRC-64-AVRO of the parsing canonical form (Avro specification, schema fingerprints): 8 bytes, little-endian
        as fastavro prints it.
        """
        return bytes.fromhex(fingerprint(self.canonical_form, "CRC-64-AVRO"))

    @cached_property
    def canonical_form(self) -> str:
        """The schema in Avro's parsing canonical form, which the fingerprint is taken over."""
        return to_parsing_canonical_form(self.schema)

    @cached_property
    def text(self) -> str:
        """The schema as JSON text, as the registry gets it."""
        return json.dumps(self.schema, separators=(",", ":"))

    @cached_property
    def _encode(self) -> Callable[[dict[str, Any]], bytes]:
        return encoder(_without_logical_types(self.schema))

    def encode(self, record: dict[str, Any]) -> bytes:
        """The Avro bytes of an envelope. Times are integers, microseconds since the epoch."""
        return self._encode(record)

    def decode(self, body: bytes) -> dict[str, Any]:
        """The envelope in `body`, which this schema wrote, as today's version has it: fields that were added since have
        their defaults, fields that this code does not know are left out.

        Raises ValueError when the bytes are not exactly one record.
        """
        try:
            return self._decode(body)
        except ValueError as error:
            raise ValueError(f"not a {self.event_type} {self.schema_version} record: {error}") from error

    @cached_property
    def _decode(self) -> Callable[[bytes], dict[str, Any]]:
        writer, reader = (_without_logical_types(schema.schema) for schema in (self, self.read_as or self))
        reader = reader | {"fields": [field for field in reader["fields"] if field["name"] not in self.unread]}
        try:
            return decoder(writer, reader)
        except TypeError:  # a schema of others, or one that differs in more than fields with defaults
            return partial(_decode_by_fastavro, parse_schema(deepcopy(writer)), parse_schema(deepcopy(reader)))

    def picker(self, *fields: str) -> Callable[[bytes], tuple[Any, ...]]:
        """A function that decodes these `fields` of an envelope alone, as a tuple: see `schemas.decoder.picker`."""
        return picker(_without_logical_types(self.schema), fields)


def _decode_by_fastavro(writer: Any, reader: Any, body: bytes) -> dict[str, Any]:
    source = BytesIO(body)
    try:
        record = schemaless_reader(source, writer, reader)
    except (EOFError, IndexError, UnicodeDecodeError, OverflowError, MemoryError, SchemaResolutionError) as error:
        raise ValueError(str(error)) from error
    if source.tell() != len(body):
        raise ValueError(f"{len(body) - source.tell()} bytes follow the record")
    assert isinstance(record, dict)
    return record


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        return {name: _without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    return schema


def compose(envelope: Schema, payload: Schema) -> EventSchema:
    """The schema of an event type, from the contents of `envelope.avsc` and of the type's own file."""
    payload = dict(payload)
    notes = {name: payload.pop(name) for name in _NOTES if name in payload}
    schema = deepcopy(envelope)
    schema["name"] = payload["name"].removesuffix("Payload")
    schema["doc"] = payload["doc"]
    for field in schema["fields"]:
        if field["type"] == "Payload":
            field["type"] = payload
    return EventSchema(schema=schema, **notes)


_NOTES = "event_type", "schema_version", "announced", "form_of", "consumers", "deprecated", "sunset"


def _current() -> dict[str, EventSchema]:
    envelope = json.loads((CURRENT / "envelope.avsc").read_text())
    names = sorted(path.name for path in CURRENT.iterdir() if path.name.endswith(".avsc"))
    payloads = [json.loads((CURRENT / name).read_text()) for name in names if name != "envelope.avsc"]
    return {schema.event_type: schema for schema in (compose(envelope, payload) for payload in payloads)}


def released(today: EventSchema, releases: Traversable = RELEASED) -> list[EventSchema]:
    """Every released version of an event type, the oldest first. Today's own is among them."""
    folder = releases / today.event_type
    if not folder.is_dir():
        return []
    versions = sorted((path.name.removesuffix(".avsc") for path in folder.iterdir()), key=version_of)
    return [
        replace(
            today,
            schema_version=version,
            schema=json.loads((folder / f"{version}.avsc").read_text()),
            read_as=None if version == today.schema_version else today,
        )
        for version in versions
    ]


def version_of(text: str) -> tuple[int, ...]:
    """The numbers of a SemVer version, which can be compared."""
    return tuple(map(int, text.split(".")))


def _by_fingerprint(types: dict[str, EventSchema]) -> dict[bytes, EventSchema]:
    versions = [schema for today in types.values() for schema in released(today) if schema.read_as]
    return {schema.fingerprint: schema for schema in (*versions, *types.values())}


def _refusal() -> EventSchema:
    content = json.loads((files("schemas") / "avro_ledger" / "command.refused.avsc").read_text())
    version, consumers = content.pop("schema_version"), content.pop("consumers")
    return EventSchema("command.refused", version, content, consumers=consumers)


_ALL = _current()

EVENTS: dict[str, EventSchema] = {name: schema for name, schema in _ALL.items() if not schema.form_of}
"""Today's schema of each event type, by its name."""

VARIANTS: dict[str, EventSchema] = {name: schema for name, schema in _ALL.items() if schema.form_of}
"""Today's schema of each other form of a type (see `schemas.dual_write`), by its name."""

BY_FINGERPRINT: dict[bytes, EventSchema] = _by_fingerprint(EVENTS)
"""Every schema that an event log may name: of each type every version."""

VARIANTS_BY_FINGERPRINT: dict[bytes, EventSchema] = _by_fingerprint(VARIANTS)
"""Every schema that another form in an event log may name."""

REFUSAL = _refusal()
"""Today's schema of a refused command, for topic `ledger.refusals`. No event: it has no place in a stream."""

REFUSAL_VERSIONS = [*(schema for schema in released(REFUSAL) if schema.read_as), REFUSAL]
"""Every version of it that the topic may hold, the oldest first."""
