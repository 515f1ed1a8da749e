"""Limits that protect a player: how they are set, lowered and raised, and what they stop.

A limit stops debits and deposits. What is won, given back or withdrawn always passes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from ledger.core import folds
from ledger.core.calendars import CALENDARS, period
from ledger.core.commands import Command, PlayerCommand
from ledger.core.decision import Accepted, Decision, Refusal, accept, minor, reason_missing, wallet_of
from ledger.core.events import Event, Payload
from ledger.core.folds import Touched
from ledger.core.money import Amount, format_minor
from ledger.core.policy import Policy
from ledger.core.state import BetsOfRound, Key, Limit, Player, Rate, State, Wallet
from ledger.core.tallies import Tally
from ledger.core.value import value

DEPOSIT: Final = "deposit"
NET_DEPOSIT: Final = "net_deposit"
STAKE: Final = "stake"
LOSS: Final = "loss"
SINGLE_STAKE: Final = "single_stake"
KINDS: Final = (DEPOSIT, NET_DEPOSIT, STAKE, LOSS, SINGLE_STAKE)
PERIODS: Final = ("day", "week", "month")
ROUND: Final = "round"
"""The period of a limit of a single stake: what is staked in one round."""
SET_BY: Final = ("player", "operator", "regulator")

MAX_LIMITS = 24
"""How many limits one player may have."""
RAISE_AFTER_S = 86_400
"""How long a raise waits, where nobody says otherwise."""
RATE_MAX_AGE_S = 86_400
"""How old a rate may be by which another currency counts, where the integration's policy says nothing."""

_USED: dict[str, Callable[[Tally], int]] = {
    DEPOSIT: lambda tally: tally.deposit_minor,
    NET_DEPOSIT: lambda tally: tally.deposit_minor - tally.withdrawal_minor,
    STAKE: lambda tally: tally.stake_minor,
    LOSS: lambda tally: tally.loss_minor,
}
"""What counts before, of one wallet in one period."""


@value()
class SetLimit(PlayerCommand):
    """Set, lower, raise or remove a limit of a player, in the currency of one of their wallets. Lower is at once; more
    comes after a wait.
    """

    kind = "SetLimit"
    limit_kind: str
    """deposit, net_deposit, stake, loss or single_stake."""
    period: str
    """day, week or month; round for a single stake."""
    amount: Amount | None
    """None removes it, which is the highest raise."""
    set_by: str
    """player, operator or regulator: each has limits of their own, and the lowest of all counts."""
    reason: str
    actor: str
    raise_after_s: int = RAISE_AFTER_S
    """How long a raise waits, seconds."""
    after_period_end: bool = False
    """Whether a raise also waits until the running period has ended."""
    confirm_within_s: int = 0
    """How long after the wait a raise can be confirmed, without which it never comes, seconds; 0: it just comes."""
    calendar: str | None = None
    """By which days, weeks and months all limits of the player count from now on; None: as before."""

    @property
    def limit_id(self) -> str:
        """A player has one limit of a kind and a period from each who may set one."""
        return f"{self.limit_kind}/{self.period}/{self.set_by}"


@value()
class ConfirmLimit(PlayerCommand):
    """Confirm the raise of a limit, once its wait is over. `currency` is the limit's. It makes the event that a setting
    makes, and is kept under the same kind.
    """

    kind = "SetLimit"
    limit_id: str
    reason: str
    actor: str


@value(slots=False)
class LimitSet(Payload):
    """A limit of a player is now as it says: `limit_minor` counts, until `effective_at` and, where it has to be
    confirmed, its confirmation; then `pending_minor`. None is no limit. Minor units.
    """

    event_type = "rg.limit.set"
    command_kind = "SetLimit"
    limit_id: str
    kind: str
    period: str
    set_by: str
    currency: str
    exponent: int
    limit_minor: int | None
    pending_minor: int | None
    effective_at: int | None
    """Microseconds since the epoch; None: nothing waits."""
    confirm_by: int | None
    """Microseconds since the epoch; None: needs no confirmation."""
    calendar: str
    status: str
    """set, pending, confirmed or removed."""
    reason: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        told = {"status": self.status, "limit_id": self.limit_id}
        return told if self.effective_at is None else {**told, "effective_at": str(self.effective_at)}


