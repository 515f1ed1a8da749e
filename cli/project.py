"""`wagerledger project rebuild | dead-letters`: mending the read models beside a running projector."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.audit.archive import Unsigned, archive_errors, open_or_fail
from cli.options import Json
from cli.output import FINDING, fail, show, table
from cli.progress import stages
from cli.settings import settings_or_fail
from cli.trouble import naming, patiently

if TYPE_CHECKING:
    from projector.comparison import Comparison
    from projector.replay import ReplayResult

app = typer.Typer(invoke_without_command=True)
letters_app = typer.Typer(no_args_is_help=True, help="Records that could not be read or folded.")
app.add_typer(letters_app, name="dead-letters")


@app.command()
def rebuild(
    model: Annotated[str, typer.Argument(help="A read model, or `all`.")],
    *,
    from_archive: Annotated[
        Path | None,
        typer.Option(help="Folder of an archive that comes first, where the topics no longer hold the beginning."),
    ] = None,
    unsigned: Unsigned = False,
    compare_only: Annotated[
        bool, typer.Option("--compare-only", help="Leave the live models as they are. Exit code 1: rows differ.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fold a read model anew from the first event, compare it with the live one and take its place. Readers and the
    projector go on meanwhile; if it breaks off, nothing has changed.
    """
    import psycopg

    from projector.models import OutdatedModelsError
    from projector.rebuild import RebuildError
    from projector.rebuild import rebuild as run

    settings = settings_or_fail()
    archive = open_or_fail(settings, from_archive, unsigned=unsigned) if from_archive else None
    with stages() as progress, archive_errors(), naming("WAGERLEDGER_BI_DATABASE_URL"):
        try:
            found = run(
                settings,
                model,
                archive=archive,
                compare_only=compare_only,
                progress=progress,
            )
        except (RebuildError, OutdatedModelsError) as error:
            fail(str(error), FINDING)
        except psycopg.errors.DependentObjectsStillExist as error:
            fail(f"nothing was changed: drop what stands on the read models first: {error}", FINDING)
    show(_content(found, swapped=not compare_only), as_json=as_json, text=_text(found, swapped=not compare_only))
    if compare_only and (found.differing or not found.same_gate):
        raise typer.Exit(FINDING)


def _content(found: "Comparison", *, swapped: bool) -> dict[str, Any]:
    return {
        "swapped": swapped,
        "tables": [one._asdict() for one in found.tables],
        "streams": [one._asdict() for one in found.streams],
        "refusals_more": found.refusals_more,
        "refusals_fewer": found.refusals_fewer,
    }


def _text(found: "Comparison", *, swapped: bool) -> str:
    lines = []
    for one in found.tables:
        verdict = {True: "the same", False: "they differ", None: "made by other rules, not compared"}[one.same]
        rows = "none" if one.live_rows is None else f"{one.live_rows:,}"
        lines.append(f"{one.model}: {one.table}: {rows} live rows, {one.rebuilt_rows:,} rebuilt: {verdict}")
    lines += [
        f"stream {one.stream}: version {one.rebuilt_version} rebuilt, {one.live_version} live" for one in found.streams
    ]
    if found.refusals_more or found.refusals_fewer:
        lines.append(f"refusals: {found.refusals_more} more rebuilt, {found.refusals_fewer} fewer")
    lines.append("The rebuilt models are live." if swapped else "Nothing was changed.")
    return "\n".join(lines)


@letters_app.command("list")
def list_(*, as_json: Json = False) -> None:
    """Show every dead letter and whether the read models have it by now."""
    from projector.replay import inspect

    settings = settings_or_fail()
    with naming("WAGERLEDGER_BI_DATABASE_URL"):
        found = patiently(lambda: inspect(settings))
    _show(found, as_json=as_json)


@letters_app.command()
def replay(*, as_json: Json = False) -> None:
    """Judge every dead letter again, after its cause was mended: it takes its place and its stream goes on. Safe to
    repeat. Exit code 1: some cannot be read or folded yet.
    """
    from projector.models import OutdatedModelsError
    from projector.replay import FOLDED
    from projector.replay import replay as run

    settings = settings_or_fail()
    with naming("WAGERLEDGER_BI_DATABASE_URL"):
        try:
            found = patiently(lambda: run(settings))
        except OutdatedModelsError as error:
            fail(str(error))
    _show(found, as_json=as_json)
    if any(one.state != FOLDED for one in found):
        raise typer.Exit(FINDING)


def _show(found: "list[ReplayResult]", *, as_json: bool) -> None:
    rows = [
        {
            **one.letter.source._asdict(),
            "offset": one.letter.offset,
            "key": (one.letter.key or b"").decode(errors="replace"),
            "bytes": len(one.letter.value or b""),
            "state": one.state,
            "reason": one.reason,
        }
        for one in found
    ]
    headings = ["topic", "partition", "offset", "key", "bytes", "state", "reason"]
    text = table(headings, [list(row.values()) for row in rows]) if rows else "There are no dead letters."
    show(rows, as_json=as_json, text=text)
