"""Balances: what each wallet and each tenant account holds. All of them together are zero per tenant and currency."""

from collections.abc import Sequence
from typing import Any

from ledger.core.postings import WALLET_ACCOUNTS
from projector.projection import Admitted, Projection, Rows, incoming, write

# Tenant accounts move with almost every event: a row per partition lets projectors work side by side; the view adds up.
DDL = """
create table projections.balances (
    tenant_id text not null,
    player_id text not null,
    currency text not null,
    exponent smallint not null,
    region text not null,
    cash_minor bigint not null,
    bonus_minor bigint not null,
    held_minor bigint not null,
    receivable_minor bigint not null,
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null,
    primary key (tenant_id, player_id, currency)
) with (fillfactor = 70);

create table projections.tenant_accounts (
    tenant_id text not null,
    currency text not null,
    account text not null,
    partition integer not null,
    exponent smallint not null,
    balance_minor numeric(38, 0) not null,
    occurred_at timestamptz not null,
    primary key (tenant_id, currency, account, partition)
) with (fillfactor = 10);

create view bi.balances as
select tenant_id, region, player_id, currency, exponent,
    cash_minor, projections.amount(cash_minor, exponent) as cash,
    bonus_minor, projections.amount(bonus_minor, exponent) as bonus,
    held_minor, projections.amount(held_minor, exponent) as held,
    receivable_minor, projections.amount(receivable_minor, exponent) as receivable,
    stream_version, occurred_at, trace_id
from projections.balances;
comment on view bi.balances is 'Real money of each wallet (tenant, player, currency). Demo play is never in it.';
comment on column bi.balances.region is 'Region that holds the data.';
comment on column bi.balances.exponent is
    'Decimals of the currency in this tenant: an amount is minor units / 10^exponent.';
comment on column bi.balances.cash_minor is 'Withdrawable money, minor units.';
comment on column bi.balances.cash is 'Withdrawable money, in the currency.';
comment on column bi.balances.bonus_minor is 'Bonus money, minor units.';
comment on column bi.balances.bonus is 'Bonus money, in the currency.';
comment on column bi.balances.held_minor is 'Stakes of open bets, minor units.';
comment on column bi.balances.held is 'Stakes of open bets, in the currency.';
comment on column bi.balances.receivable_minor is 'What the player owes, minor units; never positive.';
comment on column bi.balances.receivable is 'What the player owes, in the currency; never positive.';
comment on column bi.balances.stream_version is
    'Version in the player''s stream of the last event that opened or moved this wallet.';
comment on column bi.balances.occurred_at is 'When the ledger recorded that event.';
comment on column bi.balances.trace_id is 'Trace of the callback that caused it.';

create view bi.tenant_accounts as
select tenant_id, currency, max(exponent) as exponent, account,
    sum(balance_minor) as balance_minor, projections.amount(sum(balance_minor), max(exponent)) as balance,
    max(occurred_at) as occurred_at
from projections.tenant_accounts
group by tenant_id, currency, account;
comment on view bi.tenant_accounts is
    'The tenant''s own accounts (house, cashier, ...). With bi.balances they sum to zero per tenant and currency.';
comment on column bi.tenant_accounts.exponent is
    'Decimals of the currency in this tenant: an amount is minor units / 10^exponent.';
comment on column bi.tenant_accounts.account is
    'house: won from and lost to the players; cashier: money from and to the outside; bonus_cost: promotions;
    jackpot:<provider>: its pool; adjustment: corrections; fx: exchange from one currency into another.';
comment on column bi.tenant_accounts.balance_minor is
    'Sum of all postings, minor units. Positive: the tenant has gained it.';
comment on column bi.tenant_accounts.balance is 'Sum of all postings, in the currency.';
comment on column bi.tenant_accounts.occurred_at is 'When the ledger recorded the last event that moved the account.';
"""

WALLET_COLUMNS = """
    tenant_id text, player_id text, currency text, exponent smallint, region text,
    cash_minor bigint, bonus_minor bigint, held_minor bigint, receivable_minor bigint,
    stream_version bigint, occurred_at moment, trace_id text
"""
ACCOUNT_COLUMNS = """
    tenant_id text, currency text, account text, partition integer, exponent smallint,
    balance_minor numeric, occurred_at moment
"""

WALLETS = f"""
insert into projections.balances as b
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
insert into projections.tenant_accounts as a
select * from {incoming(ACCOUNT_COLUMNS)}
order by tenant_id, currency, account, partition
on conflict (tenant_id, currency, account, partition) do update set
    balance_minor = a.balance_minor + excluded.balance_minor,
    occurred_at = greatest(a.occurred_at, excluded.occurred_at)
"""  # noqa: S608  # our own constants

Wallets = dict[tuple[str, str, str], list[Any]]
Accounts = dict[tuple[str, str, str, int], list[Any]]

PLACE = {"cash": 5, "bonus": 6, "held": 7, "receivable": 8}
"""Where a wallet's row has each account."""
assert PLACE.keys() == WALLET_ACCOUNTS


def apply(events: Sequence[Admitted], cursor: Rows) -> None:
    wallets: dict[tuple[str, str, str], list[Any]] = {}
    accounts: dict[tuple[str, str, str, int], list[Any]] = {}
    for record, partition in events:
        if record["postings"] or record["event_type"] == "wallet.opened":
            _move(record, partition, wallets, accounts)
    write(cursor, WALLETS, wallets.values())
    write(cursor, TENANT_ACCOUNTS, accounts.values())


def _move(
    record: dict[str, Any],
    partition: int,
    wallets: dict[tuple[str, str, str], list[Any]],
    accounts: dict[tuple[str, str, str, int], list[Any]],
) -> None:
    tenant_id, player_id, occurred_at = record["tenant_id"], record["player_id"], record["occurred_at"]
    currency, exponent = record["payload"]["currency"], record["payload"]["exponent"]
    exponents = exponents_of(record["payload"])
    wallet = wallets.get((tenant_id, player_id, currency))
    if wallet is None:
        wallet = [tenant_id, player_id, currency, exponent, record["region"], 0, 0, 0, 0, 0, 0, ""]
        wallets[tenant_id, player_id, currency] = wallet
    wallet[9:] = record["stream_version"], occurred_at, record["trace_id"]
    for posting in record["postings"]:
        name, amount_minor, moved = posting["account"], posting["amount_minor"], posting["currency"]
        assert moved in exponents, f"event {record['event_id']} moves {moved} and names {list(exponents)}"
        if place := PLACE.get(name):
            assert moved == currency, f"event {record['event_id']} moves {moved} of a wallet in {currency}"
            wallet[place] += amount_minor
            continue
        account = accounts.get((tenant_id, moved, name, partition))
        if account is None:
            row = [tenant_id, moved, name, partition, exponents[moved], amount_minor, occurred_at]
            accounts[tenant_id, moved, name, partition] = row
        else:
            account[5] += amount_minor
            account[6] = max(account[6], occurred_at)


def exponents_of(payload: dict[str, Any]) -> dict[str, int]:
    """The decimals of every currency that an event names."""
    exponents = {payload["currency"]: payload["exponent"]}
    for part in (payload, *payload.get("bets", ())):
        if conversion := part.get("conversion"):
            exponents[conversion["currency"]] = conversion["exponent"]
    return exponents


BALANCES = Projection("balances", 2, DDL, apply)