def set_limit(state: State, command: SetLimit, _: Policy, at: int) -> Decision:
    """What is lower counts at once, also where more is used already; a raise waits, and each new one anew."""
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    player = _player(state, command)
    if refusal := reason_missing(command.actor, command.reason) or _cannot_have(player, command):
        return refusal
    amount_minor = minor(command.amount, wallet.currency, wallet.exponent) if command.amount else None
    if isinstance(amount_minor, Refusal):
        return amount_minor
    before, calendar = _of(player, command.limit_id), command.calendar or player.calendar
    limit = _after_change(before, command, wallet, amount_minor, calendar, at)
    status = "removed" if limit is None else "pending" if limit.effective_at else "set"
    if limit == before and calendar == player.calendar:
        return Accepted((), {"status": status, "limit_id": command.limit_id})
    limit = limit or Limit(command.limit_id, wallet.currency, wallet.exponent, None)
    return accept(command, command.player, (), _told(limit, calendar, status, command), at)


def _cannot_have(player: Player, command: SetLimit) -> Refusal | None:
    before = _of(player, command.limit_id)
    if before and before.currency != command.currency:
        return Refusal("CURRENCY_MISMATCH", {"currency": command.currency, "expected": before.currency})
    if before is None and len(player.limits) >= MAX_LIMITS:
        return Refusal("LIMITS_TOO_MANY", {"player_id": command.player, "maximum": MAX_LIMITS})
    return None


def confirm_limit(state: State, command: ConfirmLimit, _: Policy, at: int) -> Decision:
    """A raise that waits for it is confirmed once its wait is over, and not too late."""
    player = state.player(command.origin.tenant_id, command.player)
    limit = _of(player, command.limit_id)
    if player is None or limit is None or not limit.confirm_by:
        return Refusal("LIMIT_NOT_FOUND", {"limit_id": command.limit_id, "player_id": command.player})
    if refusal := reason_missing(command.actor, command.reason):
        return refusal
    if not limit.effective_at <= at < limit.confirm_by:
        return Refusal(
            "LIMIT_NOT_DUE", {"limit_id": limit.limit_id, "from_us": limit.effective_at, "until_us": limit.confirm_by}
        )
    confirmed = Limit(limit.limit_id, limit.currency, limit.exponent, limit.pending_minor)
    return accept(command, command.player, (), _told(confirmed, player.calendar, "confirmed", command), at)


def _player(state: State, command: PlayerCommand) -> Player:
    """Who has a wallet is a player."""
    player = state.player(command.origin.tenant_id, command.player)
    assert player, f"{command.player} has a wallet and is no player"
    return player


def limit_set(state: State, event: Event, payload: LimitSet) -> Touched:
    """The limit is as the event says; one that is no limit, and that nothing waits for, is gone."""
    player = folds.player(state, event)
    limit = Limit(
        payload.limit_id, payload.currency, payload.exponent, payload.limit_minor, payload.pending_minor,
        payload.effective_at or 0, payload.confirm_by or 0,
    )  # fmt: skip
    others = [one for one in player.limits if one.limit_id != limit.limit_id]
    there = [] if limit.amount_minor is None and not limit.effective_at else [limit]
    return (replace(player, calendar=payload.calendar, limits=tuple(sorted(others + there))),)


def in_force(limit: Limit, at: int) -> int | None:
    """The amount that the limit is at `at`, minor units; None where it is none."""
    raised = limit.effective_at and at >= limit.effective_at and not limit.confirm_by
    return limit.pending_minor if raised else limit.amount_minor


class Asked(NamedTuple):
    """What is judged: money asked of a player's wallet, minor units, by the kinds of limits that count it."""

    player: Player
    wallet: Wallet
    amounts_minor: dict[str, int]
    in_round: int = 0
    """What the bet's round has staked before."""


def exceeded(state: State, asked: Asked, policy: Policy, at: int) -> Refusal | None:
    """A no to what would exceed a limit in force; of several the one with the least room left is named."""
    found: list[tuple[int, str, Refusal]] = []
    for limit in asked.player.limits:
        limit_minor, more_minor = in_force(limit, at), asked.amounts_minor.get(limit.kind)
        if limit_minor is None or not more_minor:
            continue
        used_minor = wanted_minor = 0
        of_round = [(asked.wallet, asked.in_round)]
        counted = of_round if limit.kind == SINGLE_STAKE else _counted(state, limit, asked.player, at)
        for wallet, before_minor in counted:
            here_minor = more_minor if wallet.currency == asked.wallet.currency else 0
            converted = _converted(state, limit, wallet, policy, at)
            if converted is None and (before_minor or here_minor):
                return Refusal("LIMIT_RATE_MISSING", {"currency": wallet.currency, "limit_currency": limit.currency})
            if converted:
                used_minor += converted(before_minor)
                wanted_minor += converted(before_minor + here_minor)
        if wanted_minor > limit_minor:
            refusal = _reached(limit, limit_minor, used_minor, wanted_minor - used_minor)
            found.append((limit_minor - used_minor, limit.limit_id, refusal))
    return min(found)[2] if found else None


