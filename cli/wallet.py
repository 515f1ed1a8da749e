"""`wagerledger wallet`: the operator's cashier, and a look at one wallet."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.brand import registered_or_fail
from cli.cashier import again, amount_or_fail, check_currency, check_player, outcome_or_exit
from cli.database import on_ledger
from cli.options import (
    AmountText,
    Brand,
    CashierActor,
    CashierReason,
    CurrencyCode,
    Json,
    Key,
    PaymentReference,
    PlayerId,
    Region,
)
from cli.output import FINDING, fail, show, table
from ledger.core import currencies
from ledger.core.money import format_minor

if TYPE_CHECKING:
    from ledger.admin.cashier import Cashier
    from ledger.outcome import Outcome

app = typer.Typer(help="Wallets: open, look, pay in, pay out, correct.", no_args_is_help=True)


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


@app.command("open")
def open_wallet(
    player_id: PlayerId,
    currency: CurrencyCode,
    brand: Brand,
    region: Region,
    exponent: Annotated[
        int | None,
        typer.Option(help="Decimals of the currency; fixed by the tenant's first wallet. Default: those of ISO 4217."),
    ] = None,
    key: Key = None,
    actor: CashierActor = "operator",
    *,
    as_json: Json = False,
) -> None:
    """Open a wallet, empty."""
    _check(player_id, currency)
    decimals = exponent if exponent is not None else _decimals_or_fail(currency)
    registered_or_fail(brand, region)
    _run(
        brand,
        region,
        actor,
        key,
        lambda cashier, key: cashier.open_wallet(player_id, currency, decimals, key=key),
        as_json=as_json,
    )


@app.command()
def deposit(
    player_id: PlayerId,
    currency: CurrencyCode,
    amount: AmountText,
    *,
    brand: Brand,
    region: Region,
    reference: PaymentReference = "",
    key: Key = None,
    actor: CashierActor = "operator",
    as_json: Json = False,
) -> None:
    """Pay money in: from the cashier to the player's cash."""
    _check(player_id, currency)
    exact = amount_or_fail(amount)
    _run(
        brand,
        region,
        actor,
        key,
        lambda cashier, key: cashier.deposit(player_id, currency, exact, reference, key=key),
        as_json=as_json,
    )


@app.command()
def withdraw(
    player_id: PlayerId,
    currency: CurrencyCode,
    amount: AmountText,
    *,
    brand: Brand,
    region: Region,
    reference: PaymentReference = "",
    key: Key = None,
    actor: CashierActor = "operator",
    as_json: Json = False,
) -> None:
    """Pay money out: from the player's cash to the cashier."""
    _check(player_id, currency)
    exact = amount_or_fail(amount)
    _run(
        brand,
        region,
        actor,
        key,
        lambda cashier, key: cashier.withdraw(player_id, currency, exact, reference, key=key),
        as_json=as_json,
    )


@app.command()
def adjust(
    player_id: PlayerId,
    currency: CurrencyCode,
    direction: Annotated[Direction, typer.Argument(help="up: the player gets it; down: the player gives it back.")],
    amount: AmountText,
    *,
    brand: Brand,
    region: Region,
    reason: CashierReason,
    actor: CashierActor,
    approver: Annotated[str, typer.Option(help="A second person who has agreed; likewise.")],
    reference: Annotated[str, typer.Option(help="Your reference of the case.")] = "",
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Correct a balance: there is no other way to change one. What a correction down does not find the player owes."""
    _check(player_id, currency)
    exact = amount_or_fail(amount)
    down = direction is Direction.DOWN

    def adjusted(cashier: "Cashier", key: str) -> "Awaitable[Outcome]":
        return cashier.adjust(
            player_id, currency, exact, negative=down, reason=reason, reference=reference, approver=approver, key=key
        )

    _run(brand, region, actor, key, adjusted, as_json=as_json)


@app.command("show")
def show_wallet(
    player_id: PlayerId,
    brand: Brand,
    currency: Annotated[str | None, typer.Argument(help="Default: all of the player's.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print a player's balances."""
    from ledger.store import wallets

    found = on_ledger(
        lambda connection: list(map(wallets.entity, connection.execute(wallets.LOAD, ([brand], [player_id]))))
    )
    found = [wallet for wallet in found if currency in (None, wallet.currency)]
    if not found:
        fail(
            f"{brand} has no wallet of player {player_id}{f' in {currency}' if currency else ''}: "
            "`wagerledger wallet open` makes one",
            FINDING,
        )
    accounts = ("cash", "bonus", "held", "receivable")
    content = [
        {"wallet_id": wallet.wallet_id, "currency": wallet.currency, "exponent": wallet.exponent}
        | {account: format_minor(getattr(wallet, f"{account}_minor"), wallet.exponent) for account in accounts}
        | {f"{account}_minor": getattr(wallet, f"{account}_minor") for account in accounts}
        for wallet in found
    ]
    show(
        content,
        as_json=as_json,
        text=table(
            ("wallet", *accounts), ([row["wallet_id"], *(row[account] for account in accounts)] for row in content)
        ),
    )


@app.command()
def events(
    player_id: PlayerId,
    brand: Brand,
    limit: Annotated[int, typer.Option(min=1, help="Newest first, at most so many.")] = 20,
    *,
    as_json: Json = False,
) -> None:
    """Print the latest events of a player's stream, with their postings in whole minor units (cents)."""
    from ledger.store.history import latest

    found = on_ledger(lambda connection: latest(connection, brand, player_id, limit))
    if not found:
        fail(f"{brand} has no events of player {player_id}", FINDING)
    rows = (
        (e["stream_version"], e["occurred_at"], e["event_type"], _postings(e["postings"]), e["event_id"]) for e in found
    )
    show(found, as_json=as_json, text=table(("version", "time", "event", "postings, minor units", "event id"), rows))


def _postings(postings: list[dict[str, object]]) -> str:
    currencies = {posting["currency"] for posting in postings}
    return ", ".join(
        f"{posting['account']} {posting['amount_minor']:+}" + (f" {posting['currency']}" if len(currencies) > 1 else "")
        for posting in postings
    )


def _decimals_or_fail(currency: str) -> int:
    decimals = currencies.decimals(currency)
    if decimals is None:
        fail(f"say with --exponent how many decimals {currency} has: the brand's first wallet fixes them for good")
    return decimals


def _check(player_id: str, currency: str) -> None:
    check_player(player_id)
    check_currency(currency)


def _run(
    brand: str,
    region: str,
    actor: str,
    key: str | None,
    command: "Callable[[Cashier, str], Awaitable[Outcome]]",
    *,
    as_json: bool,
) -> None:
    outcome = outcome_or_exit(brand, region, actor, key, command, as_json=as_json)
    balances = outcome.balances
    assert balances, "a wallet command leaves a wallet"
    cash = format_minor(balances.cash_minor, balances.exponent)
    text = f"{outcome.result['status']}{again(outcome)}; cash is now {cash} {balances.currency}"
    content = {**outcome.result, "replayed": outcome.replayed, "balances": balances._asdict()}
    show(content, as_json=as_json, text=text)
