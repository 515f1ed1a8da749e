"""`wagerledger audit explain`: a bet or a round on one page."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json
from cli.output import FINDING, console, fail, show, write_or_fail
from cli.settings import settings_or_fail
from cli.trouble import patiently


def explain(
    bet: Annotated[str | None, typer.Argument(help="The provider's id of a bet, or of a win.")] = None,
    round_id: Annotated[str | None, typer.Option("--round", help="Instead: the provider's id of a round.")] = None,
    integration_id: Annotated[
        str | None, typer.Option("--integration", help="Whose id it is, where several integrations use it.")
    ] = None,
    *,
    details: Annotated[
        bool, typer.Option("--details", help="Also print every command, event and row, with keys and hashes.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Also write a page for the browser, in one file.")] = None,
    as_json: Json = False,
) -> None:
    """Tell a bet or a round: in one sentence who staked what and what came of it, whether it is proven, and each step
    in the order of time. What was changed since is said first, with the copy that is true. --details, --html and --json
    have everything on record: commands, accepted and refused, with key, signer, fingerprint, outcome and answer; events
    with place, hashes and postings; the rows that the ledger and the read models have of it; trace ids.
    """
    from audit import bet_page, bet_text
    from audit.explain import explain as find
    from audit.explanation import BET, ROUND

    subject = bet or round_id
    if subject is None or (bet and round_id):
        fail("name a bet, or a round with --round")
    what = BET if bet else ROUND
    settings = settings_or_fail()
    try:
        found = patiently(lambda: find(settings, subject, what=what, integration_id=integration_id))
    except LookupError as error:
        fail(str(error.args[0]), FINDING)
    if html:
        write_or_fail(html, bet_page.as_html(found))
    if as_json:
        show(found.to_dict(), as_json=True)
    else:
        for line in bet_text.lines(found, details=details):
            typer.echo(_wrapped(_printable(line)))


def _printable(text: str) -> str:
    """Without what would steer the terminal: the texts are other people's."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def _wrapped(line: str) -> str:
    """Into the terminal's width, what follows further in than the line begins."""
    margin = " " * (len(line) - len(line.lstrip()) + 4)
    width = max(console.width, 2 * len(margin) + 20)
    return textwrap.fill(line, width, subsequent_indent=margin, break_on_hyphens=False)


def add_to(app: typer.Typer) -> None:
    app.command()(explain)
