"""Writes valid, chained events into an event log, as the journal does, but as many and in as odd an order as a test wants."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from ledger.core.bets import BetAuthorized
from ledger.core.commands import Origin
from ledger.core.events import Event, Payload
from ledger.core.players import SessionStarted
from ledger.core.rollbacks import BetRolledBack
from ledger.core.wallets import Deposited, WalletOpened
from ledger.core.wins import BetSettled
from ledger.journal.recording import record
from ledger.store import event_log
from ledger.streams import Recorded, StreamHead, StreamKey, player_stream
from runtime import arrays
from tests.support.wrong_hand import disarm

TENANT = "brand-1"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PAYLOADS: list[Payload] = [
    WalletOpened("EUR", 2),
    Deposited("EUR", 2, 10_000, "ref-1", "cashier"),
    SessionStarted("session-1", "integration-1", "EUR", "real", "game-1", None, 1, None),
    BetAuthorized(
        "bet-1",
        "hold-1",
        "round-1",
        "session-1",
        "game-1",
        "bet",
        "EUR",
        2,
        100,
        100,
        0,
        "settlement",
        "real",
        None,
        None,
    ),
    BetSettled(
        "settlement-1",
        None,
        "bet-1",
        "round-1",
        "session-1",
        "game-1",
        "win",
        "EUR",
        2,
        100,
        250,
        was_open=True,
        ends_bet=True,
        in_bonus=False,
        freespins_left=None,
        mode="real",
        conversion=None,
    ),
    BetRolledBack(
        "rollback-1", "bet-1", "round-1", "session-1", "game-1", "EUR", 2, 100, 0, [], True, "cancelled", "real", None
    ),
]
"""Six event types; the relay does not care whether they make sense together."""


@dataclass
class LogWriter:
    """Remembers what it committed, in the order of each stream."""

    url: str
    heads: dict[StreamKey, StreamHead] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)

    def write(
        self, count: int, *, players: int = 10, per_transaction: int = 20, rng: random.Random | None = None
    ) -> list[Recorded]:
        rng = rng or random.Random(1)
        written = []
        with psycopg.connect(self.url) as connection:
            for start in range(0, count, per_transaction):
                size = min(per_transaction, count - start)
                written += self.insert(connection, [f"player-{rng.randrange(players)}" for _ in range(size)])
                connection.commit()
        return written

    def insert(self, connection: psycopg.Connection, players: Sequence[str]) -> list[Recorded]:
        """Append one event per name, without commit."""
        made = [self.make(player) for player in players]
        self.append(connection, made)
        return made

    def make(self, player: str) -> Recorded:
        stream = player_stream(TENANT, player)
        head = self.heads.get(stream, StreamHead())
        payload = PAYLOADS[head.version % len(PAYLOADS)]
        origin = Origin(
            TENANT, "eu", "integration-1", "provider-1", "bet", f"key-{len(self.events)}", "trace-1", TRACEPARENT
        )
        event = record(Event(payload, TENANT, player, "integration-1", time.time_ns() // 1000), origin, head)
        self.heads[stream] = event.head()
        self.events.append(event)
        return event

    def append(self, connection: psycopg.Connection, events: Sequence[Recorded]) -> None:
        arrays.register(connection)
        statement = event_log.append(events)
        connection.execute(statement.sql, statement.params)

    def tamper(self, statement: str, *parameters: object) -> int:
        """Change the log as nobody may: as a superuser, past its triggers. Gives the number of rows."""
        with psycopg.connect(self.url) as connection:
            disarm(connection)
            return connection.execute(statement, parameters).rowcount
