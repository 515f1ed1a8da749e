"""A whole system with a few wallets and two gateways, and everything that was ever asked of it."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.servers.service import GatewayService
from sandbox.system import Player, System
from tests.support.checker import check, tell
from tests.support.load import Call, Load, Wallet
from tests.support.traces import keep_logs

PLAYERS = (
    *(Player(f"p_rich_{number}", "EUR", "5000.00") for number in (1, 2, 3)),
    Player("p_dollar", "USD", "5000.00"),
    Player("p_poor", "EUR", "20.00"),
)
"""Few, so that everybody meets at the same wallets."""
PATIENT_S = 60.0, 60.0
"""Time-outs of callers who must hear an answer: far more than the gateway's own, so whoever waits longer hangs."""


@dataclass
class Casino:
    system: System
    second_gateway: GatewayService
    rng: random.Random
    history: list[Call] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    restored: bool = False
    """The database was set back to an earlier moment; what the topics brought back is what made events."""

    @property
    def wallets(self) -> list[Wallet]:
        return [
            Wallet(player.player_id, player.currency, int(player.deposit.replace(".", "")))
            for player in self.system.players
        ]

    @property
    def gateways(self) -> list[str]:
        return [self.system.gateway.url, self.second_gateway.url]

    def new_load(self, **options: Any) -> Load:
        """A load whose history is the casino's too."""
        load = Load(self.gateways, self.system.description()["integration"], self.wallets, self.rng, **options)
        load.history = self.history
        return load

    def repeat(self, count: int) -> None:
        """Send some of the calls once more, that must hear what they heard."""
        told = [call for call in self.history if call.answer and call.answer.remembered and not call.intruder]
        if self.restored:  # a no moved nothing, so the topics did not keep it
            told = [call for call in told if call.accepted]
        self.new_load(timeouts_s=PATIENT_S).repeat(self.rng.sample(told, min(count, len(told))))

    def check(self, *must_happen: str) -> Counter[str]:
        """Repeat a part of all calls, then check everything. `must_happen` names counts without which the run proves nothing."""
        self.repeat(500)
        counts = check(self.system, self.history, restored=self.restored) + self.faults
        tell(counts)
        for name in must_happen:
            assert counts[name], f"this never happened, so the run proves nothing: {name}"
        return counts


@contextmanager
def open_casino(root: Path, rng: random.Random) -> Iterator[Casino]:
    """Opened, and closed again; the logs stay after a failure."""
    keep_logs(root)
    system = System(root, players=PLAYERS, sealed=False)
    try:
        with system:
            # Twins then meet in two processes, which only the database keeps apart.
            second = GatewayService(system.root, system._gateway_environment, name="gateway-2")
            system.stack.add(second)
            yield Casino(system, second, rng)
    finally:
        remove_data(root)


def remove_data(root: Path) -> None:
    """Everything but the logs, which whoever looks for a failure needs."""
    for folder in root.iterdir() if root.exists() else ():
        if folder.is_dir() and folder.name != "log":
            shutil.rmtree(folder, ignore_errors=True)


def option(name: str, default: float) -> float:
    """A number that makes the run longer or shorter, from the environment."""
    return float(os.environ.get(f"WAGERLEDGER_TEST_{name}") or default)
