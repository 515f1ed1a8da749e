"""What the audit reads of the ledger's tables: each row after the stream it belongs to, in the order of streams."""

from collections.abc import Callable
from operator import attrgetter
from struct import error
from typing import Any

from audit.snapshot import STREAM, Row
from ledger.core.state import Bet, Entity, Key, Player, Round, Session, Settlement, Wallet
from ledger.store import (
    bets,
    commands,
    event_log,
    players,
    rounds,
    sessions,
    settlements,
    streams,
    wallets,
)
from ledger.store.column_list import ColumnList
from ledger.store.conversions import from_text, to_text

COMMAND_COLUMNS = commands.COLUMNS.only(
    "tenant_id, stream_type, stream_id, first_version, last_version",
    "scope, operation, idempotency_key, trace_id, fingerprint, kind, outcome",
)


def by_stream(
    table: str, columns: str, stream: tuple[str, str, str] = ("tenant_id", "stream_type", "stream_id"), then: str = ""
) -> str:
    """The query of rows that begin with their `stream`, three expressions, in the order of streams, and of one stream
    as `then` says.
    """
    tenant, kind, name = stream
    return f"""
select * from (
    select {tenant} as stream_tenant, {kind} as stream_kind, {name} as stream_name, {columns}
    from wagerledger.{table}
) s
{{part}}
order by {STREAM}{then}
"""  # noqa: S608  # our own constants


_IN_ROW = "tenant_id", "stream_type", "stream_id"
EVENTS = by_stream("event_log", event_log.BY_STREAM.but(*_IN_ROW).read, then=", stream_version, recorded_at")

EVENTS_OF_STREAM = f"""
select {event_log.BY_STREAM.read}
from wagerledger.event_log
where tenant_id = %s and stream_type = %s and stream_id = %s
order by stream_version, recorded_at
"""  # noqa: S608  # our own constants

STREAMS = by_stream("streams", streams.COLUMNS.but(*_IN_ROW).read)

COMMANDS = by_stream(
    "commands where first_version is not null or last_version is not null",
    COMMAND_COLUMNS.but(*_IN_ROW).read,
    then=", first_version, last_version",
)

# A tombstone whose player was not known is in its integration's stream.
BETS = by_stream(
    "bets",
    bets.COLUMNS.read,
    (
        "tenant_id",
        "case when player_id is null then 'integration' else 'player' end",
        "coalesce(player_id, integration_id)",
    ),
)

CURRENCIES = "select tenant_id, currency, exponent::bigint from wagerledger.currencies"

WALLET_TOTALS = """
select tenant_id, currency, sum(cash_minor + bonus_minor + held_minor + receivable_minor)::text
from wagerledger.wallets group by tenant_id, currency
"""

REPEATED_EVENT_IDS = """
select tenant_id, stream_type, stream_id, stream_version, e.event_id::text
from wagerledger.event_log e
join (select event_id from wagerledger.event_log group by event_id having count(*) > 1) twice using (event_id)
order by e.event_id, stream_version
"""

EVENT_COUNT = "select coalesce(sum(version), 0)::bigint from wagerledger.streams"


class Table:
    """A table of state. Its rows are a stream and then the fields of an entity; the first of these are its key."""

    def __init__(self, name: str, query: str, kind: Any, key_fields: int) -> None:
        self.name = name
        self.query = query
        self._kind = kind
        self._key = slice(3, 3 + key_fields)
        self._fields = attrgetter(*kind.__dataclass_fields__)
        last = [*kind.__dataclass_fields__][-1]
        self._last = _CONVERTED.get(last)
        """How the last field is written and read, where the row has it in another form."""

    def key(self, row: Row) -> Key:
        return (self._kind, *row[self._key])

    def holds(self, row: Row, entity: Entity) -> bool:
        """Whether `row` is `entity`, bit for bit."""
        fields = self._fields(entity)
        if self._last:
            written, _ = self._last
            fields = (*fields[:-1], written(fields[-1]))
        return bool(fields == row[3:])

    def entity(self, row: Row) -> Entity:
        fields = [*row[3:-1], self._read(row[-1])] if self._last else row[3:]
        made: Entity = self._kind(*fields)
        return made

    def _read(self, stored: Any) -> Any:
        """As the ledger reads it; what it could not read is shown as it stands."""
        assert self._last, "asked by the caller"
        try:
            return self._last[1](stored)
        except (TypeError, ValueError, error):
            return stored


_CONVERTED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "conversion": (to_text, from_text),
    "limits": (players.limits_to, players.limits_from),
    "tallies": (wallets.tallies_to, wallets.tallies_from),
}


def _of_players(table: str, columns: ColumnList) -> str:
    return by_stream(table, columns.read, ("tenant_id", "'player'::text", "player_id"))


TABLES = (
    Table("wallets", _of_players("wallets", wallets.COLUMNS), Wallet, 3),
    Table("players", _of_players("players", players.COLUMNS), Player, 2),
    Table("sessions", _of_players("sessions", sessions.COLUMNS), Session, 1),
    Table("bets", BETS, Bet, 2),
    Table("settlements", _of_players("settlements", settlements.COLUMNS), Settlement, 2),
    Table("rounds", _of_players("rounds", rounds.COLUMNS), Round, 3),
)
"""All but `currencies`, which belong to a tenant and not to a stream, and what is not folded from events."""
