"""`wagerledger up | down | demo`: the whole system on this machine."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Json
from cli.output import FINDING, console, fail, show

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Folder that keeps all data; a second run goes on where the first one ended.")
]
DEFAULT_DATA_DIR = Path("data")


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the gateway. Default: a free one.")
    ] = None,
) -> None:
    """Run the whole system on loopback, in the foreground, until Ctrl-C or `wagerledger down`.

    DIR/sandbox.json says how to reach it, as soon as it is ready; `. DIR/sandbox.env` in a shell points other commands,
    such as `wagerledger integration add`, at it. After a crash of anything, the same command recovers.
    """
    from runtime.service import stop_event
    from sandbox.progress import StateDisplay
    from sandbox.run import running
    from sandbox.servers.process import StartError
    from sandbox.system import System

    stop = stop_event()
    try:
        with running(data_dir), StateDisplay() as progress, System(data_dir, port=port, report=progress) as system:
            console.print(
                f"Wagerledger is up: {system.gateway.url}\n"
                f"The read models as a web page: {system.projector.page_url}\n"
                f"How to reach everything: {system.root / 'sandbox.json'}\n"
                f"For other commands: . {system.root / 'sandbox.env'}\nCtrl-C stops it.",
                soft_wrap=True,
            )
            while not stop.wait(0.5):
                system.supervise()
    except StartError as error:
        fail(str(error))


def down(data_dir: DataDir = DEFAULT_DATA_DIR, *, as_json: Json = False) -> None:
    """Stop the system that `wagerledger up` runs on the same folder, or what a crash left of it."""
    from sandbox.run import stop
    from sandbox.servers.process import StartError

    try:
        stopped = stop(data_dir)
    except StartError as error:
        fail(str(error))
    show({"stopped": stopped}, as_json=as_json, text="Stopped." if stopped else f"Nothing was running on {data_dir}.")


def demo(*, keep: Annotated[bool, typer.Option("--keep", help="Keep the data folder afterwards.")] = False) -> None:
    """Start the whole system, play real rounds over signed HTTP, show every step, stop. Exit code 0 only if all of it
    held.
    """
    from sandbox.demo import DemoError, play
    from sandbox.progress import StateDisplay
    from sandbox.servers.process import StartError
    from sandbox.system import System

    with _folder(keep=keep) as folder:
        try:
            with StateDisplay() as progress:
                system = System(folder, report=progress)
                system.start()
            try:
                play(system, console)
            finally:
                with StateDisplay() as progress:
                    system.stack.report = progress
                    system.stop()
        except StartError as error:
            fail(str(error))
        except DemoError as error:
            fail(f"The demo found a fault: {error}", FINDING)


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="wagerledger-demo-"))
    try:
        yield folder
    finally:
        if keep:
            console.print(
                f"The data is in {folder}: `wagerledger up --data-dir {folder}` goes on with it.", soft_wrap=True
            )
        else:
            shutil.rmtree(folder, ignore_errors=True)


def add_to(app: typer.Typer) -> None:
    app.command()(demo)
    app.command()(up)
    app.command()(down)
