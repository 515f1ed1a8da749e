"""`wagerledger bench`: each figure beside a yardstick from the same run. Every benchmark starts a fresh stack of its
own.
"""

from typing import Annotated, Any

import typer

from cli.options import Json
from cli.output import fail

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
    against: Annotated[
        str | None, typer.Option(help="Measure beside this commit of the checkout that we run in, in turns, instead.")
    ] = None,
    filled: Annotated[
        int | None,
        typer.Option(min=1000, max=50_000_000, help="Measure with so many bets beside none, in turns, instead."),
    ] = None,
    profile: Annotated[bool, typer.Option(help="Also say where the gateway's time goes.")] = False,
    as_json: Json = False,
) -> None:
    """Bets per second and latency through real HTTP with verified signatures and durable commits, beside pgbench on the
    same rows; or, with --dialect, beside the canonical API.
    """
    from bench import against as another
    from bench import bets, dialects, large_tables
    from sandbox.drivers import NAMES

    shared: dict[str, Any] = {
        "seconds": seconds, "concurrency": [int(part) for part in concurrency.split(",")], "wallets": wallets,
        "gateways": gateways, "as_json": as_json,
    }  # fmt: skip
    if against:
        another.run(revision=against, **shared)
    elif filled:
        large_tables.run(filled=filled, **shared)
    elif dialect:
        if unknown := set(dialect) - {*NAMES, dialects.ALL}:
            raise typer.BadParameter(f"no dialect {min(unknown)}: there are {', '.join(NAMES)} and all")
        dialects.run(dialects=dialect, **shared)
    else:
        bets.run(profile=profile, **shared)


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
    """Events per second from Kafka into `balances` alone, and into all read models."""
    from bench.project import run

    run(events=events, as_json=as_json)


@app.command()
def freshness(
    *,
    seconds: Annotated[int, typer.Option(min=2, max=600, help="How long to write.")] = 20,
    as_json: Json = False,
) -> None:
    """Time from an event's commit to its rows in the read models at 2,000 events per second, through the real relay and
    projector.
    """
    from bench.freshness import run

    run(seconds=seconds, as_json=as_json)


@app.command()
def verify(
    *,
    events: Annotated[int, typer.Option(min=1000, max=50_000_000, help="Events in each source.")] = 200_000,
    source: Annotated[
        list[str] | None, typer.Option(help="database, topics or archive; may be repeated. All, if none is named.")
    ] = None,
    events_per_player: Annotated[int, typer.Option(min=10, max=100_000, help="Fewer players, longer streams.")] = 100,
    as_json: Json = False,
) -> None:
    """Events per second that `audit verify` checks: a database, topics, an archive."""
    from bench.verify import SOURCES, run

    if unknown := set(source or ()) - set(SOURCES):
        fail(f"--source is {unknown.pop()!r}; known are {', '.join(SOURCES)}")
    run(events=events, sources=source or SOURCES, events_per_player=events_per_player, as_json=as_json)
