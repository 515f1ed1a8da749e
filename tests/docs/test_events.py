"""The events' pages and their AsyncAPI document: their examples, and what tools of others expect."""

import json

import yaml

from schemas.examples import example, readable
from schemas.releases import TYPES
from schemas.topics import Topics
from tests.support.pages import ROOT, blocks

FOLDER = ROOT / "docs" / "events"


def test_each_page_shows_its_example():
    """The JSON on the page is the example that the tests encode and decode."""
    for name, schema in TYPES.items():
        ((_, shown),) = blocks(FOLDER / f"{name}.md", "json")
        assert json.loads(shown) == readable(schema, example(name)), name


def test_the_document_says_what_asyncapi_asks_for():
    """Version 3.0.0, every reference leads somewhere, and each published topic has a channel that we send to."""
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {Topics().events, *Topics().of_types, *Topics().of_variants, Topics().refusals}
    for operation in document["operations"].values():
        assert operation["action"] == "send"
        channel = followed(document, operation["channel"]["$ref"])
        allowed = [f"{operation['channel']['$ref']}/messages/{message}" for message in channel["messages"]]
        assert [message["$ref"] for message in operation["messages"]] == allowed
    for link in references(document):
        assert followed(document, link), link


def test_each_message_carries_the_schema_that_is_registered():
    """Whoever makes code from the document makes it from the very schema of the registry, and sees a true example."""
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
    for name, schema in TYPES.items():
        message = document["components"]["messages"][name]
        assert message["payload"]["schemaFormat"] == "application/vnd.apache.avro+json;version=1.9.0"
        assert message["payload"]["schema"] == json.loads(schema.text), name
        assert message["examples"][0]["payload"] == json.loads(json.dumps(readable(schema, example(name))))
        assert message.get("x-announced", False) is schema.announced


def references(part):
    """Every $ref in the document."""
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from references(inner)


def followed(document, link):
    for name in link.removeprefix("#/").split("/"):
        document = document[name]
    return document
