"""Random histories in every protocol: any order, repetition and simultaneity of bets, wins, cancels and ends of rounds.

WAGERLEDGER_TEST_EXAMPLES makes it longer (40 histories for each dialect by default), WAGERLEDGER_TEST_SEED repeats a run.
"""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from audit.verify import verify
from sandbox.drivers.driver import Request
from tests.gateway.providers.checks import START, Tables
from tests.gateway.providers.conftest import FOLDERS
from tests.support.house import Heard, Play
from tests.support.seeds import seeded_random

EXAMPLES = int(os.environ.get("WAGERLEDGER_TEST_EXAMPLES", "40"))
PLAYERS, ROUNDS, IDS = 2, 3, 4

SEEN: Counter[tuple[str, bool]] = Counter()
"""Answers of a test so far, by operation and whether they were a yes: a history of refusals would prove nothing."""

_BETS = (
    "select bet_id, status, stake_minor, stake_kind from wagerledger.bets where integration_id = %s and player_id = %s"
)
_WINS = """
select win_id, win_minor, undone_by from wagerledger.settlements where integration_id = %s and player_id = %s
"""
_APPLIED = """
select operation, idempotency_key, count(*) from wagerledger.commands where scope = %s group by 1, 2 having count(*) > 1
"""


@dataclass(frozen=True)
class Step:
    """One callback, sent `copies` times at once. Bet `number` is in round `number % ROUNDS` of `player`."""

    operation: str
    player: int
    number: int
    copies: int
    cancel: int = 0
    """Which of two cancel ids."""


STEPS = st.builds(
    Step,
    operation=st.sampled_from(["bet", "bet", "bet", "win", "win", "cancel", "cancel", "cancel win", "both", "finish"]),
    player=st.sampled_from([0, 0, 0, *range(1, PLAYERS)]),
    number=st.sampled_from([0, 0, *range(1, IDS)]),
    copies=st.sampled_from([1, 1, 1, 2, 3]),
    cancel=st.integers(0, 1),
)

ORDINARY = [
    Step("bet", 0, 0, 3), Step("win", 0, 0, 3), Step("bet", 1, 0, 1), Step("bet", 0, 1, 1), Step("cancel", 0, 1, 3), Step("win", 0, 1, 1),
    Step("cancel", 0, 2, 1), Step("bet", 0, 2, 2), Step("cancel", 0, 0, 1), Step("finish", 0, 0, 2), Step("win", 1, 0, 1),
]  # fmt: skip
"""Among all that is unlikely, what providers do every day."""


@dataclass
class History:
    """What was played and heard."""

    tables: Tables
    plays: list[Play]
    heard: defaultdict[tuple[str, int, int], list[Heard]] = field(default_factory=lambda: defaultdict(list))

    def play(self, step: Step) -> None:
        play = self.plays[step.player]
        request = self._request(play, step)
        if request is None:
            return
        key, traits = (step.operation, step.player, step.number), self.tables.traits
        for heard in self.tables.home.send_at_once(request, play.seat, step.copies):
            assert heard.says != traits.temporary or heard.says == traits.win_without_bet, heard
            self.heard[key].append(heard)
            SEEN[step.operation, heard.reading.ok] += 1

    def _request(self, play: Play, step: Step) -> Request | None:
        bet, win, round_name = f"bet{step.number}", f"win{step.number}", f"round{step.number % ROUNDS}"
        stake, paid, driver = str(step.number + 1), str(3 * step.number + 2), play.driver
        match step.operation:
            case "bet":
                return play.a_bet(bet, stake, round_name)
            case "win":
                return play.a_win(win, bet, paid, round_name)
            case "cancel":
                return play.a_cancel(f"cancel{step.cancel}-{bet}", bet, stake, round_name)
            case "cancel win":
                return play.a_cancel_of_win(f"cancel{step.cancel}-{win}", win, bet, paid, round_name)
            case "both":
                ids = play.id(f"both{bet}"), play.id(f"both{win}"), play.id(round_name)
                return driver.bet_and_win(play.seat, ids[0], stake, ids[1], paid, ids[2])
        return driver.finish(play.seat, play.id(round_name))

    # What must hold.

    def check(self) -> None:
        for number, play in enumerate(self.plays):
            bets = self._check_money(play)
            self._check_answers(number, play, bets)
        assert not self.tables.home.house.rows(_APPLIED, (self.tables.home.integration_id,))

    def _check_money(self, play: Play) -> dict[str, str]:
        """Money is what is staked and won by what stands: each id once, and nothing of what is cancelled. Gives the bets'
        status.
        """
        home, wallet = self.tables.home, play.wallet
        bets = home.house.rows(_BETS, (home.integration_id, play.seat.player_id))
        wins = home.house.rows(_WINS, (home.integration_id, play.seat.player_id))
        staked = sum(stake for _, status, stake, kind in bets if status in ("open", "settled") and kind != "free")
        won = sum(amount for _, amount, undone_by in wins if undone_by is None)
        expected = START + Decimal(won - staked).scaleb(-play.seat.exponent)
        assert wallet.available + wallet.receivable == expected, (wallet, bets, wins)
        assert min(wallet.cash, wallet.bonus, wallet.held) >= 0, wallet
        return {bet_id: status for bet_id, status, _, _ in bets}

    def _check_answers(self, number: int, play: Play, bets: dict[str, str]) -> None:
        traits = self.tables.traits
        for bet_number in range(IDS):
            status = bets.get(play.id(f"bet{bet_number}"))
            cancels = self.heard["cancel", number, bet_number]
            round_mates = range(bet_number % ROUNDS, IDS, ROUNDS)
            won = any(heard.reading.ok for mate in round_mates for heard in self.heard["win", number, mate])
            if any(heard.reading.ok for heard in cancels) and not (won and traits.cancel_after_win_effect == "none"):
                assert status in ("rolled_back", "tombstoned"), (status, *map(str, cancels))
            firsts = [heard for heard in self.heard["bet", number, bet_number] if heard.says == traits.ok]
            assert status is not None or not firsts, (status, *map(str, firsts))


def run_histories(tables: Tables, examples: int, *, shrink: bool = True) -> None:
    """Raises AssertionError with the shortest history that goes wrong."""

    @hypothesis.seed(seeded_random().randrange(2**32))
    @settings(
        max_examples=examples, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])], report_multiple_bugs=False,
    )  # fmt: skip
    @example(ORDINARY)
    @given(st.lists(STEPS, min_size=6, max_size=20))
    def histories(steps: list[Step]) -> None:
        history = History(tables, [tables.home.sit() for _ in range(PLAYERS)])
        for step in steps:
            history.play(step)
        history.check()

    histories()


@pytest.mark.parametrize("tables", FOLDERS, indirect=True)
def test_random_histories(tables: Tables):
    """Whatever is repeated, reordered or simultaneous: each id counts at most once, a cancelled one for nothing, and the money is right."""
    SEEN.clear()
    run_histories(tables, EXAMPLES)
    assert all(SEEN[operation, True] for operation in ("bet", "win", "cancel")), SEEN


def test_the_books_hold(all_tables: dict[str, Tables]):
    """After all of that, every stream folds to what is stored, its chain holds, and each currency sums to zero."""
    house = next(iter(all_tables.values())).home.house
    report = verify(house.settings, database=True, topics=False)
    assert report.ok, report.findings[:20]
