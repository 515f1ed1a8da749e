"""The command and its nouns."""

from typing import Annotated

import typer

from cli import (
    bench,
    bets,
    brand,
    casino_provider,
    doctor,
    games,
    integration,
    limits,
    migrate,
    player,
    processes,
    rates,
    sandbox,
    schemas,
    topics,
    wallet,
)
from cli.audit import actions, anchors, archive, explain, reconcile, verify
from cli.bi import grants, page
from cli.trouble import PatientGroup
from ledger import __version__

app = typer.Typer(
    name="wagerledger",
    help=(
        "An event-sourced, double-entry wallet ledger on Kafka for online gaming.\n\nStart with `wagerledger demo`. "
        "Exit codes: 0 done, 1 refused or a finding, 2 could not be tried."
    ),
    cls=PatientGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:  # typer's callback form
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


sandbox.add_to(app)
casino_provider.add_to(app)
processes.add_to(app)
anchors.add_to(app, verify.app)
migrate.add_to(app)
doctor.add_to(app)
app.add_typer(brand.app, name="brand")
app.add_typer(wallet.app, name="wallet")
app.add_typer(player.app, name="player")
app.add_typer(limits.app, name="limits")
app.add_typer(bets.app, name="bets")
app.add_typer(rates.app, name="rates")
app.add_typer(integration.app, name="integration")
app.add_typer(games.app, name="games")
actions.add_to(verify.app)
archive.add_to(verify.app)
explain.add_to(verify.app)
reconcile.add_to(verify.app)
app.add_typer(verify.app, name="audit")
page.add_to(grants.app)
app.add_typer(grants.app, name="bi")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")
app.add_typer(bench.app, name="bench")
