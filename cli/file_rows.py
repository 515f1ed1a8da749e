"""Rows of a CSV or JSON file, as texts, each with its place for error messages."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cli.output import fail


class Row(NamedTuple):
    place: str
    """Such as: games.csv line 7."""
    fields: Mapping[str, str]


def rows_or_fail(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> list[Row]:
    """All rows of `path`: CSV with a heading, or a JSON list of objects. What is wrong with the file ends the command,
    naming the line.
    """
    known = {*required, *optional}
    rows = []
    try:
        for place, found in _json(path) if path.suffix.lower() == ".json" else _csv(path):
            unknown = [str(name) for name in found if name not in known]
            missing = [name for name in required if not found.get(name)]
            if unknown:
                fail(f"{place}: {', '.join(unknown)} is not a column; known are {', '.join((*required, *optional))}")
            if missing:
                fail(f"{place}: {', '.join(missing)} is missing")
            rows.append(Row(place, {name: value.strip() for name, value in found.items()}))
    except UnicodeDecodeError as error:
        fail(f"{path} is not UTF-8 text: {error}")
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    return rows or fail(f"{path} has no rows")


def _csv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True, restkey="a field too many", restval="")
        try:
            for fields in reader:
                place = f"{path.name} line {reader.line_num}"
                yield place, {name: value if isinstance(value, str) else "" for name, value in fields.items()}
        except csv.Error as error:
            fail(f"{path.name} line {reader.line_num}: {error}")


def _json(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Numbers stay as they are written: a rate is no float."""
    try:
        content = json.loads(path.read_text("utf-8-sig"), parse_float=str, parse_int=str)
    except json.JSONDecodeError as error:
        fail(f"{path.name} line {error.lineno}: {error.msg}")
    if not isinstance(content, list):
        fail(f"{path.name} must hold a list of objects")
    for number, entry in enumerate(content, 1):
        place = f"{path.name} entry {number}"
        if not isinstance(entry, dict):
            fail(f"{place} is no object")
        yield place, {name: _text(place, name, value) for name, value in entry.items() if value is not None}


def _text(place: str, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        fail(f"{place}: {name} must be a text, a number, true or false")
    return value
