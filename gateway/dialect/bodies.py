"""Bodies of requests: JSON and forms, read strictly into models."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from gateway import metrics
from gateway.dialect.errors import Unreadable
from gateway.dialect.fields import MAX_PROVIDER_ID
from gateway.dialect.strict_json import MalformedJsonError, parse_object

B = TypeVar("B", bound="Body")

MAX_FORM_FIELDS = 3_000
"""More than the longest list that a body has room for."""


class Body(BaseModel):
    """A body of a request, or a part of it: its fields are read strictly; those that it does not list are ignored and
    kept nowhere.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)


class CamelBody(Body):
    """A body whose fields are camelCase on the wire, such as `userId`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


def read_json(model: type[B], raw: bytes) -> B:
    """The JSON object in `raw` as `model`. Raises Unreadable MALFORMED_REQUEST or FIELD_INVALID."""
    try:
        return validated(model, parse_object(raw))
    except MalformedJsonError as error:
        raise Unreadable("MALFORMED_REQUEST", reason=f"the body is not one plain JSON object: {error}") from error


def peek_object(raw: bytes) -> Mapping[str, Any]:
    """The JSON object in a body that may be anything; empty where there is none."""
    try:
        return parse_object(raw)
    except MalformedJsonError:
        return {}


def peek(raw: bytes, name: str) -> str:
    """The text of a field in a JSON body that may be anything: what a refusal echoes. Empty where there is none."""
    value = peek_object(raw).get(name)
    return value if isinstance(value, str) and len(value) <= MAX_PROVIDER_ID else ""


def form_fields(raw: bytes) -> dict[str, str]:
    """The fields of an application/x-www-form-urlencoded body; an empty pair, as in `a=1&&b=2&`, is none. Raises
    Unreadable MALFORMED_REQUEST, also for a repeated name.
    """
    sent = b"&".join(filter(None, raw.split(b"&")))
    try:
        pairs = parse_qsl(
            sent.decode("ascii"), keep_blank_values=True, strict_parsing=bool(sent), errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )  # fmt: skip
    except (UnicodeDecodeError, ValueError) as error:
        raise Unreadable("MALFORMED_REQUEST", reason="the body is no form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("MALFORMED_REQUEST", reason="a field is repeated")
    return fields


def read_form(model: type[B], raw: bytes) -> B:
    """The form in `raw` as `model`; an empty field counts as absent. Raises Unreadable MALFORMED_REQUEST or
    FIELD_INVALID.
    """
    return validated(model, {name: value for name, value in form_fields(raw).items() if value})


def validated(model: type[B], fields: Mapping[str, Any]) -> B:
    """`fields` as `model`. Raises Unreadable FIELD_INVALID. A field that only informs (`Noted`) and cannot be read is
    left out, and counted by dialect.
    """
    left_out: list[str] = []
    try:
        body = model.model_validate(fields, context=left_out)
    except ValidationError as error:
        field, reason = field_fault(error)
        raise Unreadable("FIELD_INVALID", field=field, reason=reason) from error
    for name in left_out:
        metrics.LEFT_OUT.labels(dialect_of(model), name).inc()
    return body


def dialect_of(model: type[Body]) -> str:
    """The dialect that a model belongs to: the provider's folder that it stands in, else canonical."""
    _, _, below = model.__module__.partition("providers.")
    return below.partition(".")[0] or "canonical"


def field_fault(error: ValidationError) -> tuple[str, str]:
    """The name of the first bad field, and what is wrong with it. Its value is not repeated: it may be anything."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    reason = _REASONS.get(first["type"], first["msg"])
    return ".".join(map(str, first["loc"])), reason[0].lower() + reason[1:]


_REASONS = {"string_pattern_mismatch": "has characters that are not allowed here, or too few or too many of them"}
"""In words for people: a regular expression says nothing to them."""
