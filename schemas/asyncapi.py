"""The AsyncAPI 3.0 document of the topics, made from the schemas.

`python -m schemas.asyncapi > docs/events/asyncapi.yaml` writes it.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.events import EVENTS, EventSchema
from schemas.examples import example, readable
from schemas.reference import topic_of
from schemas.releases import TYPES
from schemas.topics import KEPT_FOREVER, Topics

VERSION = "1.0.0"
"""Version of the contract as a whole: the minor grows with a field or a type, the major would with a broken promise."""

AVRO = "application/vnd.apache.avro+json;version=1.9.0"
BINDING = "0.5.0"

_DESCRIPTION = (
    "Every event of the ledger, published once, in two topics: ledger.events has all types in the order of their "
    "streams, and each type has a topic of its own. Names of topics carry the operator's prefix, if there is one. "
    "Read with isolation.level=read_committed. All subjects are FULL_TRANSITIVE. "
    "The pages beside this file tell the same in words, with an example and a reader for each type."
)

_HEADERS = {
    "ce_id": "The event_id.",
    "ce_type": "The event_type.",
    "ce_source": "/wagerledger/ and the tenant.",
    "ce_time": "occurred_at, RFC 3339.",
    "ce_specversion": "1.0",
    "content-type": "application/avro",
    "X-Trace-Id": "Trace of the callback that caused the event.",
    "traceparent": "W3C trace context of the callback, where it had one.",
    "Deprecation": "RFC 9745: in a type topic that is going, since when.",
    "Sunset": "RFC 8594: in a type topic that is going, from when on nothing more comes.",
}
_OPTIONAL = {"traceparent", "Deprecation", "Sunset"}


def document() -> dict[str, Any]:
    """The whole AsyncAPI document, as plain values."""
    channels = {Topics().events: _channel(Topics().events, "Every event of every type, in stream order.", EVENTS)}
    channels |= {
        topic_of(schema): _channel(topic_of(schema), schema.schema["doc"], [name]) for name, schema in TYPES.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Wagerledger events",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/avro",
        "servers": {"kafka": _server()},
        "channels": channels,
        "operations": {f"publish.{name}": _operation(name, channel) for name, channel in channels.items()},
        "components": {
            "messages": {name: _message(schema) for name, schema in TYPES.items()},
            "messageTraits": {"event": _trait()},
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{brokers}",
        "protocol": "kafka",
        "description": "The operator's brokers and schema registry.",
        "variables": {"brokers": {"default": "127.0.0.1:9092"}},
        "bindings": {
            "kafka": {
                "schemaRegistryUrl": "http://127.0.0.1:8081",
                "schemaRegistryVendor": "confluent",
                "bindingVersion": BINDING,
            }
        },
    }


def _channel(topic: str, doc: str, types: Iterable[str]) -> dict[str, Any]:
    kept = {"cleanup.policy": [KEPT_FOREVER["cleanup.policy"]], "retention.ms": -1, "retention.bytes": -1}
    return {
        "address": topic,
        "description": doc,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in types},
        "bindings": {"kafka": {"topic": topic, "topicConfiguration": kept, "bindingVersion": BINDING}},
    }


def _operation(name: str, channel: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel["description"],
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in channel["messages"]],
    }


def _message(schema: EventSchema) -> dict[str, Any]:
    name = schema.event_type
    notes = {
        "x-schema-version": schema.schema_version,
        "x-compatibility": "FULL_TRANSITIVE",
        "x-announced": schema.announced,
        "x-form-of": schema.form_of,
        "x-deprecated": schema.deprecated,
        "x-sunset": schema.sunset,
    }
    return {
        "name": name,
        "title": schema.schema["name"],
        "summary": schema.schema["doc"],
        "description": f"Read by: {schema.consumers}",
        "contentType": "application/avro",
        "tags": [{"name": name.partition(".")[0]}],
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "payload": {"schemaFormat": AVRO, "schema": schema.schema},
        "examples": [{"name": name, "payload": readable(schema, example(name))}],
    } | {key: value for key, value in notes.items() if value}


def _trait() -> dict[str, Any]:
    return {
        "headers": {
            "type": "object",
            "required": [name for name in _HEADERS if name not in _OPTIONAL],
            "properties": {name: {"type": "string", "description": text} for name, text in _HEADERS.items()},
        },
        "correlationId": {"description": "The trace.", "location": "$message.header#/X-Trace-Id"},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": "tenant_id/player_id; where no player is known, the stream's id.",
                },
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "bindingVersion": BINDING,
            }
        },
    }


def text() -> str:
    """The AsyncAPI document in YAML. Needs PyYAML, which the environment for development has."""
    import yaml

    plain = json.loads(json.dumps(document()))  # nothing shared, so nothing is written as an alias
    head = "# Made from schemas/avro/ by `python -m schemas.asyncapi`.\n"
    return head + str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))


if __name__ == "__main__":
    sys.stdout.write(text())
