"""The documentation page: the OpenAPI document as plain HTML, made on the server, with nothing from elsewhere and no
script.
"""

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from schemas.errors import ERRORS

STYLE = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
section { margin: 2.5rem 0; }
h2 code { margin-right: .6em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #8884; }
"""


def page(document: dict[str, Any]) -> str:
    """The API's reference as an HTML page, from its OpenAPI document."""
    info = document["info"]
    sections = [
        _operation(document, method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(info["title"])}</title><link rel="stylesheet" href="/docs.css">
</head>
<body>
<main>
<h1>{escape(info["title"])} {escape(info["version"])}</h1>
{_paragraphs(info["description"])}
<p>For machines: <a href="/openapi.json">openapi.json</a>.</p>
{"".join(sections)}
{_errors()}
</main>
</body>
</html>
"""


def _paragraphs(text: str) -> str:
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        parts = escape(paragraph).split("`")
        marked = "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
        paragraphs.append(f"<p>{marked}</p>")
    return "\n".join(paragraphs)


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section id="{operation["operationId"]}">',
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{escape(operation['summary'])}</p>",
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (
                parameter["name"],
                parameter["in"],
                "yes" if parameter["required"] else "",
                parameter.get("description", ""),
            )
            for parameter in parameters
        ]
        parts.append(_table(("parameter", "in", "required", ""), rows))
    if body := operation.get("requestBody"):
        parts += ["<h3>Body</h3>", _fields(document, body["content"]["application/json"]["schema"])]
    for status, response in operation["responses"].items():
        schema = response["content"]["application/json"]["schema"]
        if status.startswith("2"):
            parts += [f"<h3>{status}</h3>", _fields(document, schema)]
    others = [
        (status, response["description"])
        for status, response in operation["responses"].items()
        if not status.startswith("2")
    ]
    if others:
        parts += ["<h3>Otherwise</h3>", _table(("status", "code"), others)]
    return "\n".join([*parts, "</section>"])


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _resolved(document, schema)
    required = schema.get("required", ())
    rows = [
        (name, _type(document, field), "yes" if name in required else "", field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    return _table(("field", "type", "required", ""), rows)


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        inner = _resolved(document, schema).get("properties", {})
        return "{" + ", ".join(f"{name}: {_type(document, field)}" for name, field in inner.items()) + "}"
    if "anyOf" in schema:
        return " or ".join(_type(document, option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    return str(schema.get("type", "any"))


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _errors() -> str:
    rows = [
        (error.code, str(error.status), "yes" if error.retryable else "", error.message) for error in ERRORS.values()
    ]
    return (
        f'<section id="errors"><h2>Error codes</h2>{_table(("code", "status", "retryable", "message"), rows)}</section>'
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table><thead>{line('th', head)}</thead><tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"
