"""`wagerledger brand`: which brands there are, and where their data may live."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import psycopg
import typer

from cli.acts import ActActor, ActReason, by_or_fail
from cli.database import ledger_database
from cli.output import FINDING, Json, fail, show, table
from cli.settings import settings_or_fail
from ledger import brands
from ledger.brands import BrandError

app = typer.Typer(help="Brands and their regions: registered once, before anything opens.", no_args_is_help=True)


@app.command()
def add(
    brand: Annotated[str, typer.Argument(help="The tenant, such as brand-7.")],
    region: Annotated[str, typer.Option(help="Region that may hold its data, such as EU.")],
    actor: ActActor,
    reason: ActReason,
    *,
    as_json: Json = False,
) -> None:
    """Register a brand in a region; a brand in several regions is added to each. It cannot be taken back."""
    by = by_or_fail(actor, reason)
    with registered() as connection:
        new = brands.add(connection, brand, region, by=by, residency=settings_or_fail().residency)
    show(
        {"brand_id": brand, "region": region, "new": new},
        as_json=as_json,
        text=f"{brand} is registered in {region}{'' if new else ' already'}",
    )


@app.command("list")
def list_brands(*, as_json: Json = False) -> None:
    """Print all brands with their regions."""
    with ledger_database() as connection:
        found = brands.load(connection)
    content = [{"brand_id": brand.tenant_id, "region": brand.region} for brand in found]
    show(content, as_json=as_json, text=table(("brand", "region"), found))


@contextmanager
def registered(brand: str | None = None, region: str = "") -> Iterator[psycopg.Connection]:
    """The ledger's database. A `brand` that is not registered in `region` ends the command."""
    try:
        with ledger_database() as connection:
            if brand is not None:
                brands.check(connection, brand, region)
            yield connection
    except BrandError as error:
        fail(str(error), FINDING)
