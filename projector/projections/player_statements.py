"""Player statements: one row per event that moved a wallet, with the balances before and after. Kept for 14 months.

Kept are the month of the newest event and the 14 before it (UTC), so the events' own time is the clock and a rebuild
gives the same rows. The table has a partition for each of those months; the first event of a month empties the
partition of the one that falls out.

With the current balances these rows show what every wallet, or one player's, held at any moment: `bi.balances_at`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections.periods import month_of
from projector.projections.views import (
    AS_OF,
    AS_OF_VERSION,
    CURRENCY,
    EXPONENT,
    GAME,
    PLAYER,
    REGION,
    TENANT,
    Column,
    amount,
    fenced,
    view,
)
from projector.tables import Tables

MONTHS = 15
"""How many months are kept: the newest one and the 14 before it."""
ACCOUNTS = "cash", "bonus", "held", "receivable"

PARTITIONS = "\n".join(
    f"create table player_statements_{slot} partition of player_statements for values in ({slot});"
    for slot in range(MONTHS)
)

TABLES = f"""
create table player_statements (
    tenant_id text not null,
    region text not null,
    player_id text not null,
    currency text not null,
    exponent smallint not null,
    event_id uuid not null,
    event_type text not null,
    kind text,
    integration_id text,
    provider_id text,
    game_id text,
    round_id text,
    bet_id text,
    reference text,
    {", ".join(f"{name}_change_minor bigint not null" for name in ACCOUNTS)},
    {", ".join(f"{name}_minor bigint not null" for name in ACCOUNTS)}, -- after the event
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null,
    slot smallint not null -- the month modulo {MONTHS}
) partition by list (slot);
{PARTITIONS}
create unique index player_statements_of_player on player_statements (
    tenant_id collate "C", region collate "C", player_id collate "C", currency, occurred_at, stream_version, slot
) where player_id is not null; -- the key, and what finds a player
{lookups.indexes("player_statements", "occurred_at")}

create table statement_months (
    month integer primary key, -- 12 * year + month - 1
    slot smallint not null unique
);
"""

OPENING = "cash_minor + bonus_minor - cash_change_minor - bonus_change_minor"
BEFORE = ",\n    ".join(f"case when s.found then s.{name}_minor - s.{name}_change_minor else b.{name}_minor end"
    for name in ACCOUNTS)  # fmt: skip

BALANCES_AT = """
create or replace function bi.balances_at({arguments}) returns table (
    tenant_id text, region text, player_id text, currency text, exponent smallint,
    cash_minor bigint, bonus_minor bigint, held_minor bigint, receivable_minor bigint
) stable language plpgsql as $$
#variable_conflict use_column
begin return query
select b.tenant_id, b.region, b.player_id, b.currency, b.exponent,
    {before}
from {balances} b
left join (
    select distinct on (tenant_id, player_id, currency) true as found, * from {statements}
    where as_of > $1 order by tenant_id, player_id, currency, as_of, as_of_version
) s using (tenant_id, player_id, currency)
where b.opened_at <= $1 and $1 >= (select max(month) - interval '14 months' from bi.statement_months);
end $$;
comment on function bi.balances_at({types}) is
    'What {whose} held at a moment, in minor units: bi.balances, less all that moved since. No rows '
    'for a moment before the months that bi.player_statements keeps.';
"""
# Of the statements only what came later is read, or only the player's.
OF_ALL = BALANCES_AT.format(
    arguments="moment timestamptz", types="timestamptz", before=BEFORE, whose="each wallet that was open",
    balances="bi.balances", statements="bi.player_statements_between($1 + interval '1 microsecond', 'infinity')",
)  # fmt: skip
OF_ONE = BALANCES_AT.format(
    arguments="moment timestamptz, of_player text", types="timestamptz, text", before=BEFORE,
    whose="each wallet of the player that was open", balances="bi.balances_of_player($2)",
    statements="bi.player_statements_of_player($2)",
)  # fmt: skip

VIEWS = view(
    "bi.player_statements",
    "One row per event that moved a wallet, with its balances before and after: this month and the 14 before it.",
    [
        TENANT, REGION, PLAYER, CURRENCY, EXPONENT,
        Column("event_id", "The event."),
        Column("event_type", "What happened, such as bet.authorized."),
        Column("kind", "Kind of the bet, win or award."),
        Column("integration_id", "Integration that asked; null for the operator's own commands."),
        Column("provider_id", "Game provider that asked; null for the operator's own commands."),
        GAME,
        Column("round_id", "The provider's id of the round; null where there is none."),
        Column("bet_id", "The provider's id of the bet; null where it is about none."),
        Column("reference", "Id of the win or award, or the reference of a payment or correction."),
        *amount("opening", "Cash and bonus money before.", f"({OPENING})"),
        *amount("cash_change", "What it changed cash by."),
        *amount("bonus_change", "What it changed bonus money by."),
        *amount("held_change", "What it changed the stakes of open bets by."),
        *amount("receivable_change", "What it changed the player's debt by."),
        *amount("closing", "Cash and bonus money after: the running balance.", "(cash_minor + bonus_minor)"),
        *amount("cash", "Cash after."),
        *amount("bonus", "Bonus money after."),
        *amount("held", "Stakes of open bets after."),
        *amount("receivable", "What the player owed after; never positive."),
        AS_OF_VERSION._replace(meaning="Version of the event in the player's stream: the order of a statement."),
        AS_OF._replace(meaning="When the ledger recorded the event (timestamptz, UTC)."),
        Column("trace_id", "Trace of the callback that caused it."),
    ],
    f"from {fenced('player_statements')}",
) + view(
    "bi.statement_months",
    "The months that bi.player_statements has rows of.",
    [
        Column(
            "month", "When the month begins (timestamptz, UTC).",
            "make_timestamptz(month / 12, month % 12 + 1, 1, 0, 0, 0, 'UTC')",
        )
    ],
    "from statement_months",
) + OF_ALL + OF_ONE  # fmt: skip

# The balances have the whole batch already: what a wallet held after an event is that, less what came later.
INSERT = f"""
insert into player_statements
select e.tenant_id, e.region, e.player_id, e.currency, b.exponent, e.event_id, e.event_type, e.kind, e.integration_id,
    e.provider_id, e.game_id, e.round_id, e.bet_id, e.reference,
    {", ".join(f"e.{name}" for name in ACCOUNTS)},
    {", ".join(f"b.{name}_minor - e.later_{name}" for name in ACCOUNTS)},
    e.stream_version, e.occurred_at, e.trace_id, e.month %% {MONTHS}
