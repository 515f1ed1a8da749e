"""`wagerledger player`: what stops a player's stakes, and a look at one."""

from typing import Any

import typer
from psycopg import Connection

from cli.cashier import again, check_player, outcome_or_exit
from cli.database import on_ledger
from cli.options import Brand, CashierActor, CashierReason, Json, Key, PlayerId, Region
from cli.output import FINDING, fail, show
from cli.settings import settings_or_fail
from cli.trouble import patiently
from ledger.core.money import format_minor
from ledger.core.state import LOCKED, SELF_EXCLUDED, Bet, Player, Wallet
from runtime.settings import Settings

app = typer.Typer(help="Players: lock, exclude, free, look.", no_args_is_help=True)


@app.command()
def lock(
    player_id: PlayerId,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    key: Key = None,
    *,
    as_json: Json = False,
) -> None:
    """Refuse a player's stakes, because the operator says so. What is won or refunded still comes."""
    _restrict(player_id, LOCKED, brand, region, reason, actor, key, as_json=as_json)


@app.command()
def exclude(
    player_id: PlayerId,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    key: Key = None,
    *,
    as_json: Json = False,
) -> None:
    """Refuse a player's stakes, because the player said so. What is won or refunded still comes."""
    _restrict(player_id, SELF_EXCLUDED, brand, region, reason, actor, key, as_json=as_json)


@app.command()
def free(
    player_id: PlayerId,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    key: Key = None,
    *,
    as_json: Json = False,
) -> None:
    """Take a lock or an exclusion away."""
    _restrict(player_id, None, brand, region, reason, actor, key, as_json=as_json)


@app.command("show")
def show_player(player_id: PlayerId, brand: Brand, *, as_json: Json = False) -> None:
    """Print a player's restriction, wallets and open bets."""
    from ledger.store import players, wallets

    def look(connection: Connection[Any]) -> tuple[list[Wallet], list[Player]]:
        whose = ([brand], [player_id])
        found = [wallets.entity(row) for row in connection.execute(wallets.LOAD, whose)]
        return found, [players.entity(row) for row in connection.execute(players.LOAD, whose)]

    found, known = on_ledger(look)
    if not known:
        _known_or_fail(brand, player_id)
    settings = settings_or_fail()
    content = {
        "player_id": player_id,
        "region": known[0].region,
        "restriction": known[0].restriction,
        "wallets": [_wallet(wallet, _open_bets(settings, wallet)) for wallet in found],
    }
    show(content, as_json=as_json, text=_text(content))


def _restrict(
    player_id: str,
    restriction: str | None,
    brand: str,
    region: str,
    reason: str,
    actor: str,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    check_player(player_id)
    _known_or_fail(brand, player_id)
    outcome = outcome_or_exit(
        brand, region, actor, key,
        lambda cashier, key: cashier.restrict(player_id, restriction, reason, key=key), as_json=as_json,
    )  # fmt: skip
    show(
        {"player_id": player_id, "restriction": restriction, **outcome.result, "replayed": outcome.replayed},
        as_json=as_json,
        text=f"{player_id} is {restriction or 'free'}{again(outcome)}",
    )


def _known_or_fail(brand: str, player_id: str) -> None:
    from ledger.admin.brands import nearest
    from ledger.store import players

    def known_or_nearest(connection: Connection[Any]) -> tuple[bool, str | None]:
        if connection.execute(players.LOAD, ([brand], [player_id])).fetchone():
            return True, None
        about = {"tenant_id": brand, "player_id": player_id}
        return False, nearest(player_id, [row[0] for row in connection.execute(players.AROUND, about)])

    known, near = on_ledger(known_or_nearest)
    if not known:
        fail(f"{brand} has no player {player_id}{f'; the nearest is {near}' if near else ''}", FINDING)


def _open_bets(settings: Settings, wallet: Wallet) -> tuple[Bet, ...]:
    """From the player's own events: no index finds a player's bets, because every bet would pay for it."""
    from audit.replay import replay

    try:
        return patiently(lambda: replay(settings, wallet.wallet_id)).open_bets
    except ValueError as error:
        fail(str(error), FINDING)


def _wallet(wallet: Wallet, open_bets: tuple[Bet, ...]) -> dict[str, Any]:
    def decimal(amount_minor: int) -> str:
        return format_minor(amount_minor, wallet.exponent)

    return {
        "wallet_id": wallet.wallet_id,
        "currency": wallet.currency,
        "cash": decimal(wallet.cash_minor),
        "bonus": decimal(wallet.bonus_minor),
        "held": decimal(wallet.held_minor),
        "receivable": decimal(wallet.receivable_minor),
        "open_bets": [
            {
                "integration_id": bet.integration_id,
                "bet_id": bet.bet_id,
                "round_id": bet.round_id,
                "stake": decimal(bet.stake_minor),
                "held": decimal(bet.held_minor),
            }
            for bet in open_bets
        ],
    }


def _text(content: dict[str, Any]) -> str:
    lines = [f"{content['player_id']} of {content['region']} is {content['restriction'] or 'free'}"]
    for wallet in content["wallets"]:
        amounts = ", ".join(f"{name} {wallet[name]}" for name in ("cash", "bonus", "held", "receivable"))
        lines.append(f"{wallet['wallet_id']}: {amounts}")
        lines += [
            f"  open: {bet['integration_id']} {bet['bet_id']}, stake {bet['stake']}, held {bet['held']}"
            for bet in wallet["open_bets"]
        ]
    return "\n".join(lines)
