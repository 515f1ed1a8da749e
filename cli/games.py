"""`wagerledger games`: the catalogue of games, per integration."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from cli.database import on_ledger
from cli.file_rows import rows_or_fail
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import FINDING, errors, fail, show, table
from ledger.admin import games
from ledger.admin.games import CatalogueError, Game

app = typer.Typer(help="The game catalogue: our ids and the providers' codes.", no_args_is_help=True)

REQUIRED, OPTIONAL = ("game_id", "provider_game_id"), ("name", "enabled")

IntegrationFilter = Annotated[str | None, typer.Option("--integration", help="Only of this integration.")]


@app.command("import")
def import_games(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="CSV with a heading, or a JSON list of objects: game_id, provider_game_id, name, enabled.",
        ),
    ],
    integration_id: Annotated[str, typer.Option("--integration", help="brand/region/name.")],
    actor: AdminActor,
    reason: AdminReason,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Take out the games that are not in the file.")] = False,
    as_json: Json = False,
) -> None:
    """Take games in, new and changed ones, all or none. Gateways see them within seconds."""
    by, listed = by_or_fail(actor, reason), _listed_or_fail(path, integration_id)
    with Progress(console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task("games", total=len(listed))

        def progress(done: int) -> None:
            bar.update(task, completed=done)

        try:
            count = on_ledger(
                lambda connection: games.put(
                    connection, integration_id, listed, by=by, replace=replace, progress=progress
                )
            )
        except CatalogueError as error:
            fail(str(error), FINDING)
    show(
        {"integration_id": integration_id, "imported": len(listed), "games": count},
        as_json=as_json,
        text=f"{len(listed)} games taken in; {integration_id} has {count} now",
    )


@app.command("list")
def list_games(integration_id: IntegrationFilter = None, *, as_json: Json = False) -> None:
    """Print the catalogue of games."""
    _show(on_ledger(lambda connection: games.find(connection, integration_id=integration_id)), as_json=as_json)


@app.command("show")
def show_game(
    game: Annotated[str, typer.Argument(help="Our id, or the provider's code.")],
    integration_id: IntegrationFilter = None,
    *,
    as_json: Json = False,
) -> None:
    """Find a game by either id, in all integrations."""
    found = on_ledger(lambda connection: games.find(connection, integration_id=integration_id, game=game))
    if not found:
        fail(f"no integration has a game {game!r}: `wagerledger games list` prints all", FINDING)
    _show(found, as_json=as_json)


def _listed_or_fail(path: Path, integration_id: str) -> list[Game]:
    place, placed = path.name, []
    try:
        for place, fields in rows_or_fail(path, REQUIRED, OPTIONAL):
            placed.append((place, games.parse(integration_id, fields)))
    except CatalogueError as error:
        fail(f"{place}: {error}")
    try:
        return games.unique(placed)
    except CatalogueError as error:
        fail(str(error))


def _show(found: list[Game], *, as_json: bool) -> None:
    show([game._asdict() for game in found], as_json=as_json, text=table(Game._fields, found))
