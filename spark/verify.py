"""The whole log verified by Spark: `python -m spark.verify --topics` or `--archive FOLDER`.

The same checks, under the same codes, as `wagerledger audit verify` makes of topics and archive: versions without a
hole, the hash chain, postings that sum to zero per currency, times that do not go back; of topics, that both faces are
alike; of an archive, that each event has its command. What it does not do is fold the events into balances.
"""

import json
import sys
import time
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as f

from runtime.settings import Settings
from schemas.topics import Topics
from spark import events
from spark.job import run

KEPT = 1000
"""Findings printed one by one; the rest is counted."""

STREAM = "tenant_id", "stream_type", "stream_id"


def check(spark: SparkSession, *, archive: str | None, settings: Settings | None) -> dict[str, Any]:
    """Check an archive's folder, or the topics of `settings`. Gives what was checked and found, as plain values."""
    started = time.monotonic()
    if archive is not None:
        log = events.from_archive(spark, archive).cache()
        commands = events.commands_of_archive(spark, archive)
        found = [*_of_log(log, prefix=""), _event_ids(log), _without_command(log, commands)]
    else:
        assert settings, "one of both"
        log = events.from_topics(spark, settings).cache()
        faces = events.from_type_topics(spark, settings)
        found = [*_of_log(_once(log), prefix="topic_"), _disordered(log), _faces(log, faces, settings)]
    findings = found[0]
    for more in found[1:]:
        findings = findings.unionByName(more)
    findings = findings.cache()
    counts = {row["code"]: row["count"] for row in findings.groupBy("code").count().collect()}
    kept = findings.orderBy("code", "stream", "version").limit(KEPT).collect()
    return {
        "ok": not counts,
        "events": log.count(),
        "streams": log.where("event_id is not null").select(*STREAM).distinct().count(),
        "counts": counts,
        "findings": [row.asDict() for row in kept],
        "elapsed_s": round(time.monotonic() - started, 3),
    }


def _finding(code: str | Column, text: Column, version: str = "stream_version") -> Column:
    stream = f.concat_ws("/", *STREAM)
    named = f.lit(code) if isinstance(code, str) else code
    parts = named.alias("code"), stream.alias("stream"), f.col(version).alias("version"), text.alias("text")
    return f.struct(*parts)


def _found(rows: DataFrame, code: str | Column, text: Column) -> DataFrame:
    return rows.select(_finding(code, text).alias("found")).select("found.*")


def _of_log(log: DataFrame, prefix: str) -> list[DataFrame]:
    """What each stream says about itself."""
    reason = f.when(f.col("schema_type").isNull(), "its schema is not known here").otherwise("it is no such record")
    unread = log.where("event_id is null").select(
        f.lit("topic_undecodable" if prefix else "body_undecodable").alias("code"),
        f.lit(None).cast("string").alias("stream"),
        f.lit(None).cast("long").alias("version"),
        f.concat_ws(" ", reason, f.lit("hash"), _hex("hash"), "partition", "offset").alias("text"),
    )
    in_order = Window.partitionBy(*STREAM).orderBy("stream_version", "hash")
    placed = log.where("event_id is not null").select(
        "*",
        f.lag("stream_version", 1, 0).over(in_order).alias("before"),
        f.coalesce(f.lag("hash").over(in_order), f.lit(bytes(32))).alias("hash_before"),
        f.lag("occurred_at", 1, 0).over(in_order).alias("time_before"),
    )
    placed = placed.withColumn("next", f.col("before") + 1)
    checks = f.array(*(f.when(f.expr(wrong), finding) for wrong, finding in _checks(prefix)), _unbalanced())
    told = placed.select(f.explode(f.filter(checks, lambda finding: finding.isNotNull())).alias("found"))
    return [unread, told.select("found.*")]


def _checks(prefix: str) -> list[tuple[str, Column]]:
    """What is wrong with an event, seen beside the one before it in its stream."""
    gone = _say("version {} to the one before {} is gone", "next", "stream_version")
    broken = _say("it carries {}, the event before hashes to {}", _hex("previous_hash"), _hex("hash_before"))
    time = _say("recorded at {} µs, after {} µs", "occurred_at", "time_before")
    type_ = _say("its bytes say {}, its schema {}", "event_type", "schema_type")
    again = _say("another event claims version {}", "stream_version")
    return [
        ("stream_version > next", _finding(f"{prefix}version_missing", gone, "next")),
        ("stream_version < next", _finding("version_repeated", again)),
        ("stream_version = next and previous_hash <> hash_before", _finding(f"{prefix}chain_broken", broken)),
        ("occurred_at < time_before", _finding("time_backwards", time)),
        ("event_type <> schema_type", _finding("column_differs", type_)),
    ]


