"""The OpenAPI document is true to the routes, the answers and the catalogue."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.routing import Route

from gateway.api import openapi
from gateway.host import dialects
from tests.support.caller import RunningGateway


def call(gateway: RunningGateway, path: str) -> Any:
    return gateway.run(gateway.call("GET", path, [], [b""]))


def test_document_and_routes_are_the_same(gateway: RunningGateway) -> None:
    """Every public route is described, and nothing else is."""
    routes = {
        (route.path, method)
        for route in gateway.app.routes
        if isinstance(route, Route) and route.include_in_schema
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (path, method.upper()) for path, methods in openapi.document({})["paths"].items() for method in methods
    }
    assert described == routes


def test_every_reference_leads_somewhere() -> None:
    """No schema is named that is not there, and none is there that nobody names."""
    document = openapi.document({})
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named == set(document["components"]["schemas"])


def test_it_is_served(gateway: RunningGateway) -> None:
    reply = call(gateway, "/openapi.json")
    assert reply.status == 200
    assert reply.json == openapi.document(dialects.load())
    assert reply.json["openapi"] == "3.1.0"


def test_the_page_needs_nothing_from_elsewhere(gateway: RunningGateway) -> None:
    """It shows every operation and code without a script, an inline style, or another host; the policy allows nothing else."""
    reply = call(gateway, "/docs")
    assert reply.headers["content-security-policy"].startswith("default-src 'self'")
    html = reply.body.decode()
    assert "http://" not in html
    assert "https://" not in html
    assert "<script" not in html
    assert "style=" not in html
    for path in openapi.document({})["paths"]:
        assert path in html
    assert "INSUFFICIENT_FUNDS" in html
    assert call(gateway, "/docs.css").headers["content-type"].startswith("text/css")


def test_the_page_is_well_formed(gateway: RunningGateway) -> None:
    """Every tag that opens is closed in order."""
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attributes: object) -> None:
            if tag not in ("meta", "link"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Checker().feed(call(gateway, "/docs").body.decode())
    assert not open_tags


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
def test_probes_answer_with_what_is_described(gateway: RunningGateway, path: str) -> None:
    reply = call(gateway, path)
    schema = openapi.document({})["paths"][path]["get"]["responses"][str(reply.status)]["content"]["application/json"][
        "schema"
    ]
    assert set(reply.json) == set(schema["required"])
