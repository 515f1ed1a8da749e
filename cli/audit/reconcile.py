"""`wagerledger audit reconcile` and `audit liability`: the ledger's books beside somebody else's."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.audit.archive import Unsigned, archive_errors, open_or_fail
from cli.options import Json
from cli.output import FINDING, console, fail, show, table, write_or_fail
from cli.progress import stages
from cli.settings import settings_or_fail
from cli.trouble import patiently

if TYPE_CHECKING:
    from audit.reconcile.comparison import Reconciliation

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]
DAYS = ["%Y-%m-%d"]

Html = Annotated[Path | None, typer.Option("--html", help="Also write a page for the browser, in one file.")]


def reconcile(
    report: Annotated[
        Path | None, typer.Option("--provider-report", help="A provider's own report: CSV, JSON or JSON Lines.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="TOML or JSON: which column of the report says what.")
    ] = None,
    integration_id: Annotated[str | None, typer.Option("--integration", help="Whose report it is.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", formats=TIMES, help="From this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=TIMES, help="Before this time, UTC.")] = None,
    *,
    read_models: Annotated[bool, typer.Option(help="Compare the read models with the ledger.")] = True,
    topics: Annotated[bool, typer.Option(help="Compare the events topic with the ledger.")] = True,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Compare the ledger with its read models and topics, or, with --provider-report, with what a provider says:
    matched, missing here, missing there, different, with totals per currency. Exit code 0: the books agree; 1: they
    differ; 2: something could not be read.
    """
    if report is None and (mapping or integration_id or since or until):
        fail("--mapping, --integration, --from and --to belong to --provider-report")
    with stages() as progress:
        if report is not None:
            from audit.reconcile.provider import reconcile as against_report

            if mapping is None or integration_id is None:
                fail("--provider-report needs --mapping and --integration")
            times = {"since": since and since.replace(tzinfo=UTC), "until": until and until.replace(tzinfo=UTC)}
            settings = settings_or_fail()
            results = [
                patiently(lambda: against_report(settings, report, mapping, integration_id, **times, progress=progress))
            ]
        else:
            from audit.reconcile.stores import reconcile as against_stores

            settings = settings_or_fail()
            results = patiently(
                lambda: against_stores(settings, read_models=read_models, topics=topics, progress=progress)
            )
    _tell(results, html, as_json=as_json)


def liability(
    day: Annotated[datetime | None, typer.Option(formats=DAYS, help="Only at the end of this day, UTC.")] = None,
    *,
    compare: Annotated[bool, typer.Option(help="Compare with the read model bi.liability.")] = False,
    archive: Annotated[
        Path | None, typer.Option(help="Folder of an archive: the events of detached months are read from it.")
    ] = None,
    unsigned: Unsigned = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """What is owed to the players at the end of each UTC day, per tenant, region and currency, computed from the log
    itself. With --compare beside the read model: exit code 1 where they differ.
    """
    from audit.reconcile import funds, stores

    if compare and day:
        fail("--compare compares every day; leave --day out")
    if compare and archive:
        fail("--compare reads the log of the database alone; leave --archive out")
    if day and day.date() > datetime.now(UTC).date():
        fail(f"{day:%Y-%m-%d} has not begun yet, UTC: name a day that has")
    settings = settings_or_fail()
    with stages() as progress, archive_errors():
        if compare:
            models = [stores.LIABILITY]
            results = patiently(lambda: stores.reconcile(settings, topics=False, models=models, progress=progress))
        else:
            opened = open_or_fail(settings, archive, unsigned=unsigned) if archive else None
            rows = patiently(lambda: funds.read(settings, archive=opened, progress=progress))
    if compare:
        _tell(results, html, as_json=as_json)
        return
    if day:
        rows = funds.at_end_of(day.date(), rows)
    if html:
        write_or_fail(html, funds.as_html(rows))
    content = [row.to_dict() for row in rows]
    when = f"by the end of {day:%Y-%m-%d}" if day else "yet"
    nothing = f"There were no wallets with money: nothing has moved {when}."
    text = table(funds.COLUMNS, (row.cells() for row in rows)) if rows else nothing
    show(content, as_json=as_json, text=text)


def _tell(results: "list[Reconciliation]", html: Path | None, *, as_json: bool) -> None:
    from audit.reconcile import page

    if html:
        write_or_fail(html, page.as_html(results))
    content = {"ok": all(result.ok for result in results), "comparisons": [result.to_dict() for result in results]}
    if as_json:
        show(content, as_json=True)
    else:
        for result in results:
            _print(result)
    if not content["ok"]:
        raise typer.Exit(FINDING)


def _print(result: "Reconciliation") -> None:
    from audit.reconcile import page

    console.print(table(page.TOTALS, page.total_rows(result), title=f"{result.here} ↔ {result.there}"), markup=False)
    if result.differences:
        console.print(table(page.DIFFERENCES, page.difference_rows(result)), markup=False)
    hidden = [f"… and {result.hidden} more"] if result.hidden else []
    for line in (*hidden, *result.notes, page.verdict_text(result)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    app.command()(reconcile)
    app.command()(liability)
