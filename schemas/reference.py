"""The pages of docs/events, made from the schemas: an index and a page for each type. `python -m schemas.reference
docs/events` writes them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.events import EVENTS, REFUSAL, EventSchema, released
from schemas.examples import example, readable
from schemas.releases import TYPES
from schemas.topics import Topics

HEAD = """# Events

Every event is published twice in one Kafka transaction, with the same bytes: in `ledger.events`, which holds all types
in stream order (schema subject: the record's name), and in the topic that is named like its type (subject:
`<topic>-value`). A configured prefix comes before every topic's name. The value is Confluent's wire format: a zero
byte, the schema id in four bytes, the Avro record. The key is `tenant_id/player_id`; where no player is known, the
stream's id.

- **Order** exists within a stream (tenant_id, stream_type, stream_id): `stream_version` counts 1, 2, 3, ... without a
  hole. Read `ledger.events` where order matters; across topics Kafka has none.
- **Duplicates**: the goal is none. A reader drops what it knows: by `stream_version` in `ledger.events`, by `event_id`
  elsewhere.
- **Chain**: the SHA-256 of an event's Avro bytes (without the five bytes before them) stands in the next event of its
  stream as `previous_hash`. Anyone who reads `ledger.events` can verify it.
- **Money** is in minor units: an amount is `..._minor` / 10^`exponent`. Postings sum to zero per currency in every
  event.
- **Time**: `occurred_at` is when the ledger recorded the fact, UTC; `provider_occurred_at` is the provider's own clock
  (of the years 2000 to 2199: a time that not every reader could show is left out). A reader takes any number of
  microseconds all the same, as those on these pages do: one record must not keep it from all that follow.
  Days and months are yours to cut; the views in `bi` cut them in UTC.
- **Kafka headers**: CloudEvents in binary mode (`ce_id`, `ce_type`, `ce_source`, `ce_time`, `ce_specversion`,
  `content-type`), `X-Trace-Id`, and `traceparent` where the callback had one. A type topic that is going says so in
  `Deprecation` and `Sunset`.
- **Compatibility** of every subject is FULL_TRANSITIVE: fields are only added, at the end, with defaults. A reader of
  any version reads records of any version. `schema_version` in a record stays what its writer wrote.
- **Demo** play has `mode` demo and moves no money. It never counts as revenue or as an active player.
- **Announced** types have a topic, a schema and an example, and nothing writes them yet: their rules come later.
  Readers can be built now.
- **Other forms** (`... .v2`) are the same facts in another shape, under the same `event_id`, in their own topic only,
  and only while the operator's setting names them. [How one replaces another](../how-to/change-an-event.md).

The same for machines: [asyncapi.yaml](asyncapi.yaml) (AsyncAPI 3.0) and
[the released schemas](../../schemas/released). The examples of all pages are one story of one player, whose ids fit
together. Topics, partitions and retention: [topics](../reference/topics.md).

Refusals have a topic of their own, `ledger.refusals`, under [`command.refused`](command.refused.md).

Made from `schemas/avro/` by `python -m schemas.reference docs/events`; `wagerledger schemas show TYPE` prints a whole
schema.
"""

READER = """\
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro.read import LOGICAL_READERS

