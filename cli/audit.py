"""`wagerledger audit`: proof for auditors."""

from datetime import datetime
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.output import COULD_NOT, FINDING, Json, errors, fail, show
from cli.settings import settings_or_fail
from ledger.audit.findings import CODES, CannotCheckError, Report

app = typer.Typer(help="Verify the books and replay them. Reads only.", no_args_is_help=True)


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
    strict: Annotated[
        bool, typer.Option("--strict", help="Take what is not yet published for lost: for a system at rest.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute everything from the event log and compare. Exit code 0: all in order; 1: findings; 2: something could
    not be checked.
    """
    from ledger.audit.verify import verify as check

    settings = settings_or_fail()
    with _progress() as bar:
        tasks: dict[str, object] = {}

        def progress(stage: str, done: int, total: int) -> None:
            task = tasks.setdefault(stage, bar.add_task(stage, total=total) if stage not in tasks else None)
            bar.update(task, completed=done, total=total)  # type: ignore[arg-type]  # rich's own id

        try:
            report = check(settings, database=database, topics=topics, bi=bi, strict=strict, progress=progress)
        except CannotCheckError as error:
            fail(str(error), COULD_NOT)
    show(_content(report), as_json=as_json, text=_text(report))
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
            help="Up to and with this time, UTC.",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"],
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="database or topics.")] = "database",
    *,
    as_json: Json = False,
) -> None:
    """Rebuild a wallet from its events as it was at a version or a time."""
    from datetime import UTC

    from ledger.audit.replay import replay as rebuild

    try:
        found = rebuild(
            settings_or_fail(), wallet, at_version=version, at_time=at and at.replace(tzinfo=UTC), source=source
        )
    except CannotCheckError as error:
        fail(str(error), COULD_NOT)
    except ValueError as error:
        fail(str(error), FINDING)
    show(found.to_dict(), as_json=as_json, text=found.text())


def _content(report: Report) -> dict[str, object]:
    return {
        "ok": report.ok,
        "findings": [finding._asdict() for finding in report.findings],
        "counts": dict(report.counts),
        "checked": report.checked,
        "accounts": [
            dict(zip(("tenant_id", "currency", "account", "balance_minor"), (*key, value), strict=True))
            for key, value in sorted(report.accounts.items())
        ],
        "elapsed_s": round(report.elapsed_s, 3),
    }


def _text(report: Report) -> str:
    lines = [f"{what}: {count}" for what, count in report.checked.items()]
    lines += [
        f"{finding.code} {finding.stream or ''} {finding.version or ''}: {finding.text}" for finding in report.findings
    ]
    lines += [f"{count} x {code}: {CODES[code]}" for code, count in report.counts.items()]
    lines.append(f"Everything agrees ({report.elapsed_s:.1f} s)." if report.ok else "The books do not agree.")
    return "\n".join(lines)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )
