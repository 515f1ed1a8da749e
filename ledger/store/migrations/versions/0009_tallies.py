"""Tallies of wallets, and the times by which bets and wins count in them: folded from the events there are."""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import Connection, text

from ledger.core.evolve import event_of, evolve
from ledger.core.state import Bet, Settlement, State, Wallet
from ledger.store.wallets import tallies_to
from schemas.events import BY_FINGERPRINT

revision = "0009"
down_revision = "0008"

EVENTS = text("""
select tenant_id, stream_type, stream_id, stream_version, schema_fingerprint, body
from wagerledger.event_log
where stream_type = 'player'
order by tenant_id, stream_id, stream_version
""")
FILL_WALLET = text("""
update wagerledger.wallets set tallies = :tallies
where tenant_id = :tenant_id and player_id = :player_id and currency = :currency
""")
FILL_BET = text("""
update wagerledger.bets set placed_at = :placed_at
where wagerledger.key_of('bet', integration_id, bet_id) = wagerledger.key_of('bet', :integration_id, :bet_id)
    and integration_id = :integration_id and bet_id = :bet_id
""")
FILL_SETTLEMENT = text("""
update wagerledger.settlements set counted_at = :counted_at
where wagerledger.key_of('win', integration_id, win_id) = wagerledger.key_of('win', :integration_id, :win_id)
    and integration_id = :integration_id and win_id = :win_id
""")


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql((Path(__file__).parent.parent / "0009_tallies.sql").read_text().replace("%", "%%"))
    rows = connection.execute(EVENTS, execution_options={"stream_results": True, "yield_per": 1000})
    for _, of_stream in groupby(rows, attrgetter("tenant_id", "stream_type", "stream_id")):
        _fill(connection, _folded(of_stream))


def _folded(rows: Iterator[Any]) -> State:
    """The state of one player."""
    state = State()
    for version, row in enumerate(rows, 1):
        if row.stream_version != version:
            raise RuntimeError(
                f"version {version} of {row.tenant_id}/{row.stream_id} is not in the log: attach the archived months "
                "again, at least until this migration has run"
            )
        state.put(*evolve(state, event_of(BY_FINGERPRINT[row.schema_fingerprint].decode(row.body))))
    return state


def _fill(connection: Connection, state: State) -> None:
    found: dict[Any, list[dict[str, Any]]] = {FILL_WALLET: [], FILL_BET: [], FILL_SETTLEMENT: []}
    for one in state.entities.values():
        if isinstance(one, Wallet):
            of_wallet = {"tenant_id": one.tenant_id, "player_id": one.player_id, "currency": one.currency}
            found[FILL_WALLET].append({**of_wallet, "tallies": tallies_to(one.tallies)})
        elif isinstance(one, Bet) and one.placed_at:
            key = {"integration_id": one.integration_id, "bet_id": one.bet_id}
            found[FILL_BET].append({**key, "placed_at": one.placed_at})
        elif isinstance(one, Settlement) and one.counted_at:
            key = {"integration_id": one.integration_id, "win_id": one.win_id}
            found[FILL_SETTLEMENT].append({**key, "counted_at": one.counted_at})
    for statement, values in found.items():
        if values:
            connection.execute(statement, values)
