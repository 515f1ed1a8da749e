"""`wagerledger brand`: which brands there are, and where their data may live."""

from typing import Annotated

import typer

from cli.database import on_ledger
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import FINDING, fail, show, table
from cli.settings import settings_or_fail
from ledger.admin import brands
from ledger.admin.brands import BrandError

app = typer.Typer(help="Brands and their regions: registered once, before anything opens.", no_args_is_help=True)


@app.command()
def add(
    brand: Annotated[str, typer.Argument(help="The tenant, such as brand-7.")],
    region: Annotated[str, typer.Option(help="Region that may hold its data, such as EU.")],
    actor: AdminActor,
    reason: AdminReason,
    *,
    as_json: Json = False,
) -> None:
    """Register a brand in a region; a brand in several regions is added to each. It cannot be taken back."""
    by = by_or_fail(actor, reason)
    residency = settings_or_fail().residency
    try:
        new = on_ledger(lambda connection: brands.add(connection, brand, region, by=by, residency=residency))
    except BrandError as error:
        fail(str(error), FINDING)
    show(
        {"brand_id": brand, "region": region, "new": new},
        as_json=as_json,
        text=f"{brand} is registered in {region}{'' if new else ' already'}",
    )


@app.command("list")
def list_brands(*, as_json: Json = False) -> None:
    """Print all brands with their regions."""
    found = on_ledger(brands.load)
    content = [{"brand_id": brand.tenant_id, "region": brand.region} for brand in found]
    show(content, as_json=as_json, text=table(("brand", "region"), found))


def registered_or_fail(brand: str, region: str) -> None:
    """A `brand` that is not registered in `region` ends the command."""
    try:
        on_ledger(lambda connection: brands.check(connection, brand, region))
    except BrandError as error:
        fail(str(error), FINDING)
