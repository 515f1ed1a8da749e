"""How commands of both doors come to be committed: in the units and the wallets that the integration's options say."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.dialect.integration import Integration
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command
from ledger.core.wallets import Adjust
from ledger.core.wins import Award, SettleBet
from ledger.journal.writer import Journal
from ledger.outcome import Balances, Callback, Outcome, Proof


async def submit(
    journal: Journal,
    integration: Integration,
    commands: tuple[Command, ...],
    *,
    render: Callable[[Outcome], bytes] | None = None,
    proof: Proof | None = None,
) -> tuple[Outcome, ...]:
    """Commit `commands` of `integration` in order, all or none; returns when they are durable, as `Journal.submit`
    does. `render` and `proof` are the callback's. Without commands, only the proof is remembered.
    """
    powers = integration.powers
    if powers:
        commands = tuple([in_our_unit(command, powers) for command in commands])
    if wallet_currency := integration.option("wallet_currency"):
        commands = tuple([in_wallet(command, wallet_currency) for command in commands])
    # Nothing cancels this: a caller that leaves now finds the outcome under its key.
    outcomes = await journal.submit(Callback(commands, integration.policy, render, proof))
    if powers:
        outcomes = tuple([replace(one, balances=one.balances and in_unit_of(one.balances, powers)) for one in outcomes])
    return outcomes


def in_our_unit(command: Command, powers: Mapping[str, int]) -> Command:
    """As the ledger counts: the amount of a command whose currency the provider counts in another unit."""
    power = powers.get(getattr(command, "currency", None) or "", 0)
    if power and isinstance(command, SettleBet):
        return replace(command, win=command.win.times_ten_to(power))
    if power and isinstance(command, AuthorizeBet | Award | Adjust):
        return replace(command, amount=command.amount.times_ten_to(power))
    return command


def in_unit_of(balances: Balances, powers: Mapping[str, int]) -> Balances:
    """As the provider counts: balances in its unit of the currency, which is 10 to the power of ours."""
    power = powers.get(balances.currency, 0)
    return balances.times_ten_to(power) if power else balances


def in_wallet(command: Command, wallet_currency: str) -> Command:
    """With the currency of the player's wallet, where the command's own is another one."""
    if isinstance(command, AuthorizeBet | SettleBet) and command.currency != wallet_currency:
        return replace(command, wallet_currency=wallet_currency)
    return command
