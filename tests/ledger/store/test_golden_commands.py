"""What identifies a command, and what is kept of it, stays as it was written: repeats come years later."""

import json
from pathlib import Path

import pytest

from ledger.core.bets import AuthorizeBet, FinalizeBet
from ledger.core.commands import Command, Origin
from ledger.core.decide import RULES
from ledger.core.limits import ConfirmLimit, SetLimit
from ledger.core.money import Amount
from ledger.core.players import EndSession, RestrictPlayer, StartSession
from ledger.core.rollbacks import ReinstateBet, Rollback
from ledger.core.rounds import FinishRound
from ledger.core.wallets import Adjust, Deposit, OpenWallet, Withdraw
from ledger.core.wins import Award, SettleBet
from ledger.idempotency import fingerprint
from ledger.store.commands import command_json

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "commands.json"
"""Name of a command below to the fingerprint and the JSON that were written of it."""
ORIGIN = Origin("acme", "eu", "acme/eu/spin", "spin", "api", "key-1", "trace-1", None, 1_700_000_000_000_001, "tx-1")
ASKED = {"origin": ORIGIN, "command_id": "0190a6e0-0000-7000-8000-000000000001", "received_at": 1_700_000_000_000_000}
ANN = {**ASKED, "player": "ann", "currency": "EUR"}
FIVE = Amount(5, 0)

COMMANDS: dict[str, Command] = {
    "OpenWallet": OpenWallet(**ANN, exponent=2),
    "Deposit": Deposit(**ANN, amount=Amount(1050, 2), reference="ref", actor="clerk"),
    "Withdraw": Withdraw(**ANN, amount=FIVE, reference="ref", actor="clerk"),
    "Adjust": Adjust(
        **ANN, amount=FIVE, negative=True, reason="goodwill", reference="ticket", actor="clerk", approver="chief",
        round_id="r1", game_id="dice",
    ),
    "RestrictPlayer": RestrictPlayer(**ASKED, player="ann", restriction="locked", reason="limits", actor="clerk"),
    "RestrictPlayer frees": RestrictPlayer(**ASKED, player="ann", restriction=None, reason="limits", actor="clerk"),
    "SetLimit": SetLimit(
        **ANN, limit_kind="loss", period="week", amount=FIVE, set_by="player", reason="asked", actor="clerk",
        raise_after_s=259_200, after_period_end=True, confirm_within_s=604_800, calendar="Europe/Berlin@1",
    ),
    "SetLimit removes": SetLimit(
        **ANN, limit_kind="stake", period="day", amount=None, set_by="operator", reason="asked", actor="clerk"
    ),
    "SetLimit confirms": ConfirmLimit(**ANN, limit_id="loss/week/player", reason="asked", actor="clerk"),
    "StartSession": StartSession(
        **ANN, game_id="dice", locale="de-DE", mode="real", expires_at=1_700_003_600_000_000,
        for_integration="acme/eu/reel", jurisdiction="MT",
    ),
    "EndSession": EndSession(**ASKED, session_id="s1", reason="logout", by_operator=True),
    "AuthorizeBet": AuthorizeBet(**ASKED, session_id="s1", bet_id="b1", round_id="r1", amount=FIVE, currency="EUR"),
    "AuthorizeBet of a player": AuthorizeBet(
        **ANN, session_id="s1", bet_id="b1", round_id="r1", amount=FIVE, game_id="dice", stake_kind="tip",
        wallet_currency="USD",
    ),
    "FinalizeBet": FinalizeBet(**ASKED, bet_id="b1"),
    "SettleBet": SettleBet(**ASKED, bet_id="b1", round_id="r1", win=FIVE, currency="EUR"),
    "SettleBet of a round": SettleBet(
        **ANN, bet_id=None, round_id="r1", win=FIVE, in_bonus=True, freespins_left=3, win_id="w1", game_id="dice",
        win_kind="jackpot", ends_bet=False, wallet_currency="USD", only_open=True,
    ),
    "Award": Award(
        **ANN, amount=FIVE, award_id="a1", award_kind="promo", campaign_id="c1", round_id="r1", game_id="dice"
    ),
    "RollbackBet": Rollback(**ASKED, target_id="b1", round_id="r1", reason="void", session_id="s1", currency="EUR"),
    "RollbackBet of a player's win": Rollback(
        **ANN, target_id="w1", round_id="r1", reason="void", session_id="s1", target="win", only_open=True
    ),
    "ReinstateBet": ReinstateBet(**ASKED, bet_id="b1", reason="void", rollback_id="rb_1"),
    "FinishRound": FinishRound(**ANN, round_id="r1", game_id="dice"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_told_by_the_same_bytes(name: str) -> None:
    """A repeat of a command that was taken years ago meets its fingerprint, and evidence of it reads the same."""
    command = COMMANDS[name]
    written = {"fingerprint": fingerprint(command).hex(), "asked": command_json(command)}
    golden = json.loads(GOLDEN.read_text())
    assert name in golden, f"add to {GOLDEN}: {json.dumps({name: written})}"
    assert written == golden[name]


def test_there_is_one_of_every_kind() -> None:
    """Each kind of command that has a rule stands above, under the name that the database keeps."""
    assert {type(command) for command in COMMANDS.values()} == set(RULES)
    assert all(name.split()[0] == command.kind for name, command in COMMANDS.items())
