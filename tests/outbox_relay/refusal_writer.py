"""Writes refusals as the journal does, beside the events of a LogWriter."""

import time
from dataclasses import dataclass, field

import psycopg
from uuid_utils import uuid7

from ledger.idempotency import CommandKey
from ledger.outcome import Outcome
from ledger.store import refusals
from ledger.store.commands import Decided
from ledger.streams import player_stream
from runtime import arrays
from tests.support.log_writer import TENANT

INTEGRATION = "integration-1"


@dataclass
class RefusalWriter:
    """Remembers the ids of what it committed."""

    url: str
    written: list[str] = field(default_factory=list)

    def write(self, count: int) -> list[str]:
        with psycopg.connect(self.url) as connection:
            return self.insert(connection, count)

    def insert(self, connection: psycopg.Connection, count: int) -> list[str]:
        """Append refusals, without commit."""
        arrays.register(connection)
        decided = [refusal(f"player-{n % 5}") for n in range(count)]
        statement = refusals.insert(decided)
        connection.execute(statement.sql, statement.params)
        made = [one.command_id for one in decided]
        self.written += made
        return made


def refusal(player: str) -> Decided:
    command_id = str(uuid7())
    outcome = Outcome("AuthorizeBet", "INSUFFICIENT_FUNDS", {"missing_minor": 5})
    return Decided(
        CommandKey(INTEGRATION, "bet", f"key-{command_id}"), command_id, "AuthorizeBet", TENANT, "trace-1", b"f" * 32,
        player_stream(TENANT, player), None, outcome, time.time_ns() // 1000, region="eu", kid="key-1", command_json="{}",
    )  # fmt: skip
