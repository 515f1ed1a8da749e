"""Table `wallets`: the accounts of each player in each currency, and what their money did in the running periods."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

from ledger.core.state import Wallet
from ledger.core.tallies import Tallies, Tally
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key
from runtime.arrays import Array, Bytea

COLUMNS = ColumnList("""
    tenant_id text, player_id text, currency text, exponent bigint, cash_minor bigint, bonus_minor bigint,
    held_minor bigint, receivable_minor bigint, tallies bytea
""")
"""The fields of an entity, in their order."""
OF_PLAYER = COLUMNS.only("tenant_id", "player_id")
ACCOUNTS = COLUMNS.only("cash_minor", "bonus_minor", "held_minor", "receivable_minor")
CHANGING = COLUMNS.only(*ACCOUNTS, "tallies")
CHANGED = COLUMNS.only(*OF_PLAYER, "currency", *CHANGING)
MONEY = COLUMNS.but("tallies")
_CHANGED_MONEY = CHANGED.but("tallies")
_TALLIES = Struct(">16q")

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
set {CHANGING.assigned("n")}
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
    fields = [*row[:-1], tallies_from(row[-1])]
    return Wallet(*fields)


def insert(wallets: Sequence[Wallet]) -> Statement:
    return Statement(INSERT, _packed(MONEY, wallets), len(wallets))


def update(wallets: Sequence[Wallet]) -> Statement:
    return Statement(UPDATE, _packed(_CHANGED_MONEY, wallets), len(wallets))


def tallies_from(packed: bytes) -> Tallies:
    """The tallies as the row has them; nothing yet where it is empty."""
    if not packed:
        return Tallies()
    at, *sums = _TALLIES.unpack(packed)
    return Tallies(at, Tally(*sums[:5]), Tally(*sums[5:10]), Tally(*sums[10:]))


def tallies_to(tallies: Tallies) -> bytes:
    """For the row: `at`, then day, week and month, each its sums in the order of `Tally`, of eight bytes each."""
    at, day, week, month = tallies
    return _TALLIES.pack(at, *day, *week, *month) if at else b""


def _packed(money: ColumnList, wallets: Sequence[Wallet]) -> list[Array]:
    """One column for sixteen numbers: as columns of their own they would cost a bet four times as much."""
    return [*money.packed(map(money.row, wallets)), Bytea(tallies_to(wallet.tallies) for wallet in wallets)]
