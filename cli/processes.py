"""`wagerledger gateway`, `relay` and `project`: one process each, in the foreground, against the servers that the
environment names; and `relay recover`, which finds the relay's position again.

`project` gets its other commands from `cli/project.py`.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import FINDING, errors, fail, show
from cli.project import app as project_app
from cli.settings import settings_or_fail
from cli.trouble import naming, patiently

if TYPE_CHECKING:
    from outbox_relay.recover import Recovery

relay_app = typer.Typer(invoke_without_command=True)


def gateway(
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one. Default: WAGERLEDGER_GATEWAY_PORT.")
    ] = None,
) -> None:
    """Answer the providers' callbacks until SIGTERM or Ctrl-C; what was accepted by then is still answered."""
    from gateway.app import run
    from ledger.admin.secrets import SecretsKeyError

    settings = settings_or_fail()
    try:
        code = run(settings if port is None else settings.model_copy(update={"gateway_port": port}))
    except SecretsKeyError as error:
        fail(str(error))
    except OSError as error:
        fail(
            f"WAGERLEDGER_GATEWAY_HOST, WAGERLEDGER_GATEWAY_PORT or WAGERLEDGER_METRICS_PORT: {error.strerror or error}"
        )
    raise typer.Exit(code)


@relay_app.callback()
def relay(context: typer.Context) -> None:
    """Publish the event log to Kafka, each event exactly once, until SIGTERM or Ctrl-C. Exit code 1: another relay has
    the shard; 2: the position cannot be proven, see `relay recover`.
    """
    if context.invoked_subcommand is None:
        from outbox_relay.relay import run
        from runtime.telemetry import configure_logging

        settings = settings_or_fail()
        configure_logging(settings, "relay")
        try:
            code = run(settings)
        except OSError as error:
            fail(f"WAGERLEDGER_METRICS_PORT: {error.strerror or error}")
        raise typer.Exit(code)


@relay_app.command()
def recover(
    actor: AdminActor,
    reason: AdminReason,
    *,
    restore: Annotated[
        bool,
        typer.Option(
            help="Put events back into the log that the topics hold and it has lost; else their streams are only named."
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Find the relay's position again from what the topics hold, after the log or the position topic was restored or
    lost.

    Stop gateways and relays first. WAGERLEDGER_DATABASE_URL must name the gateway's role, because lost events are
    written. Safe to repeat.
    """
    from ledger.jobs.restore_events import RestoreError
    from ledger.jobs.restore_events import restore as put_back
    from ledger.relay_position import PositionError
    from outbox_relay import recover as recovery
    from outbox_relay.producer import FencedError
    from runtime.service import RefusedError

    settings, by = settings_or_fail(), by_or_fail(actor, reason)
    try:
        with errors.status("reading") as status:
            found = patiently(
                lambda: recovery.recover(
                    settings,
                    restore=(lambda lost: put_back(settings, lost, by=by)) if restore else None,
                    progress=lambda step, events, _: status.update(f"{step}: {events} events"),
                )
            )
    except (recovery.UnrecoverableError, RestoreError) as error:
        fail(str(error), FINDING)
    except (FencedError, RefusedError, PositionError) as error:
        fail(str(error))
    show(_content(found), as_json=as_json, text=_text(found))


def _content(found: "Recovery") -> dict[str, int]:
    return {
        "published": found.published,
        "duplicates": found.duplicates,
        "restored": found.restored,
        "completed": found.completed,
        "refusals": found.refusals,
        "refusals_completed": found.refusals_completed,
        "refusals_lost": found.refusals_lost,
    }


def _text(found: "Recovery") -> str:
    return (
        f"{found.published} events are published ({found.duplicates} records repeat one); "
        f"{found.restored} were put back into the log, {found.completed} were published now. "
        f"{found.refusals} refusals are published, {found.refusals_completed} of them now; the database has lost "
        f"{found.refusals_lost}. The relay can start."
    )


@project_app.callback()
def project(
    context: typer.Context,
    *,
    refold: Annotated[
        bool,
        typer.Option(
            "--refold",
            help="First empty all read models; then they are folded again from the first event on. Readers see them "
            "half full meanwhile: `rebuild all` spares them that.",
        ),
    ] = False,
) -> None:
    """Fold `ledger.events` and `ledger.refusals` into the read models until SIGTERM or Ctrl-C. A model with an older
    version than this code stands still until it is rebuilt. Exit code 2: newer code made the models, or they are from
    another topic.
    """
    if context.invoked_subcommand is not None:
        return
    import psycopg

    from projector import consumer
    from runtime.telemetry import configure_logging

    settings = settings_or_fail()
    configure_logging(settings, "projector")
    try:
        if refold:
            with naming("WAGERLEDGER_BI_DATABASE_URL"):
                patiently(lambda: consumer.refold(settings), "PostgreSQL")
        code = consumer.run(settings)
    except psycopg.errors.DependentObjectsStillExist as error:
        fail(f"drop what stands on the read models first: {error}", FINDING)
    except OSError as error:
        fail(f"WAGERLEDGER_METRICS_PORT or WAGERLEDGER_PROJECTOR_PAGE_PORT: {error.strerror or error}")
    raise typer.Exit(code)


def add_to(app: typer.Typer) -> None:
    app.command()(gateway)
    app.add_typer(relay_app, name="relay")
    app.add_typer(project_app, name="project")
