"""A random life of a ledger, played through the journal: every kind of command, refusals, repeats, late and doubled callbacks."""

import asyncio
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg

from ledger.admin import rates
from ledger.core.commands import Command
from ledger.core.policy import AT_AUTHORIZATION, AT_SETTLEMENT, KNOWN, REFUSE, REVERSE, Policy
from ledger.core.state import DEMO, LOCKED, REAL, Rate
from ledger.journal.writer import Journal
from ledger.outcome import Callback, Outcome
from runtime.settings import Settings
from tests.support.commands import BY, NOW, Asks

CURRENCIES = {"EUR": 2, "JPY": 0}
TENANTS = ("acme", "zeta")


@dataclass
class Player:
    """What the game knows of a player."""

    tenant_id: str
    name: str
    asks: Asks
    sessions: list[tuple[str, str]] = field(default_factory=list)
    """Session and currency."""
    bets: list[tuple[str, str, str]] = field(default_factory=list)
    """Bet, round and currency."""
    wins: list[str] = field(default_factory=list)


@dataclass
class Game:
    """Asks the journal at random and keeps what it was told."""

    journal: Journal
    rng: random.Random
    told: list[tuple[Command, Outcome]] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    async def ask(self, *commands: Command) -> Outcome:
        rng = self.rng
        policy = Policy(
            rng.choice((AT_SETTLEMENT, AT_AUTHORIZATION)),
            rng.choice((REFUSE, REVERSE)),
            session=KNOWN,
            rollback_of_win=REVERSE,
            win_needs_bet=False,
            rate_max_age_s=3600,
            session_idle_s=rng.choice((0, 3 * 3600, 9 * 3600)),
        )
        outcomes = await self.journal.submit(Callback(commands, policy))
        self.told += zip(commands, outcomes, strict=False)
        if rng.random() < 0.1:
            await self.journal.submit(Callback(commands, policy))
        return outcomes[-1]

    async def begin(self, player: Player) -> None:
        operator = Asks(player.tenant_id, None)
        for currency, exponent in CURRENCIES.items():
            await self.ask(operator.open_wallet(player.name, currency, exponent))
            await self.ask(operator.deposit("1000", player.name, currency))
            started = await self.ask(
                player.asks.start_session(player.name, currency, mode=self.rng.choice((REAL, REAL, DEMO)))
            )
            player.sessions.append((started.result["session_id"], currency))

    async def live(self, player: Player, steps: int) -> None:
        await self.begin(player)
        for _ in range(steps):
            await self.rng.choice(
                (
                    *(self.bet, self.bet, self.settle, self.settle, self.roll_back, self.cash, self.change_session),
                    *(self.round, self.foreign_round, self.credit, self.undo),
                )
            )(player)

    async def bet(self, player: Player) -> None:
        session_id, currency = self.rng.choice(player.sessions)
        bets = [f"{player.tenant_id}-{player.name}-b{next(self.numbers)}" for _ in range(self.rng.choice((1, 1, 2)))]
        commands = [
            player.asks.bet(str(self.rng.randrange(1, 400)), bet, f"r-{bet}", session_id=session_id, currency=currency)
            for bet in bets
        ]
        if not (await self.ask(*commands)).refusal_code:
            player.bets += [(bet, f"r-{bet}", currency) for bet in bets]

    async def settle(self, player: Player) -> None:
        if player.bets:
            bet, round_id, currency = self.rng.choice(player.bets)
            await self.ask(player.asks.settle(str(self.rng.choice((0, 0, 5, 700))), bet, round_id, currency=currency))

    async def roll_back(self, player: Player) -> None:
        unknown = f"{player.tenant_id}-{player.name}-x{next(self.numbers)}"
        session_id = self.rng.choice((None, player.sessions[-1][0]))
        known = [player.asks.rollback(bet, round_id) for bet, round_id, _ in player.bets]
        await self.ask(self.rng.choice([*known, player.asks.rollback(unknown, "r", session_id=session_id)]))

    async def round(self, player: Player) -> None:
        """A bet and a win of a round that nobody's session is asked for, and often the round's end."""
        number, named = next(self.numbers), {"player": player.name}
        round_id = f"r-{number % 3}"
        bet, win = f"{player.tenant_id}-{player.name}-b{number}", f"{player.tenant_id}-{player.name}-w{number}"
        await self.ask(player.asks.debit("3", bet, round_id, **named), player.asks.win("4", win, round_id, **named))
        player.wins.append(win)
        if self.rng.random() < 0.7:
            await self.ask(player.asks.finish(round_id, **named))

    async def foreign_round(self, player: Player) -> None:
        """Bets in a currency that is no wallet's, wins beside them and their end: of one, or of the round."""
        number, named = next(self.numbers), {"player": player.name, "currency": "USD"}
        round_id, name = f"f-{number % 3}", f"{player.tenant_id}-{player.name}-{number}"
        bet, amount, asks = f"{name}-b", str(self.rng.randrange(1, 90)), player.asks
        await self.ask(asks.debit(amount, bet, round_id, wallet_currency="EUR", **named))
        win = asks.settle("7.77", bet, round_id, win_id=f"{name}-w", ends_bet=self.rng.random() < 0.5, **named)
        last = [
            asks.win("0.05", f"{name}-v", round_id, **named),
            asks.rollback(bet, round_id),
            asks.finish(round_id, **named),
        ]
        for command in (win, *self.rng.sample(last, 2)):
            await self.ask(command)
        player.bets.append((bet, round_id, "USD"))
        player.wins += [f"{name}-w", f"{name}-v"]

    async def credit(self, player: Player) -> None:
        award = f"{player.tenant_id}-{player.name}-a{next(self.numbers)}"
        player.wins.append(award)
        await self.ask(player.asks.award("6", award, self.rng.choice(("promo", "jackpot")), player=player.name))
        operator = Asks(player.tenant_id, None)
        await self.ask(operator.adjust("2", player.name, negative=self.rng.random() < 0.5))
        await self.ask(operator.restrict(self.rng.choice((LOCKED, None)), player.name))
        await self.ask(operator.restrict(None, player.name))

    async def undo(self, player: Player) -> None:
        """A win, a rollback, or the last freedom of a bet."""
        if player.wins:
            await self.ask(player.asks.undo_win(self.rng.choice(player.wins), target="any"))
        if player.bets:
            bet, _, _ = self.rng.choice(player.bets)
            await self.ask(self.rng.choice((player.asks.reinstate, player.asks.finalize))(bet))

    async def cash(self, player: Player) -> None:
        operator = Asks(player.tenant_id, None)
        ask = self.rng.choice((operator.deposit, operator.withdraw))
        await self.ask(ask(str(self.rng.randrange(1, 2000)), player.name, self.rng.choice(list(CURRENCIES))))

    async def change_session(self, player: Player) -> None:
        session_id, currency = player.sessions[-1]
        await self.ask(player.asks.end_session(session_id))
        started = await self.ask(player.asks.start_session(player.name, currency))
        player.sessions.append((started.result["session_id"], currency))


def play(settings: Settings, rng: random.Random, *, players: int = 6, steps: int = 40) -> list[tuple[Command, Outcome]]:
    """Let players live side by side, half of them in each tenant. Gives every command with what it was told."""

    async def run() -> list[tuple[Command, Outcome]]:
        with psycopg.connect(settings.database_url.get_secret_value()) as connection:
            known = [Rate(tenant, "USD", "EUR", 7, 9, 2, "bank", NOW - 1) for tenant in TENANTS]
            rates.add(connection, known, by=BY)
        async with Journal(settings) as journal:
            game = Game(journal, rng)
            tenants = [TENANTS[n % len(TENANTS)] for n in range(players)]
            everyone = [Player(tenant, f"p{n}", Asks(tenant, f"{tenant}/eu/spin")) for n, tenant in enumerate(tenants)]
            await asyncio.gather(*(game.live(player, steps) for player in everyone))
            return game.told

    return asyncio.run(run())
