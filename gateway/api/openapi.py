"""The OpenAPI 3.1 document, made from the models, the operations and the error catalogue, so that it cannot say
anything else than they do.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.api.answers import Wallet
from gateway.api.operations import OPERATIONS, Operation
from gateway.dialect.dialect import Dialect
from ledger import __version__
from runtime.identifiers import CURRENCY, ID, PLAYER_ID
from schemas.errors import ERRORS

_SIGNED = (
    "SIGNATURE_MISSING", "SIGNATURE_INVALID", "SIGNATURE_EXPIRED", "SIGNATURE_REUSED", "INTEGRATION_MISMATCH",
    "INTEGRATION_DISABLED", "RATE_LIMITED", "FIELD_INVALID", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
    "INTERNAL",
)  # fmt: skip
_WRITTEN = (
    "IDEMPOTENCY_KEY_MISSING", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_MISMATCH", "MALFORMED_REQUEST",
    "UNSUPPORTED_MEDIA_TYPE", "BODY_TOO_LARGE", "BODY_TIMEOUT",
)  # fmt: skip

_INTRODUCTION = """\
Every request under /v1 is signed:
`X-Signature: t=<unix seconds>,kid=<key id>,v3=<hex>`, where v3 is HMAC-SHA256 with the secret over nine lines:
`wagerledger`, t, METHOD, target, brand, region, provider, idempotency key, raw body. The target is the path with its
query as sent; writes take none. A GET signs an empty key and an empty body. v4 is Ed25519 over the same bytes.
v1 and v2, over `t.METHOD.target.idempotency-key.raw-body` joined by dots, are weaker and still taken.
The time may be 300 s off unless the operator says otherwise.
While keys change, one header may carry several signatures.

Repeat whatever got no answer, or a retryable one, with the same X-Idempotency-Key:
it happens once, and the answer is the same to the byte.

Game providers with a protocol of their own do not call these routes but the base URL of their integration,
`/integrations/{brand}/{region}/{name}`, in one of the dialects that the tag `dialects` lists.
"""

_PATH_PARAMETERS = {"session_id": ID, "player_id": PLAYER_ID, "currency": CURRENCY}
_TRACE = {
    "X-Trace-Id": {
        "description": "The trace id: yours if you sent one.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9_:.\-]{1,64}$"},
    }
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}}}


def document(hosted: Mapping[str, Dialect]) -> dict[str, Any]:
    """The whole document. `hosted` dialects are listed, not described: their contracts are the providers' own."""
    answers: list[type[BaseModel]] = [*(operation.answer for operation in OPERATIONS), Wallet]
    models = [
        *((operation.body, "validation") for operation in OPERATIONS),
        *((answer, "serialization") for answer in answers),
    ]
    schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")[1]["$defs"]  # type: ignore[arg-type]
    del schemas["Amount"]  # how we keep a decimal is nobody's business
    paths: dict[str, Any] = {operation.path: {"post": _write(operation)} for operation in OPERATIONS}
    paths["/v1/players/{player_id}/wallets/{currency}"] = {"get": _read_wallet()}
    paths |= _health_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wagerledger gateway",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": _INTRODUCTION,
        },
        "tags": [{"name": "dialects", "description": _list_of(hosted)}],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Error": _error_schema()},
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Signature",
                    "description": "See the introduction.",
                }
            },
        },
    }


def _list_of(hosted: Mapping[str, Dialect]) -> str:
    lines = [
        f"- `{dialect.name}` ({dialect.title}): "
        + ", ".join(f"`{endpoint.method} {endpoint.path or '/'}`" for endpoint in dialect.endpoints)
        for dialect in hosted.values()
        if dialect.endpoints
    ]
    return "\n".join(["Below an integration's base URL, in the words of its provider:", *lines])


def _write(operation: Operation) -> dict[str, Any]:
    key = _header("X-Idempotency-Key", "One per intent; the same for every repeat.", required=True, pattern=ID)
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [{"signature": []}],
        "parameters": [*_path_parameters(operation.path), *_headers(), key],
        "requestBody": {"required": operation.body_required, "content": _content(operation.body.__name__)},
        "responses": {
            str(operation.status): {
                "description": "Durable.",
                "headers": _TRACE,
                "content": _content(operation.answer.__name__),
            },
            **_errors((*operation.refusals, *_SIGNED, *_WRITTEN)),
        },
    }


def _read_wallet() -> dict[str, Any]:
    return {
        "operationId": "read_wallet",
        "summary": "A wallet's balances now.",
        "security": [{"signature": []}],
        "parameters": [*_path_parameters("/v1/players/{player_id}/wallets/{currency}"), *_headers()],
        "responses": {
            "200": {"description": "The balances.", "headers": _TRACE, "content": _content("Wallet")},
            **_errors(("WALLET_NOT_FOUND", *_SIGNED)),
        },
    }


def _health_paths() -> dict[str, Any]:
    def probe(name: str, summary: str, fields: dict[str, Any], status: str = "200") -> dict[str, Any]:
        schema = {"type": "object", "required": list(fields), "properties": fields}
        ready = {"description": summary, "headers": _TRACE, "content": {"application/json": {"schema": schema}}}
        responses = {"200": ready} | ({status: ready | {"description": "Not now."}} if status != "200" else {})
        return {"get": {"operationId": name, "summary": summary, "security": [], "responses": responses}}

    text = {"type": "string"}
    return {
        "/health": probe(
            "health",
            "The version and the clock.",
            {"status": text, "version": text, "time": {"type": "string", "format": "date-time"}},
        ),
        "/livez": probe("livez", "The process runs.", {"status": text}),
        "/readyz": probe(
            "readyz", "Callbacks can be answered.", {"status": text, "missing": {"type": "array", "items": text}}, "503"
        ),
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": _PATH_PARAMETERS[name]}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _headers() -> list[dict[str, Any]]:
    return [
        _header("X-Brand-Id", "The integration's own.", required=True, pattern=ID),
        _header("X-Region", "The integration's own.", required=True, pattern=ID),
        _header("X-Provider-Id", "The integration's own.", required=True, pattern=ID),
        _header(
            "X-Trace-Id",
            "Yours, to find the request again; made when missing. A W3C traceparent is taken over too.",
            required=False,
        ),
    ]


def _header(name: str, description: str, *, required: bool, pattern: str | None = None) -> dict[str, Any]:
    schema = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def _content(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}


def _errors(codes: tuple[str, ...]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ERRORS[code].status, []).append(code)
    responses = {}
    for status, found in sorted(by_status.items()):
        schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": {"code": {"enum": sorted(found)}}}]}
        headers = _TRACE | (_RETRY_AFTER if status in (429, 503) else {})
        responses[str(status)] = {
            "description": ", ".join(sorted(found)),
            "headers": headers,
            "content": {"application/json": {"schema": schema}},
        }
    return responses


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["code", "message", "retryable", "trace_id"],
        "additionalProperties": False,
        "properties": {
            "code": {"type": "string", "enum": sorted(ERRORS)},
            "message": {"type": "string"},
            "retryable": {
                "type": "boolean",
                "description": "The same request, sent again unchanged, is safe and may fare better.",
            },
            "trace_id": {"type": "string"},
        },
    }
