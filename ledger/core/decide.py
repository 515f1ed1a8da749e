"""The rules. `decide(state, command, policy)` answers with events or with a refusal and changes nothing."""

from collections.abc import Callable

from ledger.core.commands import (
    Adjust,
    AuthorizeBet,
    Award,
    Command,
    Deposit,
    EndSession,
    FinalizeBet,
    FinishRound,
    OpenWallet,
    Policy,
    ReinstateBet,
    RestrictPlayer,
    RollbackBet,
    SettleBet,
    StartSession,
    Withdraw,
)
from ledger.core.decision import Decision
from ledger.core.rules import bets, players, regions, rollbacks, rounds, wallets, wins
from ledger.core.state import State


def decide(state: State, command: Command, policy: Policy) -> Decision:
    """Judge `command` on `state`, which holds the player, the wallets and all that the command says it needs."""
    return regions.foreign(state, command) or RULES[type(command)](state, command, policy)


RULES: dict[type[Command], Callable[..., Decision]] = {
    OpenWallet: wallets.open_wallet,
    Deposit: wallets.deposit,
    Withdraw: wallets.withdraw,
    Adjust: wallets.adjust,
    RestrictPlayer: players.restrict,
    StartSession: players.start_session,
    EndSession: players.end_session,
    AuthorizeBet: bets.authorize,
    FinalizeBet: bets.finalize,
    SettleBet: wins.settle,
    Award: wins.award,
    RollbackBet: rollbacks.rollback,
    ReinstateBet: rollbacks.reinstate,
    FinishRound: rounds.finish,
}