def has_single_stake(player: Player) -> bool:
    """Whether a limit of the player counts what a round has staked."""
    return any(limit.kind == SINGLE_STAKE for limit in player.limits)


def needs(state: State, command: Command, tenant_id: str, player_id: str) -> Sequence[Key]:
    """Keys of what a command that obeys limits is judged on because of those that its player has, besides its own."""
    if not command.obeys_limits:
        return ()
    player = state.player(tenant_id, player_id)
    if player is None or not player.limits:
        return ()
    keys: list[Key] = [
        (Rate, tenant_id, wallet.currency, limit.currency)
        for wallet in state.wallets_of(tenant_id, player_id)
        for limit in player.limits
        if wallet.currency != limit.currency
    ]
    round_id = getattr(command, "round_id", None)
    if round_id and has_single_stake(player):
        keys.append((BetsOfRound, command.origin.integration_id, player_id, round_id))
    return keys


def counted_minor(state: State, limit: Limit, player: Player, at: int) -> int | None:
    """What counts of the player's limit at `at`, in its minor units; None where a rate is missing, and of a single
    stake, whose round nobody has named.
    """
    if limit.kind == SINGLE_STAKE:
        return None
    total_minor = 0
    for wallet, before_minor in _counted(state, limit, player, at):
        converted = _converted(state, limit, wallet, Policy(), at)
        if converted is None and before_minor:
            return None
        total_minor += converted(before_minor) if converted else 0
    return total_minor


def _counted(state: State, limit: Limit, player: Player, at: int) -> Iterable[tuple[Wallet, int]]:
    """What counts already in the running period, of each wallet in its own minor units."""
    windows, used = CALENDARS[player.calendar].windows(at), _USED[limit.kind]
    return [
        (one, used(getattr(one.tallies.in_windows(windows), limit.period)))
        for one in state.wallets_of(player.tenant_id, player.player_id)
    ]


def _converted(state: State, limit: Limit, wallet: Wallet, policy: Policy, at: int) -> Callable[[int], int] | None:
    """Turns minor units of the wallet into those of the limit, rounding up; None where no rate is young enough."""
    if wallet.currency == limit.currency:
        return _as_it_is
    rate = state.rate(wallet.tenant_id, wallet.currency, limit.currency)
    max_age_s = policy.rate_max_age_s or RATE_MAX_AGE_S
    if rate is None or at - rate.as_of >= max_age_s * 1_000_000:
        return None
    return lambda amount_minor: rate.locked.with_amount(amount_minor).stake_minor(limit.exponent)


def _as_it_is(amount_minor: int) -> int:
    return amount_minor


def _reached(limit: Limit, limit_minor: int, used_minor: int, asked_minor: int) -> Refusal:
    amounts = {"limit": limit_minor, "used": used_minor, "asked": asked_minor}
    told = {name: format_minor(amount, limit.exponent) for name, amount in amounts.items()}
    return Refusal("LIMIT_REACHED", {"limit_id": limit.limit_id, "currency": limit.currency, **told})


def _after_change(
    before: Limit | None, command: SetLimit, wallet: Wallet, amount_minor: int | None, calendar: str, at: int
) -> Limit | None:
    """The limit as the command leaves it; None where it is gone."""
    now = in_force(before, at) if before else None
    lower = amount_minor is not None and (now is None or amount_minor <= now)
    limit = Limit(command.limit_id, wallet.currency, wallet.exponent, amount_minor)
    if lower or now is None or not command.raise_after_s:
        return None if amount_minor is None else limit
    effective_at = at + command.raise_after_s * 1_000_000
    if command.after_period_end and limit.kind != SINGLE_STAKE:
        effective_at = max(effective_at, period(at, calendar, limit.period).until_us)
    confirm_by = effective_at + command.confirm_within_s * 1_000_000 if command.confirm_within_s else 0
    return limit._replace(
        amount_minor=now, pending_minor=amount_minor, effective_at=effective_at, confirm_by=confirm_by
    )


def _told(limit: Limit, calendar: str, status: str, command: SetLimit | ConfirmLimit) -> LimitSet:
    kind, limit_period, set_by = limit.limit_id.split("/")
    return LimitSet(
        limit_id=limit.limit_id,
        kind=kind,
        period=limit_period,
        set_by=set_by,
        currency=limit.currency,
        exponent=limit.exponent,
        limit_minor=limit.amount_minor,
        pending_minor=limit.pending_minor,
        effective_at=limit.effective_at or None,
        confirm_by=limit.confirm_by or None,
        calendar=calendar,
        status=status,
        reason=command.reason,
        actor=command.actor,
    )


def _of(player: Player | None, limit_id: str) -> Limit | None:
    return next((one for one in player.limits if one.limit_id == limit_id), None) if player else None
