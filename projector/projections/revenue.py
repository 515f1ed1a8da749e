"""Revenue per hour and day of real money: what players staked, less what they won.

Which hour and day (UTC) an amount belongs to:

- a stake (cash and bonus part; a free bet adds none) to that of its `bet.authorized`, also while the bet is open;
- a win or award to that of its `bet.settled` or `wallet.credit.award`, also where it came late or ended a bet again;
- `bet.rolled_back` takes the stake out of the day of the *bet*, and each win that it names out of that *win's* day;
- `bet.reinstated` puts the stake back into the day of the bet;
- `wallet.debit.reversal` takes a win or award out of the day of *that win or award*, also where the bet opens again;
- an adjustment, and what a bonus event costs, to that of its own event.

It is always the time at which the ledger recorded the fact (`occurred_at`), never that at which it was folded. So a
correction changes a past row, as if what it undoes had not been; and where that row is of another hour than the event,
`bi.revenue_corrections` has a line that says what was changed, in which row, by which event. A report that was sent
on a day differs from today's rows by exactly the corrections booked since.

Provider and game are those of the bet or win, also for what corrects it. Amounts are in the wallet's currency. Summed
over all time, `ggr_minor` of a tenant and currency is the balance of `house` and `fx` plus what open bets hold.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ledger.core.postings import ADJUSTMENT, BONUS_COST, HOUSE
from ledger.core.state import DEMO, FREE
from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections.origins import CORRECTIONS, NEEDS, Origins
from projector.projections.periods import hour_of
from projector.projections.views import (
    CURRENCY,
    EXPONENT,
    GAME,
    INTEGRATION,
    PLAYER,
    PROVIDER,
    REGION,
    SUMMED,
    TENANT,
    TRACE,
    Column,
    amount,
    fenced,
    summed,
    view,
)
from projector.tables import Tables

SUMS = (
    "bets", "rolled_back_bets", "stake_minor", "stake_bonus_minor", "free_stake_minor", "rolled_back_stake_minor",
    "win_minor", "reversed_win_minor", "payout_minor", "bonus_cost_minor", "jackpot_minor", "adjustment_minor",
)  # fmt: skip
KEY = "tenant_id, region, provider_id, game_id, currency, hour, partition"
GGR = "stake_minor - rolled_back_stake_minor - win_minor + reversed_win_minor - payout_minor"

# A row per partition lets projectors work side by side. '' is no provider and no game: null is in no key.
TABLES = f"""
create table revenue_hours (
    tenant_id text not null,
    region text not null,
    provider_id text not null,
    game_id text not null,
    currency text not null,
    hour timestamptz not null,
    partition integer not null,
    exponent smallint not null,
    {", ".join(f"{name} bigint not null" for name in SUMS)},
    occurred_at timestamptz not null,
    primary key ({KEY})
) with (fillfactor = 50);

