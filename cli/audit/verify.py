"""`wagerledger audit`: proof for auditors."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from cli.audit.archive import Folder, Unsigned, archive_errors, open_or_fail
from cli.options import Json
from cli.output import FINDING, fail, show
from cli.progress import stages
from cli.settings import settings_or_fail
from cli.trouble import VerdictGroup, patiently
from runtime.settings import Settings

app = typer.Typer(
    cls=VerdictGroup,
    help="Verify the books, prove, explain and archive them. Only restore and detach change the ledger.",
    no_args_is_help=True,
)


@app.command()
def verify(
    *,
    database: Annotated[
        bool,
        typer.Option(
            help="Check the ledger's database: chains, sums, the fold against the stored rows, commands against events."
        ),
    ] = True,
    topics: Annotated[bool, typer.Option(help="Check the topics against the database.")] = True,
    bi: Annotated[bool, typer.Option(help="Check the read models' balances against the ledger.")] = False,
    anchors: Annotated[
        bool, typer.Option("--anchors", help="Check the log against the signed tree heads of the topic, or of --heads.")
    ] = False,
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="File of tree heads from outside storage (WAGERLEDGER_ANCHOR_PATH); may be repeated."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(help="Check this archive too; the events of detached months are read from it."),
    ] = None,
    unsigned: Unsigned = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take what is not yet published for lost: for a system at rest.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute everything from the event log and compare. Exit code 0: all in order; 1: findings; 2: something could
    not be checked.
    """
    settings = settings_or_fail()
    _check(
        settings,
        as_json=as_json,
        database=database,
        topics=topics,
        bi=bi,
        anchors=anchors or bool(heads),
        heads=heads or (),
        archive=open_or_fail(settings, archive, unsigned=unsigned) if archive else None,
        strict=strict,
        not_checked={
            "database (--database)": not database,
            "topics (--topics)": not topics,
            "read models (--bi)": not (bi and database),
            "tree heads (--anchors)": not (anchors or heads),
        },
    )


@app.command()
def verify_archive(
    folder: Folder,
    *,
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="File of tree heads from outside storage (WAGERLEDGER_ANCHOR_PATH); may be repeated."),
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold", help="Also fold every stream by the rules, and compare each answer: slower.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take entries for lost that only the heads of --heads know.")
    ] = False,
    unsigned: Unsigned = False,
    as_json: Json = False,
) -> None:
    """Check an archive by itself: signatures, every byte, every chain, all sums. Needs neither database nor broker."""
    settings = settings_or_fail()
    archive = open_or_fail(settings, folder, unsigned=unsigned)
    _check(
        settings,
        as_json=as_json,
        database=False,
        topics=False,
        archive=archive,
        fold=fold,
        heads=heads or (),
        strict=strict,
        not_checked={
            "signatures (without --unsigned)": unsigned,
            "tree heads from outside (--heads)": not heads,
            "bets and answers by the rules (--fold)": not fold,
        },
    )


def _check(settings: Settings, *, as_json: bool, not_checked: Mapping[str, bool], **what: Any) -> NoReturn:
    """Run the audit, show what it says and what it did not look at, end with its verdict."""
    from audit.verify import verify as check

    with archive_errors(), stages() as progress:
        report = patiently(lambda: check(settings, **what, progress=progress))
    left_out = [part for part, skipped in not_checked.items() if skipped]
    text = "\n".join([report.text(), *([f"Not checked: {', '.join(left_out)}."] if left_out else [])])
    show(report.to_dict() | {"not_checked": left_out}, as_json=as_json, text=text)
    raise typer.Exit(0 if report.ok else FINDING)


@app.command()
def replay(
    wallet: Annotated[str, typer.Option(help="tenant/player/currency.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Up to and with this version of the player's stream.")
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            help="Up to and with this time; UTC where it names no zone. To the microsecond.",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"],
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="database or topics.")] = "database",
    *,
    from_archive: Annotated[
        Path | None, typer.Option(help="Instead: the folder of an archive. Nothing else is needed then.")
    ] = None,
    unsigned: Unsigned = False,
    as_json: Json = False,
) -> None:
    """Rebuild a wallet from its events as it was at a version or a time."""
    from datetime import UTC

    from audit.replay import replay as rebuild

    settings = settings_or_fail()
    archive = open_or_fail(settings, from_archive, unsigned=unsigned) if from_archive else None
    at_time = at and (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC))
    try:
        with archive_errors():
            found = patiently(
                lambda: rebuild(settings, wallet, at_version=version, at_time=at_time, source=source, archive=archive)
            )
    except ValueError as error:
        fail(str(error), FINDING)
    show(found.to_dict(), as_json=as_json, text=found.text())
