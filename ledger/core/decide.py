"""The rules. `decide(state, command, policy, at)` answers with events or with a refusal and changes nothing."""

from collections.abc import Callable

from ledger.core import bets, limits, players, regions, rollbacks, rounds, wallets, wins
from ledger.core.commands import Command
from ledger.core.decision import Decision
from ledger.core.policy import Policy
from ledger.core.state import State


def decide(state: State, command: Command, policy: Policy, at: int) -> Decision:
    """Judge `command` on `state`, which holds the player, the wallets and all that the command says it needs.

    `at` is when it is decided, microseconds since the epoch: the time that its events will carry.
    """
    return regions.foreign(state, command) or RULES[type(command)](state, command, policy, at)


RULES: dict[type[Command], Callable[..., Decision]] = {
    wallets.OpenWallet: wallets.open_wallet,
    wallets.Deposit: wallets.deposit,
    wallets.Withdraw: wallets.withdraw,
    wallets.Adjust: wallets.adjust,
    players.RestrictPlayer: players.restrict,
    limits.SetLimit: limits.set_limit,
    limits.ConfirmLimit: limits.confirm_limit,
    players.StartSession: players.start_session,
    players.EndSession: players.end_session,
    bets.AuthorizeBet: bets.authorize,
    bets.FinalizeBet: bets.finalize,
    wins.SettleBet: wins.settle,
    wins.Award: wins.award,
    rollbacks.Rollback: rollbacks.rollback,
    rollbacks.ReinstateBet: rollbacks.reinstate,
    rounds.FinishRound: rounds.finish,
}
"""The rule of each kind of command."""