create table revenue_corrections (
    event_id uuid not null,
    event_type text not null,
    item text not null,
    item_id text not null,
    tenant_id text not null,
    region text not null,
    integration_id text not null,
    provider_id text,
    game_id text,
    player_id text not null,
    currency text not null,
    exponent smallint not null,
    belongs_at timestamptz not null,
    ggr_minor bigint not null,
    bonus_cost_minor bigint not null,
    jackpot_minor bigint not null,
    adjustment_minor bigint not null,
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null,
    primary key (event_id, item, item_id)
);
{lookups.indexes("revenue_corrections", "player_id", "belongs_at")}
"""

AMOUNTS = [
    Column("bets", "Bets that began, rolled back or not, free ones included.", "sum(bets)"),
    Column("rolled_back_bets", "Those of them that were rolled back, whenever that was.", "sum(rolled_back_bets)"),
    *summed("stake", "Paid for all bets of the period, also for those rolled back or open."),
    *summed("stake_bonus", "Part of stake - rolled_back_stake that was bonus money."),
    *summed("free_stake", "What the free bets among them are worth; nobody paid it."),
    *summed("rolled_back_stake", "Part of stake that went back to the players, whenever that was."),
    *summed("win", "Wins of the period, also those that were taken back."),
    *summed("reversed_win", "Part of win that was taken back, whenever that was."),
    *summed("payout", "Awards that the house paid, less those taken back."),
    *amount(
        "ggr", "Gross gaming revenue: stake - rolled_back_stake - win + reversed_win - payout.", f"sum({GGR})",
        "max(exponent)",
    ),
    *summed("bonus_cost", "Promotions, tournaments and free spins that were paid, less those taken back."),
    *amount(
        "ngr", "Net gaming revenue: ggr - bonus_cost. Taxes, fees and jackpot contributions are not known here.",
        f"sum({GGR} - bonus_cost_minor)", "max(exponent)",
    ),
    *summed("jackpot", "Jackpots that providers' pools paid, less those taken back; not part of ggr."),
    *summed("adjustment", "Corrections in the players' favour, less those at their cost; not part of ggr."),
    SUMMED,
]  # fmt: skip
NAMED = [
    TENANT, REGION,
    PROVIDER._replace(expression="nullif(provider_id, '')"), GAME._replace(expression="nullif(game_id, '')"),
    CURRENCY, EXPONENT._replace(expression="max(exponent)"),
]  # fmt: skip
HOUR = Column("hour", "Beginning of the hour that the amounts belong to (timestamptz, UTC).")
DAY = Column("day", "UTC day that the amounts belong to (date).", "(hour at time zone 'UTC')::date")
GROUPED = f"from {fenced('revenue_hours')} group by tenant_id, region, provider_id, game_id, currency"

VIEWS = view(
    "bi.revenue_by_hour",
    "Revenue of real money per UTC hour, tenant, region, provider, game and currency, corrections included.",
    [*NAMED, HOUR, *AMOUNTS],
    f"{GROUPED}, hour",
) + view(
    "bi.revenue_by_day",
    "Revenue of real money per UTC day, tenant, region, provider, game and currency, corrections included.",
    [*NAMED, DAY, *AMOUNTS],
    f"{GROUPED}, day",
) + view(
    "bi.revenue_corrections",
    "What changed revenue of an earlier hour than its own: one row per event and stake, win or award that it undid or "
    "put back. Its amounts are in bi.revenue_by_hour and bi.revenue_by_day already.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER, GAME, PLAYER, CURRENCY, EXPONENT,
        Column("event_id", "The event that corrects."),
        Column("event_type", "bet.rolled_back, bet.reinstated or wallet.debit.reversal."),
        Column("item", "What is corrected: stake, win or award."),
        Column("item_id", "The provider's id of the bet, win or award."),
        Column("day", "UTC day that was corrected (date).", "(belongs_at at time zone 'UTC')::date"),
        Column("hour", "Hour that was corrected (timestamptz, UTC).", "date_trunc('hour', belongs_at, 'UTC')"),
        Column("belongs_at", "When the bet, win or award was recorded (timestamptz, UTC)."),
        Column("booked_day", "UTC day on which it was corrected (date).", "(occurred_at at time zone 'UTC')::date"),
        Column("booked_at", "When the correction was recorded (timestamptz, UTC).", "occurred_at"),
        Column(
            "earlier_day", "The corrected day is not the day of the correction: a report of that day has changed.",
            "(belongs_at at time zone 'UTC')::date <> (occurred_at at time zone 'UTC')::date",
        ),
        *amount("ggr", "What it changed gross gaming revenue by."),
        *amount("bonus_cost", "What it changed bonus cost by."),
        *amount("jackpot", "What it changed jackpots by."),
        *amount("adjustment", "What it changed adjustments by."),
        Column("as_of_version", "Version of the correction in the player's stream.", "stream_version"),
        Column("as_of", "The same as booked_at: the row never changes.", "occurred_at"),
        TRACE,
    ],
    f"from {fenced('revenue_corrections')}",
)  # fmt: skip

MERGE = f"""
insert into revenue_hours as r
select * from {
    incoming(f'''
    tenant_id text, region text, provider_id text, game_id text, currency text, hour moment, partition integer,
    exponent smallint, {", ".join(f"{name} bigint" for name in SUMS)}, occurred_at moment
''')
}
order by {KEY}
on conflict ({KEY}) do update set
    {", ".join(f"{name} = r.{name} + excluded.{name}" for name in SUMS)},
    occurred_at = greatest(r.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants

CORRECTED = f"""
insert into revenue_corrections
select * from {
    incoming('''
    event_id uuid, event_type text, item text, item_id text, tenant_id text, region text, integration_id text,
    provider_id text, game_id text, player_id text, currency text, exponent smallint, belongs_at moment,
    ggr_minor bigint, bonus_cost_minor bigint, jackpot_minor bigint, adjustment_minor bigint,
    stream_version bigint, occurred_at moment, trace_id text
''')
}
"""  # noqa: S608  # our own constants

(
    BETS, ROLLED_BACK_BETS, STAKE, STAKE_BONUS, FREE_STAKE, ROLLED_BACK_STAKE,
    WIN, REVERSED_WIN, PAYOUT, BONUS, JACKPOT, ADJUSTED,
) = range(len(SUMS))  # fmt: skip
FIRST = 8
"""The place in a row where its sums begin."""
PAID_FROM = {HOUSE: PAYOUT, BONUS_COST: BONUS, ADJUSTMENT: ADJUSTED}
"""The sum in which an award counts, by the account that pays it; all other accounts are jackpots."""
Change = dict[int, int]
Record = dict[str, Any]


def apply(events: Sequence[Admitted], tables: Tables) -> Iterator[None]:
    fold = Revenue()
    corrections = []
    for event in events:
        record, event_type = event.record, event.record["event_type"]
        if own := OWN.get(event_type):
            if change := own(record):
                fold.add(event, record["occurred_at"], record["payload"].get("game_id"), change)
        elif event_type in CORRECTIONS and record["payload"]["mode"] != DEMO:
            corrections.append(event)
    origins = Origins(tables, (record for record, _ in corrections))
    yield
    _correct(corrections, origins, fold)
    tables.write(MERGE, fold.hours.values())
    tables.write(CORRECTED, fold.corrections)


class Revenue:
    """The sums of revenue that a batch of events adds, by hour."""

    def __init__(self) -> None:
        self.hours: dict[tuple[Any, ...], list[Any]] = {}
        self.corrections: list[tuple[Any, ...]] = []

    def add(self, event: Admitted, at: int, game_id: str | None, change: Change) -> None:
        """Add `change` to the hour of the time `at` (microseconds since the epoch)."""
        record, partition = event
        payload = record["payload"]
        key = (
            record["tenant_id"], record["region"], record["provider_id"] or "", game_id or "", payload["currency"],
            hour_of(at), partition,
        )  # fmt: skip
        row = self.hours.get(key)
        if row is None:
            row = self.hours[key] = [*key, payload["exponent"], *(0,) * len(SUMS), 0]
        for place, number in change.items():
            row[FIRST + place] += number
        row[-1] = max(row[-1], record["occurred_at"])

    def correct(self, event: Admitted, at: int, game_id: str | None, item: str, item_id: str, change: Change) -> None:
        """Add `change` to the hour of the time `at`, and record a correction where that is another hour than the
        event's.
        """
        self.add(event, at, game_id, change)
        record = event.record
        if hour_of(at) == hour_of(record["occurred_at"]):
            return
        ggr = sum(sign * change.get(name, 0) for name, sign in GGR_SIGNS.items())
        self.corrections.append((
            record["event_id"], record["event_type"], item, item_id, record["tenant_id"], record["region"],
            record["integration_id"], record["provider_id"], game_id, record["player_id"],
            record["payload"]["currency"], record["payload"]["exponent"], at,
            ggr, change.get(BONUS, 0), change.get(JACKPOT, 0), change.get(ADJUSTED, 0),
            record["stream_version"], record["occurred_at"], record["trace_id"],
        ))  # fmt: skip


GGR_SIGNS = {STAKE: 1, ROLLED_BACK_STAKE: -1, WIN: -1, REVERSED_WIN: 1, PAYOUT: -1}


def _authorized(record: Record) -> Change | None:
    payload = record["payload"]
    if payload["mode"] == DEMO:
        return None
    if payload["kind"] == FREE:
        return {BETS: 1, FREE_STAKE: payload["stake_minor"]}
    bonus_minor = payload["stake_bonus_minor"]
    return {BETS: 1, STAKE: payload["stake_cash_minor"] + bonus_minor, STAKE_BONUS: bonus_minor}


def _settled(record: Record) -> Change | None:
    payload = record["payload"]
    return {WIN: payload["win_minor"]} if payload["win_minor"] and payload["mode"] != DEMO else None


def _awarded(record: Record) -> Change | None:
    payload = record["payload"]
    amount_minor = payload["amount_minor"]
    return {PAID_FROM.get(payload["account"], JACKPOT): amount_minor} if amount_minor else None


def _adjusted_up(record: Record) -> Change | None:
    amount_minor = record["payload"]["amount_minor"]
    return {ADJUSTED: amount_minor} if amount_minor else None


def _adjusted_down(record: Record) -> Change | None:
    amount_minor = record["payload"]["amount_minor"]
    return {ADJUSTED: -amount_minor} if amount_minor else None


def _bonus(record: Record) -> Change | None:
    cost_minor = -sum(one["amount_minor"] for one in record["postings"] if one["account"] == BONUS_COST)
    return {BONUS: cost_minor} if cost_minor else None


OWN: dict[str, Callable[[Record], Change | None]] = {
    "bet.authorized": _authorized,
    "bet.settled": _settled,
    "wallet.credit.award": _awarded,
    "wallet.credit.adjustment": _adjusted_up,
    "wallet.debit.adjustment": _adjusted_down,
    "bonus.issued": _bonus,
    "bonus.consumed": _bonus,
}
"""The changes that belong to the hour of their own event, by event type."""


def _correct(corrections: Sequence[Admitted], origins: Origins, fold: Revenue) -> None:
    """Add what belongs to the hour of an earlier bet or win."""
    for event in corrections:
        if bet := origins.bet(event.record):
            bet_id, began = bet
            fold.correct(event, began.at, began.game_id, "stake", bet_id, _stake_back(event.record))
        for win_id, won in origins.wins(event.record):
            if won.award:
                taken = {PAID_FROM.get(won.account, JACKPOT): -won.amount_minor}
                fold.correct(event, won.at, won.game_id, "award", win_id, taken)
            else:
                fold.correct(event, won.at, won.game_id, "win", win_id, {REVERSED_WIN: won.amount_minor})


def _stake_back(record: Record) -> Change:
    """The change by a rollback of a bet, or by what undoes it."""
    sign = 1 if record["event_type"] == "bet.rolled_back" else -1
    bonus_minor = sum(one["amount_minor"] for one in record["postings"] if one["account"] == "bonus")
    back_minor = sign * record["payload"]["stake_minor"]
    return {ROLLED_BACK_BETS: sign, ROLLED_BACK_STAKE: back_minor, STAKE_BONUS: -bonus_minor}


REVENUE = Projection("revenue", 3, TABLES, VIEWS, apply, needs=NEEDS)