def _unbalanced() -> Column:
    """Postings that do not sum to zero per currency."""

    def sum_of(currency: Column) -> Column:
        own = f.filter("postings", lambda posting: posting["currency"] == currency)
        return f.aggregate(own, f.lit(0).cast("long"), lambda total, posting: total + posting["amount_minor"])

    currencies = f.array_distinct(f.transform("postings", lambda posting: posting["currency"]))
    text = _say("its postings do not sum to zero: {}", f.to_json("postings"))
    return f.when(f.exists(currencies, lambda currency: sum_of(currency) != 0), _finding("postings_unbalanced", text))


def _hex(column: str) -> Column:
    return f.lower(f.hex(column))


def _event_ids(log: DataFrame) -> DataFrame:
    several = Window.partitionBy("event_id")
    twice = log.where("event_id is not null").withColumn("times", f.count("*").over(several)).where("times > 1")
    return _found(twice, "event_id_repeated", _say("event id {} is in the log more than once", "event_id"))


def _without_command(log: DataFrame, commands: DataFrame) -> DataFrame:
    scope = f.coalesce("integration_id", f.concat(f.lit("tenant:"), "tenant_id"))
    asked = log.where("event_id is not null").withColumn("scope", scope).alias("e")
    same = [f.col(f"e.{name}") == f.col(f"c.{name}") for name in ("scope", "operation", "idempotency_key")]
    within = f.col("e.stream_version").between(f.col("c.first_version"), f.col("c.last_version"))
    alone = asked.join(commands.alias("c"), [*same, within], "left_anti")
    return _found(alone, "command_missing", _say("no command with key {} names this version", "idempotency_key"))


def _once(log: DataFrame) -> DataFrame:
    """Without raw duplicates, which a reader drops."""
    return log.dropDuplicates(["hash", "schema_type"])


def _disordered(log: DataFrame) -> DataFrame:
    """Events that came to the topic after later ones of their stream, and not a second time."""
    came = Window.partitionBy(*STREAM).orderBy("offset")
    earlier = came.rowsBetween(Window.unboundedPreceding, -1)
    first = Window.partitionBy("hash").orderBy("offset")
    rows = log.where("event_id is not null").withColumn("turn", f.row_number().over(first))
    late = rows.withColumn("highest", f.max("stream_version").over(earlier)).where(
        "turn = 1 and stream_version < highest"
    )
    return _found(late, "topic_disordered", _say("version {} comes after version {}", "stream_version", "highest"))


def _faces(log: DataFrame, faces: DataFrame, settings: Settings) -> DataFrame:
    """Both faces hold the same bytes equally often."""
    prefix = Topics(settings.topic_prefix).of_type("")
    ours = log.where("event_id is not null").groupBy("event_type", "hash").agg(
        f.count("*").alias("here"), *(f.first(name).alias(name) for name in (*STREAM, "stream_version"))
    )  # fmt: skip
    theirs = faces.withColumn("event_type", f.substring("topic", len(prefix) + 1, 1000))
    theirs = theirs.groupBy("event_type", "hash").agg(f.count("*").alias("there"))
    both = ours.join(theirs, ["event_type", "hash"], "full_outer").fillna(0, ["here", "there"])
    said = _say("type {}, hash {}", "event_type", _hex("hash"))
    code = f.expr("case when here > there then 'type_topic_missing' else 'type_topic_extra' end")
    return _found(both.where("here <> there"), code, said)


def _say(text: str, *values: str | Column) -> Column:
    parts = text.split("{}")
    said: list[Column] = [f.lit(parts[0])]
    for value, part in zip(values, parts[1:], strict=True):
        said += [
            f.coalesce((f.col(value) if isinstance(value, str) else value).cast("string"), f.lit("?")),
            f.lit(part),
        ]
    return f.concat(*said)


def _print(spark: SparkSession, archive: str | None, settings: Settings | None) -> int:
    """JSON. Exit code 0: all in order; 1: findings."""
    report = check(spark, archive=archive, settings=settings)
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(run("verify", "Verify the whole log with Spark.", _print))
