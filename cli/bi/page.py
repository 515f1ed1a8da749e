"""`wagerledger bi page`: the web page of the read models without a projector."""

from typing import Annotated

import typer

from cli.output import console, fail
from cli.settings import settings_or_fail


def page(
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on. Default: WAGERLEDGER_PROJECTOR_PAGE_PORT, or else a free one."),
    ] = None,
) -> None:
    """Serve the read models as a web page until SIGTERM or Ctrl-C: freshness, lag, revenue by day and provider, open
    bets, player funds. It only reads.
    """
    from projector.page.server import PageServer
    from runtime.service import stop_event
    from runtime.telemetry import configure_logging

    settings = settings_or_fail()
    configure_logging(settings, "page")
    stop = stop_event()
    try:
        server = PageServer(settings, settings.projector_page_port or 0 if port is None else port)
    except OSError as error:
        fail(f"WAGERLEDGER_PROJECTOR_PAGE_HOST or WAGERLEDGER_PROJECTOR_PAGE_PORT: {error.strerror or error}")
    with server:
        console.print(f"The read models as a web page: {server.url}", soft_wrap=True)
        stop.wait()


def add_to(app: typer.Typer) -> None:
    app.command()(page)