from {
    incoming(f'''
    tenant_id text, region text, player_id text, currency text, event_id uuid, event_type text, kind text,
    integration_id text, provider_id text, game_id text, round_id text, bet_id text, reference text,
    {", ".join(f"{name} bigint" for name in ACCOUNTS)}, {", ".join(f"later_{name} bigint" for name in ACCOUNTS)},
    stream_version bigint, occurred_at moment, trace_id text, month integer
''')
} join balances b on b.tenant_id = e.tenant_id and b.player_id = e.player_id and b.currency = e.currency
"""  # noqa: S608  # our own constants

# A key share lock keeps the month from falling out before we have written.
KNOWN = f"""
select m.month from {incoming("month integer")} join statement_months m using (month) for key share of m
"""  # noqa: S608  # our own constants
ALL = "select month from statement_months"
FALLEN_OUT = "delete from statement_months where month = any(%s)"
BEGUN = "insert into statement_months select month, month %% %s from unnest(%s::integer[]) as e (month)"

Row = tuple[Any, ...]
Wallet = tuple[str, str, str]
Change = tuple[int, int, int, int]
"""What an event moves in `cash`, `bonus`, `held` and `receivable`, in minor units."""
NOTHING = 0, 0, 0, 0


def apply(events: Sequence[Admitted], tables: Tables) -> Iterator[None]:
    rows: list[Row] = []
    later: dict[Wallet, Change] = {}
    for record, _ in reversed(events):
        if (change := _change(record["postings"])) != NOTHING:
            wallet = record["tenant_id"], record["player_id"], record["payload"]["currency"]
            after = later.get(wallet, NOTHING)
            rows.append(_row(record, change, after))
            later[wallet] = change[0] + after[0], change[1] + after[1], change[2] + after[2], change[3] + after[3]
    months = {row[-1] for row in rows}
    known = tables.ask(KNOWN, [[month] for month in months])
    yield
    kept = months if len(known()) == len(months) else _begin(tables, months)
    if len(kept) < len(months):
        rows = [row for row in rows if row[-1] in kept]
    tables.write(INSERT, rows, lambda missed: AssertionError(f"{missed} events moved wallets that were never opened"))


def _change(postings: list[dict[str, Any]]) -> Change:
    cash = bonus = held = receivable = 0
    for posting in postings:
        match posting["account"]:
            case "cash":
                cash += posting["amount_minor"]
            case "held":
                held += posting["amount_minor"]
            case "bonus":
                bonus += posting["amount_minor"]
            case "receivable":
                receivable += posting["amount_minor"]
    return cash, bonus, held, receivable


def _row(record: dict[str, Any], change: Change, after: Change) -> Row:
    payload, occurred_at = record["payload"], record["occurred_at"]
    named = payload.get
    return (
        record["tenant_id"], record["region"], record["player_id"], payload["currency"], record["event_id"],
        record["event_type"], named("kind"), record["integration_id"], record["provider_id"], named("game_id"),
        named("round_id"), named("bet_id"), named("win_id") or named("reference"), *change, *after,
        record["stream_version"], occurred_at, record["trace_id"], month_of(occurred_at),
    )  # fmt: skip


def _begin(tables: Tables, months: set[int]) -> set[int]:
    """Those of `months` that are kept: a new month takes the place of one that falls out."""
    tables.execute("lock table statement_months in exclusive mode")
    known = {month for (month,) in tables.execute(ALL).fetchall()}
    oldest = max(known | months) - MONTHS + 1
    fallen_out = sorted(month for month in known if month < oldest)
    for month in fallen_out:
        tables.execute(f"truncate player_statements_{month % MONTHS}")
    tables.execute(FALLEN_OUT, [fallen_out])
    tables.execute(BEGUN, [MONTHS, sorted(month for month in months - known if month >= oldest)])
    return {month for month in months if month >= oldest}


PLAYER_STATEMENTS = Projection("player_statements", 3, TABLES, VIEWS, apply, needs=("balances",))
