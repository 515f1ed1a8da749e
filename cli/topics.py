"""The commands of `wagerledger topics`."""

import typer

from cli.options import Json
from cli.output import FINDING, fail, show, table
from cli.settings import settings_or_fail

app = typer.Typer(help="The Kafka topics: a deploy step makes them, no running service does.", no_args_is_help=True)


@app.command()
def apply(*, as_json: Json = False) -> None:
    """Create the topics that are missing. Existing ones are compared and never changed."""
    from schemas import topics

    settings = settings_or_fail()
    names = topics.Topics(settings.topic_prefix)
    try:
        made = topics.apply(
            settings.kafka_bootstrap_servers,
            names,
            partitions=settings.topic_partitions,
            replication=settings.topic_replication,
            patience=settings.patience,
        )
    except topics.TopicMismatchError as error:
        fail(str(error), FINDING)
    rows = [(name, "created" if name in made else "there") for name in names.all]
    show({"topics": dict(rows)}, as_json=as_json, text=table(("topic", "state"), rows))
