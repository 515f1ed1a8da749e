"""This code beside that of another commit, both at once and measured in turns: what a change did for a bet."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.bets import HOT, SPREAD, TABLE_WIDTH
from bench.contestant import CHECKOUT, Contestant, unpacked
from bench.report import table
from bench.turns import TURNS, Duel

THIS = "this code"


def run(
    *, revision: str, seconds: float, concurrency: Sequence[int], wallets: int, gateways: int, as_json: bool
) -> None:
    """Measure and print: our figures by the other's."""
    say = Console(stderr=True, style="dim", highlight=False).print
    with TemporaryDirectory(prefix="wagerledger-bench-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        root = Path(folder)
        checkouts = {THIS: CHECKOUT, revision: unpacked(revision, root / "code")}
        contestants = []
        for name, checkout in checkouts.items():
            say(f"starting {name}")
            contestants.append(stack.enter_context(Contestant(name, checkout, wallets, gateways, root)))
        ours, theirs = contestants
        duel = Duel(ours, theirs, root, say)
        duel.warm_up(wallets)
        found = list(duel.rows((SPREAD, HOT), concurrency, seconds))
    if as_json:
        print(json.dumps(found))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    console.print(
        table(f"This code by {revision}: medians of the ratios of {TURNS} turns (CPU in microseconds per bet)", found)
    )