# Times in microseconds since the epoch, as they are: a datetime ends with the year 9999, and so would this loop.
LOGICAL_READERS["long-timestamp-micros"] = lambda time_us, *_: time_us
read = AvroDeserializer(SchemaRegistryClient({{"url": "http://127.0.0.1:8081", "timeout": 10}}))
start = {{"group.id": "bi", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}}
consumer = Consumer({{"bootstrap.servers": "127.0.0.1:9092", **start}})
consumer.subscribe(["{topic}"])
while (message := consumer.poll(10.0)) is not None:
    event = read(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
    print({shown})
"""
_SHOWN = (
    'event["event_id"], event["occurred_at"], event["payload"]',
    'event["refused_at"], event["code"], event["kind"]',
)


def pages() -> dict[str, str]:
    """Every page of docs/events as text, by the name of its file."""
    return {"README.md": index()} | {f"{name}.md": page(schema) for name, schema in TYPES.items()}


def topic_of(schema: EventSchema) -> str:
    """The name, without prefix, of the topic that holds an event type alone."""
    return Topics().refusals if schema is REFUSAL else schema.event_type


def index() -> str:
    """The index page of docs/events: what holds for all types, the list of them, and the envelope."""
    lines = [HEAD, "## Types", "", "| type | version | what happened | status |", "|---|---|---|---|"]
    for name, schema in TYPES.items():
        lines.append(
            f"| [`{name}`]({name}.md) | {schema.schema_version} | {schema.schema['doc']} | {_status(schema)} |"
        )
    fields = [field for field in next(iter(EVENTS.values())).schema["fields"] if field["name"] != "payload"]
    return "\n".join([*lines, "", "## The envelope", "", *_table(fields), ""])


def page(schema: EventSchema) -> str:
    """The page of docs/events about one event type."""
    name = schema.event_type
    shown = json.dumps(readable(schema, example(name)), indent=2, ensure_ascii=False)
    lines = [f"# `{name}`", "", schema.schema["doc"], "", *_facts(schema), "", *_fields(schema), "", "## Example", ""]
    lines += ["Times are shown in ISO 8601 and hashes in hex; on the wire they are numbers and bytes.", ""]
    lines += ["```json", shown, "```", "", "## Read it with a client of your own", ""]
    lines += ["`pip install confluent-kafka[avro,schemaregistry]`, the addresses of your broker and registry, and:", ""]
    lines += ["```python", READER.format(topic=topic_of(schema), shown=_SHOWN[schema is REFUSAL]) + "```", ""]
    return "\n".join(lines)


def _facts(schema: EventSchema) -> Iterator[str]:
    name, topic = schema.event_type, topic_of(schema)
    alone = schema.form_of or schema is REFUSAL
    ledger_events = "" if alone else " and, in stream order with all other types, `ledger.events`"
    subjects = f"`{topic}-value`" + ("" if alone else f" and `{schema.record_name}` (in `ledger.events`)")
    versions = ", ".join(
        f"[{one.schema_version}](../../schemas/released/{name}/{one.schema_version}.avsc)" for one in released(schema)
    )
    yield "| | |"
    yield "|---|---|"
    yield f"| status | {_status(schema)} |"
    yield f"| topic | `{topic}`{ledger_events} |"
    yield "| key | `tenant_id/player_id`; where no player is known, the stream's id |"
    yield f"| record | `{schema.record_name}`, version {schema.schema_version} |"
    yield f"| subjects | {subjects} |"
    yield f"| released | {versions}; compatibility FULL_TRANSITIVE |"
    yield "| headers | CloudEvents, `X-Trace-Id`, `traceparent`: see [all events](README.md) |"
    yield f"| read by | {schema.consumers} |"


def _status(schema: EventSchema) -> str:
    if schema is REFUSAL:
        return "written; no event: it has no place in a stream"
    if schema.announced:
        return "announced: nothing writes it yet"
    if schema.form_of:
        return (
            f"other form of [`{schema.form_of}`]({schema.form_of}.md), written while `WAGERLEDGER_DUAL_WRITE` names it"
        )
    if schema.deprecated:
        return f"deprecated since {schema.deprecated}, " + (
            f"ends on {schema.sunset}" if schema.sunset else "end not set"
        )
    return "written"


def _fields(schema: EventSchema) -> list[str]:
    payloads = [field["type"]["fields"] for field in schema.schema["fields"] if field["name"] == "payload"]
    if not payloads:
        return ["## Fields", "", *_table(schema.schema["fields"])]
    around = "Around it comes [the envelope](README.md#the-envelope) of every event."
    return ["## Payload", "", *_table(payloads[0]), "", around]


def _table(fields: Any) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for field in fields:
        yield f"| `{field['name']}` | {_type(field['type'])} | {field.get('doc', '')} |"
        for inner in _inner(field["type"]):
            yield f"| in `{field['name']}`: `{inner['name']}` | {_type(inner['type'])} | {inner.get('doc', '')} |"


def _inner(avro: Any) -> list[dict[str, Any]]:
    """The fields of the record in a field, if it holds one."""
    if isinstance(avro, list):
        return next((found for part in avro if (found := _inner(part))), [])
    if isinstance(avro, dict):
        fields: list[dict[str, Any]] = _inner(avro["items"]) if avro["type"] == "array" else avro.get("fields", [])
        return fields
    return []


def _type(avro: Any) -> str:
    if isinstance(avro, list):
        return " or ".join(_type(part) for part in avro if part != "null") + ", or null"
    if isinstance(avro, dict):
        if avro["type"] == "array":
            return f"array of {_type(avro['items'])}"
        if avro["type"] == "record":
            return str(avro["name"])
        if avro["type"] == "fixed":
            return f"{avro['size']} bytes"
        return str(avro.get("logicalType", avro["type"]))
    return "32 bytes" if avro == "Sha256" else str(avro)


def write(folder: Path) -> None:
    """Write every page of docs/events into `folder`, and remove those of types that are gone."""
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
