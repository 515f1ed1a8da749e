"""The commands of `wagerledger schemas`."""

from typing import Annotated

import typer

from cli.options import Json
from cli.output import FINDING, fail, show, table
from cli.settings import settings_or_fail

app = typer.Typer(help="The Avro schemas of the events and the registry that serves them.", no_args_is_help=True)


@app.command()
def register(*, as_json: Json = False) -> None:
    """Register the schemas of this version: a deploy step, never done by a running service."""
    from schemas import registry
    from schemas.topics import Topics

    settings = settings_or_fail()
    client = registry.connect(settings.schema_registry_url.get_secret_value())
    try:
        registered = registry.register(client, Topics(settings.topic_prefix), settings.patience)
    except registry.SchemaMismatchError as error:
        fail(str(error), FINDING)
    show([one._asdict() for one in registered], as_json=as_json, text=table(registered[0]._fields, registered))


@app.command()
def check(*, as_json: Json = False) -> None:
    """Compare the registry with the schemas of this version. Exit code 1 names what differs."""
    from schemas import registry
    from schemas.topics import Topics

    settings = settings_or_fail()
    client = registry.connect(settings.schema_registry_url.get_secret_value())
    findings = registry.check(client, Topics(settings.topic_prefix), settings.patience)
    text = (
        table(findings[0]._fields, findings) if findings else "The registry holds exactly the schemas of this version."
    )
    show([finding._asdict() for finding in findings], as_json=as_json, text=text)
    raise typer.Exit(FINDING if findings else 0)


@app.command()
def check_compatibility(*, as_json: Json = False) -> None:
    """Compare the schemas of this version with all that were released. Exit code 1 names what must not change."""
    from schemas import releases

    findings = releases.check()
    text = table(findings[0]._fields, findings) if findings else "Readers of every version can read every version."
    show([finding._asdict() for finding in findings], as_json=as_json, text=text)
    raise typer.Exit(FINDING if findings else 0)


@app.command("show")
def show_schema(event_type: Annotated[str, typer.Argument(help="Such as bet.authorized.")]) -> None:
    """Print the whole Avro schema of an event type, envelope included."""
    from schemas.events import EVENTS, VARIANTS

    types = EVENTS | VARIANTS
    schema = types.get(event_type)
    if schema is None:
        fail(f"{event_type} is no event type; there are: {', '.join(types)}")
    print(schema.text)
