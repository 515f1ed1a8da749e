"""`wagerledger rates`: exchange rates of a brand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.database import on_ledger
from cli.file_rows import rows_or_fail
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import FINDING, fail, show, table
from ledger.admin import rates
from ledger.admin.actions import Actor
from ledger.admin.rates import RateError
from ledger.core.state import Rate
from runtime.clock import to_datetime

app = typer.Typer(help="Exchange rates, each with its source and time.", no_args_is_help=True)

REQUIRED, OPTIONAL = ("base", "quote", "rate", "source"), ("base_exponent", "as_of")

Brand = Annotated[str, typer.Option("--brand", help="The tenant whose bets lock the rate.")]


@app.command("set")
def set_rate(
    base: Annotated[str, typer.Argument(help="The currency that bets are told in, such as USD.")],
    quote: Annotated[str, typer.Argument(help="The wallet's currency, such as EUR.")],
    rate: Annotated[str, typer.Argument(help="What one BASE is in QUOTE: a plain decimal, taken exactly.")],
    *,
    brand: Brand,
    source: Annotated[str, typer.Option(help="Who says so; it stands in the event of every bet.")],
    actor: AdminActor,
    reason: AdminReason,
    base_exponent: Annotated[str, typer.Option(help="Decimals of BASE. Default: those of ISO 4217.")] = "",
    as_of: Annotated[str, typer.Option("--as-of", help="When it was right, ISO 8601, UTC. Default: now.")] = "",
    as_json: Json = False,
) -> None:
    """Add a rate. It counts for bets from now on; bets that run keep theirs."""
    fields = {
        "base": base, "quote": quote, "rate": rate, "source": source, "base_exponent": base_exponent, "as_of": as_of,
    }  # fmt: skip
    try:
        added = rates.parse(brand, fields, datetime.now(UTC))
    except RateError as error:
        fail(str(error))
    _add([added], by_or_fail(actor, reason))
    _show([added], as_json=as_json)


@app.command("import")
def import_rates(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="CSV with a heading, or a JSON list of objects: base, quote, rate, base_exponent, source, as_of.",
        ),
    ],
    brand: Brand,
    actor: AdminActor,
    reason: AdminReason,
    *,
    as_json: Json = False,
) -> None:
    """Add many rates, all or none."""
    now = datetime.now(UTC)
    added = []
    for place, fields in rows_or_fail(path, REQUIRED, OPTIONAL):
        try:
            added.append(rates.parse(brand, fields, now))
        except RateError as error:
            fail(f"{place}: {error}")
    count = _add(added, by_or_fail(actor, reason))
    show({"imported": count}, as_json=as_json, text=f"{count} rates added")


@app.command("list")
def list_rates(
    brand: Brand,
    *,
    history: Annotated[bool, typer.Option("--all", help="Older ones too, newest first.")] = False,
    as_json: Json = False,
) -> None:
    """Print the rates that bets lock now."""
    _show(on_ledger(lambda connection: rates.load(connection, brand, history=history)), as_json=as_json)


def _add(added: list[Rate], by: Actor) -> int:
    try:
        return on_ledger(lambda connection: rates.add(connection, added, by=by))
    except RateError as error:
        fail(str(error), FINDING)


def _show(found: list[Rate], *, as_json: bool) -> None:
    content = [
        {
            "base": rate.base,
            "quote": rate.quote,
            "rate": rates.decimal(rate),
            "numerator": rate.numerator,
            "denominator": rate.denominator,
            "base_exponent": rate.base_exponent,
            "source": rate.source,
            "as_of": to_datetime(rate.as_of).isoformat(),
        }
        for rate in found
    ]
    columns = ("base", "quote", "rate", "base_exponent", "source", "as_of")
    show(content, as_json=as_json, text=table(columns, ([row[name] for name in columns] for row in content)))
