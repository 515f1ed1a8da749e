"""`wagerledger casino-provider`: the provider's half of a casino ↔ provider integration."""

import os
from typing import Annotated

import typer

from cli.output import console, fail


def casino_provider(
    casino_url: Annotated[str, typer.Option(help="Base URL of an integration of the dialect casino.")],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8090,
) -> None:
    """Serve /provider/launch, /provider/simulate and /provider/health, and play simulated rounds at a casino.

    The environment holds the secrets: CASINO_SECRET signs what it asks of the casino, PROVIDER_SECRET proves who asks
    it. Ctrl-C stops it.
    """
    from sandbox.casino_provider import Casino, serve

    secrets = {name: os.environ.get(name, "") for name in ("CASINO_SECRET", "PROVIDER_SECRET")}
    if missing := [name for name, value in secrets.items() if not value]:
        fail(f"{' and '.join(missing)} must be set: nothing is sent or answered without a signature.")
    console.print(f"The provider listens on http://{host}:{port}/provider. Ctrl-C stops it.", soft_wrap=True)
    serve(Casino(casino_url.rstrip("/"), secrets["CASINO_SECRET"]), secrets["PROVIDER_SECRET"], host=host, port=port)


def add_to(app: typer.Typer) -> None:
    app.command("casino-provider")(casino_provider)
