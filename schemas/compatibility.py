"""Whether a later version of a schema may follow an earlier one: readers of either must read both, for ever.

The Avro library says whether each can read the other (FULL, in the registry's words). Our own rules are stricter, so
that upcasting is nothing but filling in defaults: what was released stays as it is, new fields come after it.
"""

import json
from collections.abc import Iterator
from typing import Any

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas.events import Schema


def incompatibilities(earlier: Schema, later: Schema) -> list[str]:
    """The reasons why schema `later` must not follow schema `earlier`, one line each; empty where it may."""
    return [*_unreadable(earlier, later), *_changes(earlier, later, "")]


def same(one: Schema, other: Schema) -> bool:
    """Whether two schemas are equal in all that a program sees: only their docs may differ."""
    return bool(_without_docs(one) == _without_docs(other))


def _unreadable(earlier: Schema, later: Schema) -> Iterator[str]:
    old, new = (avro.schema.parse(json.dumps(schema)) for schema in (earlier, later))
    for reader, writer, who in (
        (new, old, "the later cannot read the earlier"),
        (old, new, "the earlier cannot read the later"),
    ):
        verdict = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call]
        if verdict.compatibility is not SchemaCompatibilityType.compatible:
            yield f"{who}: {'; '.join(sorted(verdict.messages))}"


def _changes(earlier: Any, later: Any, where: str) -> Iterator[str]:
    """What of `earlier` is another in `later`, and what is new without a default."""
    kinds = {type(earlier), type(later)}
    if kinds == {list} and len(earlier) == len(later):
        for old, new in zip(earlier, later, strict=True):
            yield from _changes(old, new, where)
    elif kinds == {dict} and earlier["type"] == later["type"] == "array":
        yield from _changes(earlier["items"], later["items"], where)
    elif kinds == {dict} and earlier["type"] == later["type"] == "record":
        if earlier["name"] != later["name"]:
            yield f"record {earlier['name']} is renamed to {later['name']}"
        yield from _changed_fields(earlier["fields"], later["fields"], where)
    elif _without_docs(earlier) != _without_docs(later):
        yield f"{where} is {json.dumps(_without_docs(later))}, was {json.dumps(_without_docs(earlier))}"


def _changed_fields(earlier: list[Schema], later: list[Schema], where: str) -> Iterator[str]:
    if [field["name"] for field in later[: len(earlier)]] != [field["name"] for field in earlier]:
        gone = {field["name"] for field in earlier} - {field["name"] for field in later}
        yield f"{where or 'the record'} must begin with the released fields in their order" + (
            f"; {', '.join(sorted(gone))} is gone" if gone else ""
        )
        return
    for old, new in zip(earlier, later, strict=False):
        path = f"{where}.{old['name']}".lstrip(".")
        yield from _changes(old["type"], new["type"], path)
        if {**old, "type": "", "doc": ""} != {**new, "type": "", "doc": ""}:
            yield f"{path} has another default or another property than the released one"
    for new in later[len(earlier) :]:
        if "default" not in new:
            yield f"{where}.{new['name']}".lstrip(".") + " is new and has no default"


def _without_docs(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_docs(part) for part in schema]
    if isinstance(schema, dict):
        return {name: _without_docs(part) for name, part in schema.items() if name != "doc"}
    return schema
