"""Revenue per UTC day by Spark: `python -m spark.revenue --topics` or `--archive FOLDER`.

The same rows as the read model bi.revenue_by_day, from nothing but the events: a stake belongs to the day of its bet, a
win or award to its own day, and what undoes one changes the day of what it undoes. Real money only, in minor units of
the wallet's currency.
"""

import json
import sys
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from runtime.settings import Settings
from spark import events
from spark.job import run

PLACE = "tenant_id", "region", "provider_id", "game_id", "currency", "day"
AMOUNTS = (
    *("stake", "free_stake", "rolled_back_stake", "win", "reversed_win", "payout"),
    *("bonus_cost", "jackpot", "adjustment"),
)
GGR = "stake - rolled_back_stake - win + reversed_win - payout"

AWARD_KIND = """
case account when 'house' then 'payout' when 'bonus_cost' then 'bonus_cost' when 'adjustment' then 'adjustment'
else 'jackpot' end
"""


def report(spark: SparkSession, *, archive: str | None, settings: Settings | None) -> DataFrame:
    """One row per tenant, region, provider, game, currency and day on which something is not zero."""
    if archive is not None:
        log = events.from_archive(spark, archive)
    else:
        assert settings, "one of both"
        log = events.from_topics(spark, settings).dropDuplicates(["hash"])
    return of_events(log)


def of_events(log: DataFrame) -> DataFrame:
    """Revenue per day, from a log as `spark.events` reads it."""
    events_ = log.where("coalesce(payload.mode, 'real') <> 'demo'").select(
        "event_type", "tenant_id", "region", "integration_id",
        f.coalesce("provider_id", f.lit("")).alias("provider_id"), "postings", "payload.*",
        f.expr("to_date(timestamp_micros(occurred_at))").alias("day"),
    ).withColumn("game_id", f.coalesce("game_id", f.lit(""))).cache()  # fmt: skip
    bets, wins = _bets(events_), _wins(events_)
    changes = [bets, wins, _rolled_back(events_, bets), _undone(events_, wins), _own(events_)]
    columns = *PLACE, "kind", "amount"
    all_ = reduce(DataFrame.unionByName, [change.select(*columns) for change in changes])
    rows = all_.groupBy(*PLACE).pivot("kind", list(AMOUNTS)).agg(f.sum("amount")).fillna(0, list(AMOUNTS))
    rows = rows.withColumn("ggr", f.expr(GGR))
    return rows.where(" or ".join(f"{name} <> 0" for name in AMOUNTS)).orderBy(*PLACE)


def _bets(log: DataFrame) -> DataFrame:
    """Where each bet counts, and its stake."""
    free = f.col("kind") == "free"
    paid = f.col("stake_cash_minor") + f.col("stake_bonus_minor")
    return _as(
        log.where("event_type = 'bet.authorized'"),
        f.when(free, "free_stake").otherwise("stake"),
        f.when(free, f.col("stake_minor")).otherwise(paid),
        "integration_id",
        "bet_id",
    )


def _wins(log: DataFrame) -> DataFrame:
    """Where each win and award counts, and how much it is."""
    keyed = log.withColumn("win_id", f.coalesce("win_id", "settlement_id"))
    settled = keyed.where("event_type = 'bet.settled'")
    awarded = keyed.where("event_type = 'wallet.credit.award'")
    key = "integration_id", "win_id"
    wins = _as(settled, f.lit("win"), f.col("win_minor"), *key)
    return wins.unionByName(_as(awarded, f.expr(AWARD_KIND), f.col("amount_minor"), *key))


def _rolled_back(log: DataFrame, bets: DataFrame) -> DataFrame:
    """Stakes that went back, or were taken again, in the day and game of their bet."""
    sign = f.when(f.col("event_type") == "bet.rolled_back", 1).otherwise(-1)
    back = log.where("event_type in ('bet.rolled_back', 'bet.reinstated')")
    back = back.select("integration_id", "bet_id", (sign * f.col("stake_minor")).alias("back"))
    there = bets.drop("kind", "amount").join(back, ["integration_id", "bet_id"])
    return there.select("*", f.lit("rolled_back_stake").alias("kind"), f.col("back").alias("amount"))


def _undone(log: DataFrame, wins: DataFrame) -> DataFrame:
    """Wins and awards that were taken back, in their own day and game."""
    named = log.where("event_type = 'bet.rolled_back'").select(
        "integration_id", f.explode("undone_wins").alias("win_id")
    )
    alone = log.where("event_type = 'wallet.debit.reversal'").select("integration_id", "win_id")
    there = wins.join(named.unionByName(alone), ["integration_id", "win_id"])
    win = f.col("kind") == "win"
    kind = f.when(win, "reversed_win").otherwise(f.col("kind"))
    return there.withColumn("amount", f.when(win, 1).otherwise(-1) * f.col("amount")).withColumn("kind", kind)


def _own(log: DataFrame) -> DataFrame:
    """What counts in the day of its own event."""
    sign = f.when(f.col("event_type") == "wallet.credit.adjustment", 1).otherwise(-1)
    adjusted = log.where("event_type in ('wallet.credit.adjustment', 'wallet.debit.adjustment')")
    adjusted = _as(adjusted, f.lit("adjustment"), sign * f.col("amount_minor"))
    cost = f.expr(
        "-aggregate(filter(postings, p -> p.account = 'bonus_cost'), 0L, (total, p) -> total + p.amount_minor)"
    )
    bonus = log.where("event_type in ('bonus.issued', 'bonus.consumed')")
    return adjusted.unionByName(_as(bonus, f.lit("bonus_cost"), cost))


def _as(rows: DataFrame, kind: Column, amount: Column, *key: str) -> DataFrame:
    return rows.withColumns({"kind": kind, "amount": amount}).select(*key, *PLACE, "kind", "amount")


def _print(spark: SparkSession, archive: str | None, settings: Settings | None) -> int:
    """JSON, a row per line, amounts in minor units."""
    for row in report(spark, archive=archive, settings=settings).toLocalIterator():
        print(json.dumps(row.asDict(), default=str))
    return 0


if __name__ == "__main__":
    sys.exit(run("revenue", "Daily revenue, by Spark.", _print))
