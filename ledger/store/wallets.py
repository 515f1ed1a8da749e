"""Table `wallets`: the accounts of each player in each currency."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Wallet
from ledger.store.statement import Statement, by_key
from runtime.arrays import Int8, Text, columns

LOAD = f"""
select w.tenant_id, w.player_id, w.currency, w.exponent, w.cash_minor, w.bonus_minor, w.held_minor, w.receivable_minor
from unnest(%b::text[], %b::text[]) k(tenant_id, player_id)
{by_key("wallets", "tenant_id", "player_id")}
"""  # noqa: S608  # our own constants

LOAD_WITH_REGION = f"""
select w.tenant_id, w.player_id, w.currency, w.exponent, w.cash_minor, w.bonus_minor, w.held_minor, w.receivable_minor,
    p.region
from unnest(%b::text[], %b::text[]) k(tenant_id, player_id)
{by_key("wallets", "tenant_id", "player_id")}
{by_key("players", "tenant_id", "player_id")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.wallets (tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor,
    receivable_minor)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],
    %b::bigint[])
"""

UPDATE = """
update wagerledger.wallets w
set cash_minor = n.cash_minor, bonus_minor = n.bonus_minor, held_minor = n.held_minor, receivable_minor =
    n.receivable_minor
from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[])
    n(tenant_id, player_id, currency, cash_minor, bonus_minor, held_minor, receivable_minor)
where w.tenant_id = any(array[n.tenant_id]) and w.player_id = any(array[n.player_id])
    and w.currency = any(array[n.currency])
"""

_KEY = "tenant_id", "player_id", "currency"
_ACCOUNTS = "cash_minor", "bonus_minor", "held_minor", "receivable_minor"
_inserted = attrgetter(*_KEY, "exponent", *_ACCOUNTS)
_updated = attrgetter(*_KEY, *_ACCOUNTS)


def load(players: Iterable[tuple[str, str]]) -> Statement:
    """All wallets of the (tenant, player) pairs."""
    return Statement(LOAD, columns((Text, Text), players))


def load_with_region(players: Iterable[tuple[str, str]]) -> Statement:
    """Likewise, each row followed by its player's region."""
    return Statement(LOAD_WITH_REGION, columns((Text, Text), players))


def entity(row: Sequence[Any]) -> Wallet:
    return Wallet(*row)


def insert(wallets: Sequence[Wallet]) -> Statement:
    return Statement(
        INSERT, columns((Text, Text, Text, Int8, Int8, Int8, Int8, Int8), map(_inserted, wallets)), len(wallets)
    )


def update(wallets: Sequence[Wallet]) -> Statement:
    return Statement(UPDATE, columns((Text, Text, Text, Int8, Int8, Int8, Int8), map(_updated, wallets)), len(wallets))
