"""`wagerledger limits`: what protects a player from playing or paying in too much."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from psycopg import Connection

from cli.cashier import again, amount_or_fail, check_currency, check_player, outcome_or_exit
from cli.database import on_ledger
from cli.options import AmountText, Brand, CashierActor, CashierReason, CurrencyCode, Json, Key, PlayerId, Region
from cli.output import FINDING, fail, show
from ledger.core import calendars, limits
from ledger.core.money import format_minor
from ledger.core.state import Limit, Player, State
from runtime.clock import to_datetime

if TYPE_CHECKING:
    from ledger.admin.cashier import Cashier
    from ledger.outcome import Outcome

app = typer.Typer(help="Limits of players: set, lower, raise, confirm, remove, look.", no_args_is_help=True)

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help=f"What it limits: {', '.join(limits.KINDS)}.")]
PeriodArgument = Annotated[
    str, typer.Argument(metavar="PERIOD", help="In what it counts: day, week, month; round for a single stake.")
]
SetByOption = Annotated[
    str, typer.Option("--set-by", help=f"Whose limit it is ({', '.join(limits.SET_BY)}): of all, the lowest counts.")
]
RaiseAfter = Annotated[
    int | None,
    typer.Option(
        help=f"How long more than before waits, seconds. Default: {limits.RAISE_AFTER_S} for the player's own, else 0.",
        min=0,
    ),
]
AfterPeriodEnd = Annotated[bool, typer.Option(help="More also waits until the running period has ended.")]


@app.command("set")
def set_limit(
    player_id: PlayerId,
    kind: KindArgument,
    period: PeriodArgument,
    amount: AmountText,
    currency: CurrencyCode,
    *,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    set_by: SetByOption = "player",
    raise_after_s: RaiseAfter = None,
    after_period_end: AfterPeriodEnd = False,
    confirm_within_s: Annotated[
        int, typer.Option(help="More has to be confirmed so soon after its wait, seconds; 0: it just comes.", min=0)
    ] = 0,
    calendar: Annotated[
        str | None, typer.Option(help="Whose days, weeks and months count for the player from now on: Europe/Berlin@1.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Set a limit in the currency of one of the player's wallets. Lower counts at once, more comes after a wait."""
    terms = {
        "after_period_end": after_period_end,
        "confirm_within_s": confirm_within_s,
        "calendar": calendar,
        "reason": reason,
    }
    if calendar is not None:
        _check("calendar", calendar, calendars.CALENDARS)
    limit = _named(kind, period, set_by, raise_after_s)
    exact, fields = amount_or_fail(amount), limit | terms
    _submit(
        player_id, currency,
        lambda cashier, key: cashier.set_limit(player_id, currency, exact, key=key, **fields),
        brand=brand, region=region, actor=actor, key=key, as_json=as_json,
    )  # fmt: skip


@app.command()
def remove(
    player_id: PlayerId,
    kind: KindArgument,
    period: PeriodArgument,
    currency: CurrencyCode,
    *,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    set_by: SetByOption = "player",
    raise_after_s: RaiseAfter = None,
    after_period_end: AfterPeriodEnd = False,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Take a limit away, after the wait of a raise."""
    fields = _named(kind, period, set_by, raise_after_s) | {"after_period_end": after_period_end, "reason": reason}
    _submit(
        player_id, currency,
        lambda cashier, key: cashier.set_limit(player_id, currency, None, key=key, **fields),
        brand=brand, region=region, actor=actor, key=key, as_json=as_json,
    )  # fmt: skip


@app.command()
def confirm(
    player_id: PlayerId,
    limit_id: Annotated[str, typer.Argument(help="Its kind, period and whose it is, such as loss/week/player.")],
    currency: CurrencyCode,
    *,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Confirm a raise whose wait is over, for the player."""
    _submit(
        player_id, currency,
        lambda cashier, key: cashier.confirm_limit(player_id, currency, limit_id, reason, key=key),
        brand=brand, region=region, actor=actor, key=key, as_json=as_json,
    )  # fmt: skip


@app.command("list")
def list_limits(player_id: PlayerId, brand: Brand, *, as_json: Json = False) -> None:
    """Print a player's limits: how much they are, what counts already, and what waits."""
    from ledger.store import players, wallets
    from ledger.store.rates import LIST_NEWEST
    from ledger.store.rates import entity as rate

    def look(connection: Connection[Any]) -> State:
        state, whose = State(), ([brand], [player_id])
        state.put(*map(players.entity, connection.execute(players.LOAD, whose)))
        state.put(*map(wallets.entity, connection.execute(wallets.LOAD, whose)))
        state.put(*map(rate, connection.execute(LIST_NEWEST, (brand,))))
        return state

    state = on_ledger(look)
    player = state.player(brand, player_id)
    if player is None:
        fail(f"{brand} has no player {player_id}", FINDING)
    found = [_limit(state, player, limit) for limit in player.limits]
    lines = [f"{player_id}: {len(found)} limits, by {player.calendar}"]
    lines += ["  " + ", ".join(f"{name} {value}" for name, value in one.items() if value is not None) for one in found]
    content = {"player_id": player_id, "calendar": player.calendar, "limits": found}
    show(content, as_json=as_json, text="\n".join(lines))


def _named(kind: str, period: str, set_by: str, raise_after_s: int | None) -> dict[str, Any]:
    """The limit as the command names it, with the wait of its raises."""
    _check("kind", kind, limits.KINDS)
    _check("period", period, (limits.ROUND,) if kind == limits.SINGLE_STAKE else limits.PERIODS)
    _check("set-by", set_by, limits.SET_BY)
    wait_s = raise_after_s if raise_after_s is not None else limits.RAISE_AFTER_S if set_by == "player" else 0
    return {"limit_kind": kind, "period": period, "set_by": set_by, "raise_after_s": wait_s}


def _check(name: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        fail(f"{name} {given!r} is none of: {', '.join(known)}")


def _submit(
    player_id: str,
    currency: str,
    command: "Callable[[Cashier, str], Awaitable[Outcome]]",
    *,
    brand: str,
    region: str,
    actor: str,
    key: str | None,
    as_json: bool,
) -> None:
    check_player(player_id)
    check_currency(currency)
    outcome = outcome_or_exit(brand, region, actor, key, command, as_json=as_json)
    effective = outcome.result.get("effective_at")
    since = f" from {to_datetime(int(effective)).isoformat()} on" if effective else ""
    show(
        {"player_id": player_id, **outcome.result, "replayed": outcome.replayed},
        as_json=as_json,
        text=f"{outcome.result['limit_id']} of {player_id} is {outcome.result['status']}{since}{again(outcome)}",
    )


def _limit(state: State, player: Player, limit: Limit) -> dict[str, Any]:
    def told(amount_minor: int | None) -> str | None:
        return None if amount_minor is None else f"{format_minor(amount_minor, limit.exponent)} {limit.currency}"

    def when(at: int) -> str | None:
        return to_datetime(at).isoformat() if at else None

    now = time.time_ns() // 1000
    waits = limit.effective_at and (limit.confirm_by or now < limit.effective_at)
    return {
        "limit_id": limit.limit_id,
        "amount": told(limits.in_force(limit, now)) or "none",
        "used": told(limits.counted_minor(state, limit, player, now)),
        "pending": (told(limit.pending_minor) or "none") if waits else None,
        "effective_at": when(limit.effective_at) if waits else None,
        "confirm_by": when(limit.confirm_by) if waits else None,
    }
