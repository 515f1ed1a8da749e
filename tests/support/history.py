"""Whether a ledger database keeps its promises: I1 to I7, checked by one plain fold over everything, in the order in which the relay would read it.

Slow and simple on purpose, and independent of the product's own audit.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ledger.core.chain import GENESIS, hash_of
from ledger.core.evolve import event_of, evolve
from ledger.core.postings import totals_by_currency
from ledger.core.state import OPEN, Bet, Currency, Player, Round, Session, Settlement, State, Wallet
from ledger.store.conversions import from_text
from ledger.store.players import limits_from
from ledger.store.wallets import tallies_from
from runtime.clock import to_us
from schemas.events import BY_FINGERPRINT

EVENTS = """
select tenant_id, stream_type, stream_id, stream_version, event_type, event_id::text, schema_fingerprint, trace_id, recorded_at, body
from wagerledger.event_log order by xid, position
"""
HEADS = "select tenant_id, stream_type, stream_id, version, head_hash, recorded_at from wagerledger.streams"
COMMANDS = """
select scope, operation, idempotency_key, tenant_id, stream_type, stream_id, first_version, last_version, outcome ->> 'refusal' from wagerledger.commands
"""
ENTITIES = {
    Currency: "select tenant_id, currency, exponent from wagerledger.currencies",
    Wallet: """select tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor, receivable_minor, tallies from wagerledger.wallets""",
    Session: """select session_id, integration_id, tenant_id, player_id, currency, mode, game_id, expires_at, ended, extended_us from wagerledger.sessions""",
    Bet: """select integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode, hold_id, stake_minor,
        stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id, rollback_id, stake_kind, final, placed_at, conversion::text
        from wagerledger.bets""",
    Settlement: """select integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id, round_id, session_id, game_id,
        kind, win_minor, account, mode, undone_by, counted_at, conversion::text from wagerledger.settlements""",
    Round: "select integration_id, player_id, round_id, tenant_id from wagerledger.rounds",
    Player: "select tenant_id, player_id, region, restriction, calendar, limits::text from wagerledger.players",
}
LAST: dict[Any, Callable[[Any], Any]] = {
    Wallet: tallies_from,
    Bet: from_text,
    Settlement: from_text,
    Player: limits_from,
}
"""How the last column is read, where the row has it in another form."""

Stream = tuple[str, str, str]


@dataclass
class History:
    """What the database holds, once it was found to be right."""

    records: list[dict[str, Any]] = field(default_factory=list)
    """Decoded envelopes in relay order."""
    state: State = field(default_factory=State)
    heads: dict[Stream, tuple[int, bytes, int]] = field(default_factory=dict)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    """(scope, key) of the commands that were accepted."""
    refused: set[tuple[str, str]] = field(default_factory=set)

    def count(self, event_type: str) -> int:
        return sum(record["event_type"] == event_type for record in self.records)


def check(database_url: str) -> History:
    """Read everything in one snapshot and check it. Raises AssertionError with what is wrong."""
    with psycopg.connect(database_url, options="-c default_transaction_isolation=repeatable\\ read") as connection:
        return check_in(connection)


def check_in(connection: psycopg.Connection) -> History:
    """The same for what this very transaction sees."""
    history = History()
    for row in connection.execute(EVENTS):
        _follow(history, row)
    _check_money(history)
    heads = {row[:3]: (row[3], row[4], to_us(row[5])) for row in connection.execute(HEADS)}
    assert heads == history.heads, "I7: table streams is not where the log ends"
    _check_entities(history, connection)
    _check_commands(history, connection)
    return history


def _follow(history: History, row: tuple) -> None:
    tenant_id, stream_type, stream_id, version, event_type, event_id, fingerprint, trace_id, recorded_at, body = row
    record = BY_FINGERPRINT[fingerprint].decode(body)
    columns = (tenant_id, stream_type, stream_id, version, event_type, event_id, trace_id, to_us(recorded_at))
    names = (
        "tenant_id",
        "stream_type",
        "stream_id",
        "stream_version",
        "event_type",
        "event_id",
        "trace_id",
        "occurred_at",
    )
    assert columns == tuple(record[name] for name in names), f"the columns of {event_id} are not what its bytes say"
    last_version, last_hash, last_time = history.heads.get(row[:3], (0, GENESIS, 0))
    assert version == last_version + 1, f"I7: in relay order version {version} of {row[:3]} follows {last_version}"
    assert record["previous_hash"] == last_hash, f"I7: the chain of {row[:3]} is cut before {version}"
    assert to_us(recorded_at) >= last_time, f"I7: {row[:3]} runs backwards at {version}"
    history.heads[row[:3]] = version, hash_of(body), to_us(recorded_at)
    event = event_of(record)
    assert not any(totals_by_currency(event.postings).values()), f"I1: {record}"
    history.state.put(*evolve(history.state, event))
    history.records.append(record)


def _check_money(history: History) -> None:
    held: Counter = Counter()
    for entity in history.state.entities.values():
        if isinstance(entity, Bet):
            assert entity.held_minor == 0 or entity.status == OPEN, f"I3: {entity}"
            held[entity.tenant_id, entity.player_id, entity.currency] += entity.held_minor
    for entity in history.state.entities.values():
        if isinstance(entity, Wallet):
            assert min(entity.cash_minor, entity.bonus_minor, entity.held_minor, -entity.receivable_minor) >= 0, (
                f"I3: {entity}"
            )
            assert entity.held_minor == held[entity.tenant_id, entity.player_id, entity.currency], (
                f"I3: open bets hold another amount than {entity}"
            )


def _check_entities(history: History, connection: psycopg.Connection) -> None:
    stored = State()
    for kind, query in ENTITIES.items():
        for row in connection.execute(query):
            read = LAST.get(kind)
            stored.put(kind(*row[:-1], read(row[-1])) if read else kind(*row))
    for key in stored.entities.keys() | history.state.entities.keys():
        row, folded = stored.get(key), history.state.get(key)
        assert row == folded, f"I7: the table has {row}, the fold of the log gives {folded}"


def _check_commands(history: History, connection: psycopg.Connection) -> None:
    keys = {}
    for scope, operation, key, *stream, first, last, refusal in connection.execute(COMMANDS):
        (history.refused if refusal else history.accepted).add((scope, key))
        assert not (refusal and first), f"I6: {scope} {key} was refused with {refusal} and has events"
        assert (first is None) == (last is None)
        for version in range(first or 0, (last or -1) + 1):
            place = (*stream, version)
            assert place not in keys, f"I5: {keys.get(place)} and {scope} {key} both claim {place}"
            keys[place] = scope, operation, key
    for record in history.records:
        place = record["tenant_id"], record["stream_type"], record["stream_id"], record["stream_version"]
        asked = (
            record["integration_id"] or f"tenant:{record['tenant_id']}",
            record["operation"],
            record["idempotency_key"],
        )
        assert keys.pop(place, None) == asked, (
            f"I6: the event at {place} was asked by {asked}, the commands say otherwise"
        )
    assert keys == {}, f"I6: commands claim events that are not there: {keys}"
