"""`wagerledger bi`: who may see what of the read models."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from psycopg import Connection

from cli.database import on_read_models
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import FINDING, errors, fail, show, table

T = TypeVar("T")

app = typer.Typer(help="The read models' readers: grants by brand and region, masked views.", no_args_is_help=True)

Role = Annotated[str, typer.Argument(help="A login role of the read models' database.")]


@app.command()
def grant(
    role: Role,
    brand: Annotated[str, typer.Option(help="Tenant whose rows it sees; * is every one.")],
    region: Annotated[str, typer.Option(help="Region whose rows it sees; * is every one.")],
    actor: AdminActor,
    reason: AdminReason,
    *,
    players: Annotated[
        bool, typer.Option("--players", help="Real player ids, in schema bi. Else pseudonyms, in bi_masked alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let a role see a brand's rows of a region."""
    from projector import grants

    by = by_or_fail(actor, reason)

    def granted(connection: Connection[Any]) -> bool:
        grants.grant(connection, role, brand, region, may_see_players=players, by=by)
        return grants.has_rows(connection, brand, region)

    known = _administer(granted)
    schema = "bi and bi_masked" if players else "bi_masked"
    content = {"role": role, "tenant_id": brand, "region": region, "may_see_players": players}
    show(content, as_json=as_json, text=f"{role} sees {brand}/{region} in {schema}")
    if not known:
        warning = f"no row of {brand}/{region} is in the read models yet: are brand and region spelt as in the ledger?"
        errors.print(warning, style="yellow", markup=False, highlight=False, soft_wrap=True)


@app.command()
def revoke(
    role: Role,
    actor: AdminActor,
    reason: AdminReason,
    brand: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    region: Annotated[str | None, typer.Option(help="Only of this region.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Take grants from a role: all, or those of a brand or region. It counts from the next query on."""
    from projector import grants

    by = by_or_fail(actor, reason)
    ended = _administer(lambda connection: grants.revoke(connection, role, brand, region, by=by))
    show({"role": role, "revoked": ended}, as_json=as_json, text=f"{ended} grants of {role} ended")


@app.command("list")
def list_grants(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what was revoked.")] = False,
    as_json: Json = False,
) -> None:
    """Print who may see what, who granted it, and why."""
    from projector import grants

    found = _administer(lambda connection: grants.load(connection, everything=everything))
    headings = ("role", "brand", "region", "players", "since", "by", "reason", "revoked", "by", "reason")
    show([one._asdict() for one in found], as_json=as_json, text=table(headings, found))


@app.command("rotate-masking-key")
def rotate_masking_key(
    brand: Annotated[str, typer.Option(help="Tenant; * changes all that have no key of their own.")],
    actor: AdminActor,
    reason: AdminReason,
    *,
    as_json: Json = False,
) -> None:
    """Change a brand's pseudonyms: those before lead to nobody any more."""
    from projector import grants

    by = by_or_fail(actor, reason)
    _administer(lambda connection: grants.rotate_key(connection, brand, by=by))
    show({"tenant_id": brand, "rotated": True}, as_json=as_json, text=f"{brand} has new pseudonyms")


def _administer(action: Callable[[Connection[Any]], T]) -> T:
    """As the role of WAGERLEDGER_BI_DATABASE_URL, which must own the read models."""
    from projector.grants import GrantError

    try:
        return on_read_models(action)
    except GrantError as error:
        fail(str(error), FINDING)
