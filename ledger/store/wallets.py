"""Table `wallets`: the accounts of each player in each currency."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Wallet
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key

COLUMNS = ColumnList("""
    tenant_id text, player_id text, currency text, exponent bigint, cash_minor bigint, bonus_minor bigint,
    held_minor bigint, receivable_minor bigint
""")
"""The fields of an entity, in their order."""
OF_PLAYER = COLUMNS.only("tenant_id", "player_id")
ACCOUNTS = COLUMNS.only("cash_minor", "bonus_minor", "held_minor", "receivable_minor")
CHANGED = COLUMNS.only(*OF_PLAYER, "currency", *ACCOUNTS)

LOAD = f"""
select {COLUMNS.of("w")}
from {OF_PLAYER.rows("k")}
{by_key("wallets", *OF_PLAYER)}
"""  # noqa: S608  # our own constants

LOAD_WITH_REGION = f"""
select {COLUMNS.of("w")}, p.region
from {OF_PLAYER.rows("k")}
{by_key("wallets", *OF_PLAYER)}
{by_key("players", *OF_PLAYER)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.wallets ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants

UPDATE = f"""
update wagerledger.wallets w
set {ACCOUNTS.assigned("n")}
from {CHANGED.rows("n")}
where w.tenant_id = any(array[n.tenant_id]) and w.player_id = any(array[n.player_id])
    and w.currency = any(array[n.currency])
"""  # noqa: S608  # our own constants


def load(players: Iterable[tuple[str, str]]) -> Statement:
    """All wallets of the (tenant, player) pairs."""
    return Statement(LOAD, OF_PLAYER.packed(players))


def load_with_region(players: Iterable[tuple[str, str]]) -> Statement:
    """Read the wallets of players, as `load` does, each row followed by its player's region."""
    return Statement(LOAD_WITH_REGION, OF_PLAYER.packed(players))


def entity(row: Sequence[Any]) -> Wallet:
    return Wallet(*row)


def insert(wallets: Sequence[Wallet]) -> Statement:
    return Statement(INSERT, COLUMNS.packed(map(COLUMNS.row, wallets)), len(wallets))


def update(wallets: Sequence[Wallet]) -> Statement:
    return Statement(UPDATE, CHANGED.packed(map(CHANGED.row, wallets)), len(wallets))
