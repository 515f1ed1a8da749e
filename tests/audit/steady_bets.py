"""Bets at a steady rate, until SIGTERM: `python -m tests.audit.steady_bets DATABASE_URL BETS_PER_S`."""

import asyncio
import itertools
import signal
import sys

from ledger.core.policy import AT_SETTLEMENT, KNOWN, Policy
from ledger.journal.writer import Journal, Retryable
from ledger.outcome import Callback
from runtime.settings import Settings
from tests.support.commands import Asks

PLAYERS = 40
REFUSED_EACH = 20
AT_ONCE = 200
POLICY = Policy(AT_SETTLEMENT, session=KNOWN)


async def play(database_url: str, bets_per_s: int) -> int:
    """Gives how many bets were placed."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asks, numbers, running = Asks(), itertools.count(), set[asyncio.Task[None]]()

    async def bet(journal: Journal, number: int) -> None:
        player, name = f"p{number % PLAYERS}", f"b{number}"
        stake = "99999999" if number % REFUSED_EACH == 0 else "2"
        try:
            await journal.submit(Callback([asks.debit(stake, name, f"r{number}", player=player)], POLICY))
            await journal.submit(Callback([asks.settle("3", name, f"r{number}", player=player)], POLICY))
        except Retryable:
            return

    async with Journal(Settings(database_url=database_url)) as journal:
        for player in (f"p{n}" for n in range(PLAYERS)):
            await journal.submit(Callback([asks.open_wallet(player), asks.deposit("100000", player)], POLICY))
        loop = asyncio.get_running_loop()
        began, placed = loop.time(), 0
        while not stopping.is_set():
            due = int((loop.time() - began) * bets_per_s) - placed
            for number in itertools.islice(numbers, max(0, min(due, AT_ONCE - len(running)))):
                task = asyncio.create_task(bet(journal, number))
                running.add(task)
                task.add_done_callback(running.discard)
                placed += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*running)
        print(placed, round(placed / (loop.time() - began)), flush=True)
        return placed


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1], int(sys.argv[2])))
