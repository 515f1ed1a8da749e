"""What is settled with each provider: counts and sums per UTC day, of real money, in the currency that it named.

Unlike revenue, everything counts on the day on which the ledger recorded it, rollbacks too: that is how a provider's
own report and invoice count, and a closed day never changes. Where a bet was in another currency than the wallet's, the
amounts are those that the provider asked for, before the exchange.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ledger.core.state import DEMO, FREE
from projector.projection import Admitted, Projection, incoming
from projector.projections.origins import CORRECTIONS, NEEDS, Origins
from projector.projections.periods import day_of
from projector.projections.views import (
    EXPONENT,
    INTEGRATION,
    PROVIDER,
    REGION,
    SUMMED,
    TENANT,
    Column,
    amount,
    fenced,
    summed,
    view,
)
from projector.tables import Tables

SUMS = (
    "bets", "free_bets", "rolled_back_bets", "wins", "reversed_wins", "awards", "jackpots", "reversed_awards",
    "stake_minor", "rolled_back_stake_minor", "win_minor", "reversed_win_minor", "award_minor", "jackpot_minor",
    "reversed_award_minor", "adjustment_minor",
)  # fmt: skip
(
    BETS, FREE_BETS, ROLLED_BACK_BETS, WINS, REVERSED_WINS, AWARDS, JACKPOTS, REVERSED_AWARDS,
    STAKE, ROLLED_BACK_STAKE, WIN, REVERSED_WIN, AWARD, JACKPOT, REVERSED_AWARD, ADJUSTED,
) = range(len(SUMS))  # fmt: skip
KEY = "tenant_id, region, integration_id, currency, day, partition"

# A row per partition lets projectors work side by side.
TABLES = f"""
create table provider_days (
    tenant_id text not null,
    region text not null,
    integration_id text not null,
    currency text not null,
    day timestamptz not null,
    partition integer not null,
    provider_id text,
    exponent smallint not null,
    {", ".join(f"{name} bigint not null" for name in SUMS)},
    occurred_at timestamptz not null,
    primary key ({KEY})
) with (fillfactor = 50);
"""

VIEWS = view(
    "bi.provider_settlement",
    "What is settled with a provider: sums of real money per integration, currency and UTC day on which the ledger "
    "recorded them, rollbacks too. Add up days for an invoice; a closed day never changes.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER._replace(expression="max(provider_id)"),
        Column("currency", "Currency that the provider named, which need not be the wallet's."),
        EXPONENT._replace(expression="max(exponent)"),
        Column("day", "UTC day (date).", "(day at time zone 'UTC')::date"),
        Column("bets", "Bets that began, without free ones.", "sum(bets)"),
        Column("free_bets", "Free bets that began.", "sum(free_bets)"),
        Column("rolled_back_bets", "Rollbacks of bets, less those that were undone.", "sum(rolled_back_bets)"),
        Column("wins", "Wins above zero.", "sum(wins)"),
        Column("reversed_wins", "Wins that were taken back.", "sum(reversed_wins)"),
        Column("awards", "Promotions, tournaments, free spins, payouts and the like.", "sum(awards)"),
        Column("jackpots", "Jackpots of the provider's pool.", "sum(jackpots)"),
        Column("reversed_awards", "Awards and jackpots that were taken back.", "sum(reversed_awards)"),
        *summed("stake", "Stakes of the bets."),
        *summed("rolled_back_stake", "Stakes that went back, less those that were taken again."),
        *summed("win", "Wins."),
        *summed("reversed_win", "Wins that were taken back."),
        *amount(
            "net", "stake - rolled_back_stake - win + reversed_win: what the games took, less what they paid.",
            "sum(stake_minor - rolled_back_stake_minor - win_minor + reversed_win_minor)", "max(exponent)",
        ),
        *summed("award", "Awards, whoever pays them."),
        *summed("jackpot", "Jackpots."),
        *summed("reversed_award", "Awards and jackpots that were taken back."),
        *summed("adjustment", "Corrections that the provider asked for: in the players' favour, less at their cost."),
        SUMMED,
    ],
    f"from {fenced('provider_days')} group by tenant_id, region, integration_id, currency, provider_days.day",
)  # fmt: skip

MERGE = f"""
insert into provider_days as d
select * from {
    incoming(f'''
    tenant_id text, region text, integration_id text, currency text, day moment, partition integer,
    provider_id text, exponent smallint, {", ".join(f"{name} bigint" for name in SUMS)}, occurred_at moment
''')
}
order by {KEY}
on conflict ({KEY}) do update set
    {", ".join(f"{name} = d.{name} + excluded.{name}" for name in SUMS)},
    occurred_at = greatest(d.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants

FIRST = 8
"""The place in a row where its sums begin."""

Change = dict[int, int]
Days = dict[tuple[Any, ...], list[Any]]


def apply(events: Sequence[Admitted], tables: Tables) -> Iterator[None]:
    days: Days = {}
    corrections = []
    for event in events:
        record, payload = event.record, event.record["payload"]
        if record["integration_id"] is None or payload.get("mode") == DEMO:
            continue
        if record["event_type"] in CORRECTIONS:
            corrections.append(event)
        elif change := _change(record["event_type"], payload):
            _add(event, change, days)
    origins = Origins(tables, (record for record, _ in corrections))
    yield
    for event in corrections:
        _add(event, _taken_back(event.record, origins), days)
    tables.write(MERGE, days.values())


def _add(event: Admitted, change: Change, days: Days) -> None:
    record, partition = event
    payload, occurred_at = record["payload"], record["occurred_at"]
    named = payload.get("conversion") or payload
    key = (
        record["tenant_id"], record["region"], record["integration_id"], named["currency"], day_of(occurred_at),
        partition,
    )  # fmt: skip
    row = days.get(key)
    if row is None:
        row = days[key] = [*key, record["provider_id"], named["exponent"], *(0,) * len(SUMS), 0]
    for place, number in change.items():
        row[FIRST + place] += number
    row[-1] = max(row[-1], occurred_at)


def _change(event_type: str, payload: dict[str, Any]) -> Change | None:
    match event_type:
        case "bet.authorized":
            if payload["kind"] == FREE:
                return {FREE_BETS: 1}
            return {BETS: 1, STAKE: _asked(payload, payload["stake_minor"])}
        case "bet.settled":
            won = payload["win_minor"]
            return {WINS: 1, WIN: _asked(payload, won)} if won else None
        case "wallet.credit.award":
            number, total = (JACKPOTS, JACKPOT) if payload["kind"] == "jackpot" else (AWARDS, AWARD)
            return {number: 1, total: payload["amount_minor"]} if payload["amount_minor"] else None
        case "wallet.credit.adjustment" if payload["amount_minor"]:
            return {ADJUSTED: payload["amount_minor"]}
        case "wallet.debit.adjustment" if payload["amount_minor"]:
            return {ADJUSTED: -payload["amount_minor"]}
    return None


def _taken_back(record: dict[str, Any], origins: Origins) -> Change:
    payload = record["payload"]
    change = dict.fromkeys((ROLLED_BACK_BETS, ROLLED_BACK_STAKE, REVERSED_WINS, REVERSED_AWARDS), 0)
    change |= dict.fromkeys((REVERSED_WIN, REVERSED_AWARD), 0)
    if origins.bet(record):
        sign = 1 if record["event_type"] == "bet.rolled_back" else -1
        change[ROLLED_BACK_BETS] = sign
        # A free bet is converted too, and nobody paid it.
        change[ROLLED_BACK_STAKE] = sign * _asked(payload, payload["stake_minor"]) if payload["stake_minor"] else 0
    for _, won in origins.wins(record):
        number, total = (REVERSED_AWARDS, REVERSED_AWARD) if won.award else (REVERSED_WINS, REVERSED_WIN)
        change[number] += 1
        change[total] += won.asked_minor
    return change


def _asked(payload: dict[str, Any], own_minor: int) -> int:
    """An amount in the currency that the provider named, in minor units."""
    return int(payload["conversion"]["amount_minor"]) if payload["conversion"] else own_minor


PROVIDER_SETTLEMENT = Projection("provider_settlement", 2, TABLES, VIEWS, apply, needs=NEEDS)
