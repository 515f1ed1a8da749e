"""Journals on a test's own database, and players to play with."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from ledger.core.commands import Command
from ledger.core.policy import Policy
from ledger.journal.writer import Journal, Retryable
from ledger.outcome import Callback, Outcome
from runtime.settings import Settings
from tests.support.commands import Asks

PATIENT_MS = 30_000
"""The deadline of a journal whose test is not about deadlines: what hangs fails, what is slow does not."""


def settings_of(database_url: str, **changes: Any) -> Settings:
    return Settings(database_url=database_url, **({"journal_deadline_ms": PATIENT_MS} | changes))


def told(outcome: Outcome) -> bytes:
    """An answer as a dialect makes it, with something in it that differs from call to call."""
    return f"{time.monotonic_ns()} {outcome.refusal_code} {outcome.to_json()}".encode()


def callback(*commands: Command, **policy: Any) -> Callback:
    return Callback(commands, Policy(**policy), told)


async def ask_one(journal: Journal, command: Command, **policy: Any) -> Outcome:
    (outcome,) = await journal.submit(callback(command, **policy))
    return outcome


async def accepted(journal: Journal, command: Command, **policy: Any) -> Outcome:
    outcome = await ask_one(journal, command, **policy)
    assert outcome.refusal_code is None, outcome
    return outcome


async def players(
    journal: Journal, ask: Asks, names: Iterable[str], text: str = "100", currency: str = "EUR"
) -> list[str]:
    """Open a wallet with some cash for each, and a session of `ask`'s integration. The session ids, in order."""

    async def player(name: str) -> str:
        await accepted(journal, ask.open_wallet(name, currency))
        await accepted(journal, ask.deposit(text, name, currency))
        return (await accepted(journal, ask.start_session(name, currency))).result["session_id"]

    return await asyncio.gather(*map(player, names))


async def until_answered(journal: Journal, asked: Callback, pause_s: float = 0.05) -> Sequence[Outcome]:
    """Repeat as a provider does, with the same keys, until there is an answer."""
    while True:
        try:
            return await journal.submit(asked)
        except Retryable:
            await asyncio.sleep(pause_s)


def run(main: Callable[[], Awaitable[Any]], timeout_s: float = 180) -> Any:
    """Run a test's coroutine; one that hangs fails."""
    return asyncio.run(asyncio.wait_for(main(), timeout_s))
