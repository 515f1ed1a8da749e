"""`wagerledger bench`: each figure beside a yardstick from the same run. Every benchmark starts a fresh stack of its
own.
"""

from typing import Annotated

import typer

from cli.output import Json

app = typer.Typer(
    help="Measure, each time beside a yardstick from the same run and on a fresh stack.", no_args_is_help=True
)


@app.command()
def bets(
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Length of each measurement.")] = 10,
    concurrency: Annotated[str, typer.Option(help="Clients at once, with commas.")] = "1,16,64,256",
    wallets: Annotated[int, typer.Option(min=1, max=100_000, help="Wallets of the spread runs.")] = 10_000,
    gateways: Annotated[int, typer.Option(min=1, max=64, help="Gateway processes; they share one port.")] = 2,
    dialect: Annotated[
        list[str] | None,
        typer.Option(help="Measure a provider's protocol beside the canonical API instead; all: each."),
    ] = None,
    *,
    profile: Annotated[bool, typer.Option(help="Also say where the gateway's time goes.")] = False,
    as_json: Json = False,
) -> None:
    """Bets per second and latency through real HTTP with verified signatures and durable commits, beside pgbench on the
    same rows; or, with --dialect, beside the canonical API.
    """
    from bench import bets, dialects
    from sandbox.dialects import NAMES

    clients = [int(part) for part in concurrency.split(",")]
    if dialect:
        if unknown := set(dialect) - {*NAMES, dialects.ALL}:
            raise typer.BadParameter(f"no dialect {min(unknown)}: there are {', '.join(NAMES)} and all")
        dialects.run(
            dialects=dialect,
            seconds=seconds,
            concurrency=clients,
            wallets=wallets,
            gateways=gateways,
            as_json=as_json,
        )
        return
    bets.run(
        seconds=seconds,
        concurrency=clients,
        wallets=wallets,
        gateways=gateways,
        profile=profile,
        as_json=as_json,
    )


@app.command()
def relay(
    *,
    events: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Events to work through.")] = 200_000,
    as_json: Json = False,
) -> None:
    """Events per second from the log to Kafka, both faces, beside a bare producer of the same bytes; and the lag at a
    steady rate.
    """
    from bench.relay import run

    run(events=events, as_json=as_json)


@app.command()
def project(
    *,
    events: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Events to work through.")] = 200_000,
    as_json: Json = False,
) -> None:
    """Events per second from Kafka into all read models."""
    from bench.project import run

    run(events=events, as_json=as_json)


@app.command()
def verify(
    *,
    events: Annotated[int, typer.Option(min=1000, max=50_000_000, help="Events to work through.")] = 200_000,
    as_json: Json = False,
) -> None:
    """Events per second that `audit verify` checks."""
    from bench.verify import run

    run(events=events, as_json=as_json)
