"""The log as a data frame: from the topics or from an archive, one row per event, decoded by Spark itself."""

import json
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.avro.functions import from_avro

from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT, EventSchema
from schemas.registry import WireIds, connect
from schemas.topics import Topics

LONG = {"type": "long", "default": 0}
TEXT = {"type": ["null", "string"], "default": None}
FLAG = {"type": "boolean", "default": False}

# One shape for the payloads of all types: what a type does not have, or has had no reason for, is at its default.
PAYLOAD: dict[str, Mapping[str, Any]] = {
    "currency": TEXT, "mode": TEXT, "kind": TEXT, "bet_id": TEXT, "round_id": TEXT, "game_id": TEXT, "win_id": TEXT,
    "settlement_id": TEXT, "account": TEXT, "stake_minor": LONG, "stake_cash_minor": LONG, "stake_bonus_minor": LONG,
    "win_minor": LONG, "win_reversed_minor": LONG, "amount_minor": LONG, "was_open": FLAG, "reopens_bet": FLAG,
    "undone_wins": {"type": {"type": "array", "items": "string"}, "default": []},
}  # fmt: skip
# In a rollback it is the wins; a reinstatement calls the one rollback so that it undoes.
UNDONE_WINS = "undoes"
ENVELOPE = (
    *("event_type", "event_id", "tenant_id", "region", "player_id", "stream_type", "stream_id", "stream_version"),
    *("previous_hash", "occurred_at", "postings", "provider_id", "integration_id", "operation", "idempotency_key"),
)

Schemas = Mapping[bytes, EventSchema]
"""By what a row names its schema with: a fingerprint, or the registry's id."""


def from_archive(spark: SparkSession, folder: str) -> DataFrame:
    """The events of an archive's segments."""
    entries = spark.read.format("avro").load(f"{folder}/segment-*.avro")
    events = entries.where("kind = 'event'").select(
        f.col("fingerprint").alias("schema"), "body", f.lit(None).cast("int").alias("partition"),
        f.lit(None).cast("long").alias("offset"),
    )  # fmt: skip
    return decoded(events, BY_FINGERPRINT)


def commands_of_archive(spark: SparkSession, folder: str) -> DataFrame:
    """The accepted commands of an archive that made events."""
    entries = spark.read.format("avro").load(f"{folder}/segment-*.avro")
    fields = "scope string, operation string, idempotency_key string, first_version long, last_version long"
    told = f.from_json(f.col("body").cast("string"), fields)
    return entries.where("kind = 'command'").select(told.alias("c")).select("c.*").where("first_version is not null")


def from_topics(spark: SparkSession, settings: Settings) -> DataFrame:
    """The events of the events topic as far as they are committed."""
    topic = Topics(settings.topic_prefix).events
    return decoded(_records(spark, settings, [topic]), _by_wire_id(settings))


def from_type_topics(spark: SparkSession, settings: Settings) -> DataFrame:
    """The events in the topics of single types: their hashes and topics."""
    topics = [Topics(settings.topic_prefix).of_type(schema.event_type) for schema in BY_FINGERPRINT.values()]
    records = _records(spark, settings, sorted(set(topics)))
    return records.select("topic", _hash().alias("hash"), "partition", "offset")


def _records(spark: SparkSession, settings: Settings, topics: list[str]) -> DataFrame:
    """The values without the five bytes of the wire format, whose schema id is a column."""
    source = (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka_bootstrap_servers)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("endingOffsets", "latest")
        .option("kafka.isolation.level", "read_committed")
        .load()
    )
    return source.select(
        "topic", "partition", "offset", f.expr("substring(value, 1, 5)").alias("schema"),
        f.expr("substring(value, 6)").alias("body"),
    )  # fmt: skip


def _by_wire_id(settings: Settings) -> Schemas:
    with connect(settings.schema_registry_url.get_secret_value()) as client:
        ids = WireIds(client, Topics(settings.topic_prefix))
        return {ids.of(fingerprint).events: schema for fingerprint, schema in BY_FINGERPRINT.items()}


def decoded(records: DataFrame, schemas: Schemas) -> DataFrame:
    """Columns of the envelope, `payload`, `hash`, `schema_type` (the type whose schema wrote the body; null: unknown).

    A body that is no record of its schema leaves the envelope null.
    """
    types = _case({key: f.lit(schema.event_type) for key, schema in schemas.items()})
    event = _case({key: _record(schema) for key, schema in schemas.items()})
    rows = records.select("partition", "offset", _hash().alias("hash"), types.alias("schema_type"), event.alias("e"))
    return rows.select("partition", "offset", "hash", "schema_type", "e.*")


def _hash() -> Column:
    return f.unhex(f.sha2("body", 256))


def _case(branches: Mapping[bytes, Column]) -> Column:
    """The branch that a row's schema names."""
    first, *others = branches.items()
    start = f.when(f.col("schema") == f.lit(first[0]), first[1])
    return reduce(lambda case, branch: case.when(f.col("schema") == f.lit(branch[0]), branch[1]), others, start)


def _record(schema: EventSchema) -> Column:
    """The body, read as one shape for all types: Avro resolves what its schema has against what we want."""
    wanted = json.dumps(_wanted(schema.schema))
    return from_avro(f.col("body"), schema.text, {"avroSchema": wanted, "mode": "PERMISSIVE"})


def _wanted(written: Mapping[str, Any]) -> dict[str, Any]:
    """The reader's schema: named as the writer's, so that they resolve, with the fields of our shape alone."""
    fields = {field["name"]: field for field in written["fields"]}
    payload = fields["payload"]["type"]
    shape = {
        "type": "record", "namespace": payload.get("namespace", written["namespace"]), "name": payload["name"],
        "fields": [{"name": name, **how} for name, how in PAYLOAD.items()],
    }  # fmt: skip
    if any(field["name"] == UNDONE_WINS and field["type"] != "string" for field in payload["fields"]):
        next(field for field in shape["fields"] if field["name"] == "undone_wins")["aliases"] = [UNDONE_WINS]
    kept = [_plain(fields[name]) for name in ENVELOPE]
    return {
        "type": "record", "namespace": written["namespace"], "name": written["name"],
        "fields": [*kept, {"name": "payload", "type": shape}],
    }  # fmt: skip


def _plain(field: Mapping[str, Any]) -> dict[str, Any]:
    """Without docs, which may differ between versions; and times as the integers that they are."""
    text = json.dumps({name: value for name, value in field.items() if name != "doc"})
    plain: dict[str, Any] = json.loads(text)
    if plain["name"] == "occurred_at":
        plain["type"] = "long"
    return plain
