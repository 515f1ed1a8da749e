"""`wagerledger bets`: open holds, and what becomes of those that nobody closes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import on_ledger
from cli.options import Json
from cli.output import fail, show, table
from cli.settings import settings_or_fail
from cli.trouble import patiently
from ledger.admin.policies import PolicyError
from ledger.core.money import format_minor

if TYPE_CHECKING:
    from ledger.jobs.abandoned_bets import Hold

app = typer.Typer(help="Open bets, oldest first, and the job that closes abandoned ones.", no_args_is_help=True)

COLUMNS = ("integration_id", "bet_id", "player_id", "round_id", "held", "currency", "since", "age_s")
TIME_FORMATS = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]


@app.command("open")
def open_bets(
    older_than_s: Annotated[
        int, typer.Option("--older-than", min=0, help="Only holds of at least so many seconds.")
    ] = 0,
    integration_id: Annotated[str | None, typer.Option("--integration", help="Only of this integration.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print the holds of open bets, oldest first."""
    from ledger.jobs import abandoned_bets

    now = datetime.now(UTC)
    until = now - timedelta(seconds=older_than_s)
    holds = on_ledger(
        lambda connection: list(abandoned_bets.open_holds(connection, until, integration_id=integration_id))
    )
    content = [_told(hold, now) for hold in holds]
    show(content, as_json=as_json, text=table(COLUMNS, ([row[name] for name in COLUMNS] for row in content)))


@app.command("close-abandoned")
def close_abandoned(
    now: Annotated[
        datetime | None, typer.Option("--now", formats=TIME_FORMATS, help="Age is counted up to this time, UTC.")
    ] = None,
    every_s: Annotated[
        float | None, typer.Option("--every", min=1, help="Do it again and again, so many seconds apart.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be closed.")] = False,
    as_json: Json = False,
) -> None:
    """Close the holds that are older than their integration's policy (abandoned_after_s) lets them be: the stake goes
    back, or is lost (abandoned_action). Safe to repeat, and beside live traffic.
    """
    from gateway.host import dialects
    from ledger.jobs import abandoned_bets
    from runtime.telemetry import configure_logging

    settings = settings_or_fail()
    defaults = {name: dialect.policy for name, dialect in dialects.load().items()}
    if every_s is not None:
        if now is not None or dry_run:
            fail("--every takes neither --now nor --dry-run")
        configure_logging(settings, "abandoned")
        asyncio.run(abandoned_bets.run(settings, defaults, every_s))
        return
    moment = now.replace(tzinfo=UTC) if now else datetime.now(UTC)
    try:
        found = on_ledger(lambda connection: abandoned_bets.find(connection, defaults, moment, settings.residency))
        if dry_run:
            closings = [
                abandoned_bets.Closing(one.hold, f"to {one.integration.policy.abandoned_action}", closed=False)
                for one in found
            ]
        else:
            closings = patiently(lambda: asyncio.run(abandoned_bets.run_once(settings, found)), "PostgreSQL")
    except PolicyError as error:
        fail(str(error))
    content = [{**_told(hold, moment), "status": status, "closed": closed} for hold, status, closed in closings]
    columns = (*COLUMNS, "status")
    show(content, as_json=as_json, text=table(columns, ([row[name] for name in columns] for row in content)))


def _told(hold: "Hold", now: datetime) -> dict[str, Any]:
    return {
        "integration_id": hold.integration_id,
        "bet_id": hold.bet_id,
        "player_id": hold.player_id,
        "round_id": hold.round_id,
        "held": format_minor(hold.held_minor, hold.exponent),
        "held_minor": hold.held_minor,
        "currency": hold.currency,
        "since": hold.since.isoformat(),
        "age_s": hold.age_s(now),
    }
