"""The events' page of the reference, made from the schemas. `python -m schemas.reference` prints it."""

from collections.abc import Iterator
from typing import Any

from schemas.events import EVENTS

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
- **Kafka headers**: CloudEvents in binary mode (`ce_id`, `ce_type`, `ce_source`, `ce_time`, `ce_specversion`,
  `content-type`), `X-Trace-Id`, and `traceparent` where the callback had one.
- **Compatibility** of every subject is FULL_TRANSITIVE: fields are only added, with defaults.

Made from `schemas/avro/` by `python -m schemas.reference`; `wagerledger schemas show TYPE` prints a whole schema.
"""


def reference_page() -> str:
    """docs/reference/events.md."""
    lines = [HEAD]
    some = next(iter(EVENTS.values())).schema
    lines += ["## The envelope", "", *_table(field for field in some["fields"] if field["name"] != "payload"), ""]
    for schema in EVENTS.values():
        payload = next(field["type"] for field in schema.schema["fields"] if field["name"] == "payload")
        lines += [f"## `{schema.event_type}` {schema.schema_version}", "", schema.schema["doc"], ""]
        lines += [f"Record `{schema.record_name}`. Its payload:", "", *_table(payload["fields"]), ""]
    return "\n".join(lines)


def _table(fields: Any) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for field in fields:
        yield f"| `{field['name']}` | {_type(field['type'])} | {field.get('doc', '')} |"


def _type(avro: Any) -> str:
    if isinstance(avro, list):
        return " or ".join(_type(part) for part in avro if part != "null") + ", or null"
    if isinstance(avro, dict):
        if avro["type"] == "array":
            return f"array of {_type(avro['items'])}"
        if avro["type"] == "record":
            inner = ", ".join(f"`{field['name']}` {_type(field['type'])}" for field in avro["fields"])
            return f"({inner})"
        if avro["type"] == "fixed":
            return f"{avro['size']} bytes"
        return str(avro.get("logicalType", avro["type"]))
    return "32 bytes" if avro == "Sha256" else str(avro)


if __name__ == "__main__":
    print(reference_page(), end="")
