"""The Avro schema of a refused command, for topic `ledger.refusals`. No event: it has no place in a stream."""

import json
from importlib.resources import files

from schemas.events import EventSchema, released


def _load() -> EventSchema:
    content = json.loads((files("schemas") / "avro_ledger" / "command.refused.avsc").read_text())
    version, consumers = content.pop("schema_version"), content.pop("consumers")
    return EventSchema("command.refused", version, content, consumers=consumers)


REFUSAL = _load()
"""Today's schema of a refused command."""

VERSIONS = [*(schema for schema in released(REFUSAL) if schema.read_as), REFUSAL]
"""Every version of the schema that topics may hold, the oldest first."""
