"""`wagerledger wallet`: the operator's cashier, and a look at one wallet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import psycopg
import typer
from uuid_utils import uuid7

from cli.output import FINDING, Json, fail, show, table
from cli.settings import settings_or_fail
from ledger.callback import Outcome
from ledger.cashier import Cashier
from ledger.core.money import COMMON_EXPONENTS, Amount, format_minor, parse_amount
from ledger.identifiers import FORM, is_currency, is_id, player_id_fault
from ledger.journal import Retryable
from schemas.errors import ERRORS

app = typer.Typer(help="Wallets: open, look, pay in, pay out.", no_args_is_help=True)

Brand = Annotated[str, typer.Option("--brand", help="The tenant whose books these are.")]
Region = Annotated[str, typer.Option("--region", help="Region that holds the data.")]
PlayerId = Annotated[str, typer.Argument(help="The operator's own opaque id of the player; never personal data.")]
CurrencyCode = Annotated[str, typer.Argument(help="Such as EUR.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key: the same key again changes nothing and hears the same answer."),
]
Actor = Annotated[str, typer.Option("--actor", help="Who asks; it stands in the event.")]


@app.command("open")
def open_wallet(
    player_id: PlayerId,
    currency: CurrencyCode,
    brand: Brand,
    region: Region,
    exponent: Annotated[
        int | None,
        typer.Option(help="Decimals of the currency; fixed by the tenant's first wallet. Default: the usual ones."),
    ] = None,
    key: Key = None,
    actor: Actor = "operator",
    *,
    as_json: Json = False,
) -> None:
    """Open a wallet, empty."""
    _check(player_id, currency)
    decimals = COMMON_EXPONENTS.get(currency, 2) if exponent is None else exponent
    key = key or str(uuid7())
    _run(
        brand,
        region,
        actor,
        key,
        lambda cashier: cashier.open_wallet(player_id, currency, decimals, key=key),
        as_json=as_json,
    )


@app.command()
def deposit(
    player_id: PlayerId,
    currency: CurrencyCode,
    amount: Annotated[str, typer.Argument(help="Plain decimal, such as 25.00.")],
    brand: Brand,
    region: Region,
    reference: Annotated[str, typer.Option(help="Your reference of the payment.")] = "",
    key: Key = None,
    actor: Actor = "operator",
    *,
    as_json: Json = False,
) -> None:
    """Pay money in: from the cashier to the player's cash."""
    _check(player_id, currency)
    exact = _amount(amount)
    key = key or str(uuid7())
    _run(
        brand,
        region,
        actor,
        key,
        lambda cashier: cashier.deposit(player_id, currency, exact, reference, key=key),
        as_json=as_json,
    )


@app.command()
def withdraw(
    player_id: PlayerId,
    currency: CurrencyCode,
    amount: Annotated[str, typer.Argument(help="Plain decimal, such as 25.00.")],
    brand: Brand,
    region: Region,
    reference: Annotated[str, typer.Option(help="Your reference of the payment.")] = "",
    key: Key = None,
    actor: Actor = "operator",
    *,
    as_json: Json = False,
) -> None:
    """Pay money out: from the player's cash to the cashier."""
    _check(player_id, currency)
    exact = _amount(amount)
    key = key or str(uuid7())
    _run(
        brand,
        region,
        actor,
        key,
        lambda cashier: cashier.withdraw(player_id, currency, exact, reference, key=key),
        as_json=as_json,
    )


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

    settings = settings_or_fail()
    try:
        with psycopg.connect(settings.database_url.get_secret_value(), connect_timeout=10) as connection:
            found = [wallets.entity(row) for row in connection.execute(wallets.LOAD, ([brand], [player_id]))]
    except psycopg.OperationalError as error:
        fail(f"WAGERLEDGER_DATABASE_URL: {error}")
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
    """Print the latest events of a player's stream, with their postings."""
    from ledger.history import latest

    try:
        found = latest(settings_or_fail(), brand, player_id, limit)
    except psycopg.OperationalError as error:
        fail(f"WAGERLEDGER_DATABASE_URL: {error}")
    if not found:
        fail(f"{brand} has no events of player {player_id}", FINDING)
    rows = (
        (e["stream_version"], e["occurred_at"], e["event_type"], _postings(e["postings"]), e["event_id"]) for e in found
    )
    show(found, as_json=as_json, text=table(("version", "time", "event", "postings", "event id"), rows))


def _postings(postings: list[dict[str, object]]) -> str:
    return ", ".join(f"{posting['account']} {posting['amount_minor']:+}" for posting in postings)


def _check(player_id: str, currency: str) -> None:
    fault = player_id_fault(player_id)
    if fault:
        fail(f"player id {player_id!r} {fault}")
    if not is_currency(currency):
        fail(f"{currency!r} is no currency code: 3 to 16 characters, A-Z first, then A-Z 0-9 _")


def _amount(text: str) -> Amount:
    amount = parse_amount(text)
    if amount is None:
        fail(f"{text!r} is no amount: send a plain decimal such as 25.00")
    return amount


def _run(
    brand: str, region: str, actor: str, key: str, command: Callable[[Cashier], Awaitable[Outcome]], *, as_json: bool
) -> None:
    for name, value in (("--brand", brand), ("--region", region), ("--key", key)):
        if not is_id(value):
            fail(f"{name} {value!r} {FORM}")
    settings = settings_or_fail()

    async def submit() -> Outcome:
        async with Cashier(settings, tenant_id=brand, region=region, actor=actor) as cashier:
            return await command(cashier)

    try:
        outcome = asyncio.run(submit())
    except Retryable as error:
        # Without the key a repeat would be a second payment.
        fail(f"{ERRORS[error.code].text({})} The key is --key {key} (WAGERLEDGER_DATABASE_URL)")
    if outcome.refusal_code:
        text = ERRORS[outcome.refusal_code].text(outcome.details)
        show(
            {"refused": outcome.refusal_code, "message": text},
            as_json=as_json,
            text=f"Refused ({outcome.refusal_code}): {text}",
        )
        raise typer.Exit(FINDING)
    balances = outcome.balances
    assert balances, "a wallet command leaves a wallet"
    cash = format_minor(balances.cash_minor, balances.exponent)
    again = " (repeated: nothing new happened)" if outcome.replayed else ""
    content = {**outcome.result, "replayed": outcome.replayed, "balances": balances._asdict()}
    show(content, as_json=as_json, text=f"{outcome.result['status']}{again}; cash is now {cash} {balances.currency}")
