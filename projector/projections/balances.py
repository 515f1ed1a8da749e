"""Balances: what each wallet and each tenant account holds. All of them together are zero per tenant and currency."""

from collections.abc import Sequence
from typing import Any

from ledger.core.postings import WALLET_ACCOUNTS
from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections.views import (
    AS_OF,
    AS_OF_VERSION,
    CURRENCY,
    EXPONENT,
    PLAYER,
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

# Tenant accounts move with almost every event: a row per partition lets projectors work side by side; the view adds up.
TABLES = f"""
create table balances (
    tenant_id text not null,
    player_id text not null,
    currency text not null,
    exponent smallint not null,
    region text not null,
    cash_minor bigint not null,
    bonus_minor bigint not null,
    held_minor bigint not null,
    receivable_minor bigint not null,
    opened_at timestamptz not null,
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null,
    primary key (tenant_id, player_id, currency)
) with (fillfactor = 70);
{lookups.indexes("balances", "player_id")}

create table tenant_accounts (
    tenant_id text not null,
    region text not null,
    currency text not null,
    account text not null,
    partition integer not null,
    exponent smallint not null,
    balance_minor numeric(38, 0) not null,
    occurred_at timestamptz not null,
    primary key (tenant_id, region, currency, account, partition)
) with (fillfactor = 10);
"""

VIEWS = view(
    "bi.balances",
    "Real money of each wallet (tenant, player, currency), as it is now. Demo play is never in it.",
    [
        TENANT, REGION, PLAYER, CURRENCY, EXPONENT,
        *amount("cash", "Withdrawable money."),
        *amount("bonus", "Bonus money."),
        *amount("held", "Stakes of open bets."),
        *amount("receivable", "What the player owes; never positive."),
        Column("opened_at", "When the ledger recorded the opening of the wallet (timestamptz, UTC)."),
        AS_OF_VERSION, AS_OF, TRACE,
    ],
    f"from {fenced('balances')}",
) + view(
    "bi.tenant_accounts",
    "The tenant's own accounts (house, cashier, ...). With bi.balances they sum to zero per tenant and currency.",
    [
        TENANT, REGION, CURRENCY._replace(meaning="Currency of the account: ISO 4217 or the operator's own code."),
        EXPONENT._replace(expression="max(exponent)"),
        Column(
            "account",
            "house: won from and lost to the players; cashier: money from and to the outside; bonus_cost: promotions; "
            "jackpot:<provider>: its pool; adjustment: corrections; fx: exchange from one currency into another.",
        ),
        *summed("balance", "Sum of all postings; positive: the tenant has gained it."),
        SUMMED,
    ],
    f"from {fenced('tenant_accounts')} group by tenant_id, region, currency, account",
)  # fmt: skip

WALLET_COLUMNS = """
    tenant_id text, player_id text, currency text, exponent smallint, region text,
    cash_minor bigint, bonus_minor bigint, held_minor bigint, receivable_minor bigint, opened_at moment,
    stream_version bigint, occurred_at moment, trace_id text
"""
ACCOUNT_COLUMNS = """
    tenant_id text, region text, currency text, account text, partition integer, exponent smallint,
    balance_minor numeric, occurred_at moment
"""

WALLETS = f"""
insert into balances as b
select * from {incoming(WALLET_COLUMNS)}
order by tenant_id, player_id, currency
on conflict (tenant_id, player_id, currency) do update set
    cash_minor = b.cash_minor + excluded.cash_minor,
    bonus_minor = b.bonus_minor + excluded.bonus_minor,
    held_minor = b.held_minor + excluded.held_minor,
    receivable_minor = b.receivable_minor + excluded.receivable_minor,
    stream_version = excluded.stream_version,
    occurred_at = excluded.occurred_at,
    trace_id = excluded.trace_id
"""  # noqa: S608  # our own constants

TENANT_ACCOUNTS = f"""
insert into tenant_accounts as a
select * from {incoming(ACCOUNT_COLUMNS)}
order by tenant_id, region, currency, account, partition
on conflict (tenant_id, region, currency, account, partition) do update set
    balance_minor = a.balance_minor + excluded.balance_minor,
    occurred_at = greatest(a.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants

Wallets = dict[tuple[str, str, str], list[Any]]
Accounts = dict[tuple[str, str, str, str, int], list[Any]]

PLACE = {"cash": 5, "bonus": 6, "held": 7, "receivable": 8}
"""The place of each account in a wallet's row."""
assert PLACE.keys() == WALLET_ACCOUNTS


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    wallets: Wallets = {}
    accounts: Accounts = {}
    for record, partition in events:
        if record["postings"] or record["event_type"] == "wallet.opened":
            _move(record, partition, wallets, accounts)
    tables.write(WALLETS, wallets.values())
    tables.write(TENANT_ACCOUNTS, accounts.values())


def _move(record: dict[str, Any], partition: int, wallets: Wallets, accounts: Accounts) -> None:
    tenant_id, player_id, occurred_at = record["tenant_id"], record["player_id"], record["occurred_at"]
    currency, region, exponents = record["payload"]["currency"], record["region"], exponents_of(record["payload"])
    wallet = wallets.get((tenant_id, player_id, currency))
    if wallet is None:
        # The first event of a wallet opens it; what a later one says of that moment is not written.
        wallet = [tenant_id, player_id, currency, exponents[currency], region, 0, 0, 0, 0, occurred_at, 0, 0, ""]
        wallets[tenant_id, player_id, currency] = wallet
    wallet[10:] = record["stream_version"], occurred_at, record["trace_id"]
    for posting in record["postings"]:
        name, amount_minor, moved = posting["account"], posting["amount_minor"], posting["currency"]
        assert moved in exponents, f"event {record['event_id']} moves {moved} and names {list(exponents)}"
        if place := PLACE.get(name):
            assert moved == currency, f"event {record['event_id']} moves {moved} of a wallet in {currency}"
            wallet[place] += amount_minor
            continue
        key = tenant_id, region, moved, name, partition
        account = accounts.get(key)
        if account is None:
            accounts[key] = [*key, exponents[moved], amount_minor, occurred_at]
        else:
            account[6] += amount_minor
            account[7] = max(account[7], occurred_at)


def exponents_of(payload: dict[str, Any]) -> dict[str, int]:
    """The decimals (exponent) of every currency that an event's payload names."""
    exponents = {payload["currency"]: payload["exponent"]}
    for part in (payload, *payload.get("bets", ())):
        if conversion := part.get("conversion"):
            exponents[conversion["currency"]] = conversion["exponent"]
    return exponents


BALANCES = Projection("balances", 5, TABLES, VIEWS, apply)
