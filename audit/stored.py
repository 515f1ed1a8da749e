"""What the audit reads of the ledger's tables: each row after the stream it belongs to, in the order of streams."""

from operator import attrgetter
from typing import Any

from audit.snapshot import Row
from ledger.core.exchange import Conversion
from ledger.core.state import Bet, Entity, Key, Player, Round, Session, Settlement, Wallet
from ledger.store.conversions import from_text, to_text

EVENTS = """
select tenant_id, stream_type, stream_id, stream_version, event_type, event_id::text,
    recorded_at, schema_fingerprint, trace_id, body
from wagerledger.event_log
order by tenant_id{c}, stream_type{c}, stream_id{c}, stream_version, recorded_at
"""

EVENTS_OF_STREAM = """
select tenant_id, stream_type, stream_id, stream_version, event_type, event_id::text,
    recorded_at, schema_fingerprint, trace_id, body
from wagerledger.event_log
where tenant_id = %s and stream_type = %s and stream_id = %s
order by stream_version, recorded_at
"""

STREAMS = """
select tenant_id, stream_type, stream_id, version, head_hash, recorded_at
from wagerledger.streams
order by tenant_id{c}, stream_type{c}, stream_id{c}
"""

COMMANDS = """
select tenant_id, stream_type, stream_id, first_version, last_version,
    scope, operation, idempotency_key, trace_id, fingerprint, kind, outcome::text
from wagerledger.commands
where first_version is not null or last_version is not null
order by tenant_id{c}, stream_type{c}, stream_id{c}, first_version, last_version
"""

WALLETS = """
select tenant_id, 'player', player_id,
    tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor, receivable_minor
from wagerledger.wallets
order by tenant_id{c}, player_id{c}
"""

SESSIONS = """
select tenant_id, 'player', player_id,
    session_id, integration_id, tenant_id, player_id, currency, mode, game_id, expires_at, ended,
    extended_us
from wagerledger.sessions
order by tenant_id{c}, player_id{c}
"""

# A tombstone whose player was not known is in its integration's stream.
BETS = """
select * from (
    select tenant_id as tenant, case when player_id is null then 'integration' else 'player' end as stream_type,
        coalesce(player_id, integration_id) as stream_id,
        integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode, hold_id,
        stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id, rollback_id,
        stake_kind, final, conversion::text
    from wagerledger.bets
) s
order by tenant{c}, stream_type{c}, stream_id{c}
"""

SETTLEMENTS = """
select tenant_id, 'player', player_id,
    integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id, round_id, session_id, game_id, kind,
    win_minor, account, mode, undone_by, conversion::text
from wagerledger.settlements
order by tenant_id{c}, player_id{c}
"""

ROUNDS = """
select tenant_id, 'player', player_id,
    integration_id, player_id, round_id, tenant_id
from wagerledger.rounds
order by tenant_id{c}, player_id{c}
"""

PLAYERS = """
select tenant_id, 'player', player_id,
    tenant_id, player_id, region, restriction
from wagerledger.players
order by tenant_id{c}, player_id{c}
"""

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
        self._converted = "conversion" in kind.__dataclass_fields__

    def key(self, row: Row) -> Key:
        return (self._kind, *row[self._key])

    def holds(self, row: Row, entity: Entity) -> bool:
        """Whether `row` is `entity`, bit for bit."""
        fields = self._fields(entity)
        if self._converted:
            fields = (*fields[:-1], to_text(fields[-1]))
        return bool(fields == row[3:])

    def entity(self, row: Row) -> Entity:
        fields = [*row[3:-1], _conversion(row[-1])] if self._converted else row[3:]
        made: Entity = self._kind(*fields)
        return made


def _conversion(text: str | None) -> Conversion | str | None:
    """As the ledger reads it; what it could not read is shown as it stands."""
    try:
        return from_text(text)
    except (TypeError, ValueError):
        return text


TABLES = (
    Table("wallets", WALLETS, Wallet, 3),
    Table("players", PLAYERS, Player, 2),
    Table("sessions", SESSIONS, Session, 1),
    Table("bets", BETS, Bet, 2),
    Table("settlements", SETTLEMENTS, Settlement, 2),
    Table("rounds", ROUNDS, Round, 3),
)
"""All but `currencies`, which belong to a tenant and not to a stream, and what is not folded from events."""
