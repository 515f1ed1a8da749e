"""The Avro schemas of the events, and their codec.

Each file `avro/<event type>.avsc` is a payload; `avro/envelope.avsc` is what surrounds it. Together they make the
record schema that is registered.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.read import SchemaResolutionError
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.encoder import encoder

Schema = dict[str, Any]


@dataclass(frozen=True)
class EventSchema:
    """One version of one event type."""

    event_type: str
    schema_version: str
    schema: Schema
    """As it is registered: with docs, defaults and logical types."""

    @cached_property
    def record_name(self) -> str:
        """Full Avro name; the subject in `ledger.events` (record name strategy)."""
        return f"{self.schema['namespace']}.{self.schema['name']}"

    @cached_property
    def fingerprint(self) -> bytes:
        """CRC-64-AVRO of the parsing canonical form (Avro specification, schema fingerprints): 8 bytes, little-endian
        as fastavro prints it.
        """
        return bytes.fromhex(fingerprint(to_parsing_canonical_form(self.schema), "CRC-64-AVRO"))

    @cached_property
    def text(self) -> str:
        """The schema as the registry gets it."""
        return json.dumps(self.schema, separators=(",", ":"))

    @cached_property
    def _codec_schema(self) -> Any:
        # Logical types do not change the bytes; without them times stay the integers that they are, and both ways are
        # faster.
        return parse_schema(_without_logical_types(deepcopy(self.schema)))

    @cached_property
    def _encode(self) -> Callable[[dict[str, Any]], bytes]:
        return encoder(_without_logical_types(self.schema))

    def encode(self, record: dict[str, Any]) -> bytes:
        """The Avro bytes of an envelope. Times are integers, microseconds since the epoch."""
        return self._encode(record)

    def decode(self, body: bytes, writer: "EventSchema | None" = None) -> dict[str, Any]:
        """The envelope in `body`, written with `writer` (where that is another version of this schema) and read as this
        one.

        Raises ValueError when the bytes are not exactly one record.
        """
        source = BytesIO(body)
        try:
            record = schemaless_reader(source, (writer or self)._codec_schema, self._codec_schema if writer else None)  # noqa: SLF001, its own class
        except (EOFError, IndexError, UnicodeDecodeError, OverflowError, MemoryError, SchemaResolutionError) as error:
            raise ValueError(f"not a {self.event_type} {self.schema_version} record: {error}") from error
        if source.tell() != len(body):
            raise ValueError(
                f"{len(body) - source.tell()} bytes follow the {self.event_type} {self.schema_version} record"
            )
        assert isinstance(record, dict)
        return record


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        return {name: _without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    return schema


def _load() -> dict[str, EventSchema]:
    folder = files("schemas") / "avro"
    envelope = json.loads((folder / "envelope.avsc").read_text())
    schemas = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if not path.name.endswith(".avsc") or path.name == "envelope.avsc":
            continue
        payload = json.loads(path.read_text())
        event_type, version = payload.pop("event_type"), payload.pop("schema_version")
        schemas[event_type] = EventSchema(event_type, version, _compose(envelope, payload))
    return schemas


def _compose(envelope: Schema, payload: Schema) -> Schema:
    schema = deepcopy(envelope)
    schema["name"] = payload["name"].removesuffix("Payload")
    schema["doc"] = payload["doc"]
    for field in schema["fields"]:
        if field["type"] == "Payload":
            field["type"] = payload
    return schema


EVENTS: dict[str, EventSchema] = _load()
"""The current schema of each event type."""

BY_FINGERPRINT: dict[bytes, EventSchema] = {schema.fingerprint: schema for schema in EVENTS.values()}
"""Every schema that an event log may name."""
